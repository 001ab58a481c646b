use super::*;

fn read(text: &str) -> Result<EntraTable, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
}

#[test]
fn every_kind_is_read_with_its_own_keys() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let text = format!(
        "kind = \"client-secret\"\ntenant = \"t\"\nclient_id = \"c\"\n\
         client_secret_file = \"{}\"\nauthority = \"https://login.example\"",
        secret.display()
    );
    let entra = read(&text).unwrap().resolve().unwrap();
    assert!(matches!(
        &entra.identity,
        EntraIdentity::ClientSecret { application, secret }
            if application.client_id == "c" && secret.expose() == "hunter2"
    ));
    assert_eq!((entra.tenant.as_deref(), entra.scope.as_str()), (Some("t"), ENTRA_SCOPE));
    assert!(!format!("{entra:?}").contains("hunter2"));
    let text = format!(
        "kind = \"workload-identity\"\ntenant = \"t\"\nclient_id = \"c\"\ntoken_file = \"{}\"",
        secret.display()
    );
    assert!(read(&text).unwrap().resolve().is_ok());
    let entra = read("kind = \"managed-identity\"\nscope = \"https://a.example/.default\"");
    assert_eq!(entra.unwrap().resolve().unwrap().scope, "https://a.example/.default");
    assert!(read("kind = \"azure-cli\"\ntenant = \"t\"").unwrap().resolve().is_ok());
}

#[test]
fn what_means_nothing_is_refused_and_the_message_says_what_to_write() {
    let refused = |text: &str| read(text).and_then(|table| table.resolve()).unwrap_err();
    assert!(refused("tenant = \"t\"").contains("kind"));
    assert!(refused("kind = \"password\"").contains("workload-identity"));
    let stray = refused("kind = \"azure-cli\"\nclient_secret_env = \"X\"");
    assert!(stray.contains("takes no client_secret_env"), "{stray}");
    let stray = refused("kind = \"managed-identity\"\nauthority = \"https://x\"");
    assert!(stray.contains("it takes tenant, client_id and scope"), "{stray}");
    let application = "kind = \"client-secret\"\ntenant = \"t\"\nclient_id = \"c\"\n";
    assert!(refused(application).contains("client_secret_file"));
    let plain = format!("{application}authority = \"http://login.example\"");
    assert!(refused(&plain).contains("https://"));
    let both = format!("{application}client_secret_env = \"A\"\nclient_secret_file = \"b\"");
    assert!(refused(&both).contains("not both"));
    let unset = format!("{application}client_secret_env = \"WHARF_TEST_UNSET\"");
    assert!(refused(&unset).contains("WHARF_TEST_UNSET"));
    assert!(refused("kind = \"azure-cli\"\ntenant = \"a b\"").contains("tenant"));
    assert!(refused("kind = \"azure-cli\"\nscope = \"$(x)\"").contains("scope"));
}

#[test]
fn docker_config_is_a_switch_or_a_path() {
    #[derive(Deserialize)]
    struct Table {
        docker_config: DockerConfigKey,
    }
    let read = |text: &str| toml::from_str::<Table>(text).map(|table| table.docker_config);
    assert_eq!(read("docker_config = false").unwrap().path(), Ok(None));
    let path = read("docker_config = \"/a/config.json\"").unwrap().path();
    assert_eq!(path, Ok(Some("/a/config.json".into())));
    assert!(read("docker_config = 1").unwrap_err().to_string().contains("config.json"));
}
