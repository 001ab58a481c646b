#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn basic(username: &str, password: &str) -> Login {
    let password = SecretValue::new(password.to_owned());
    Login::Basic { username: username.to_owned(), password }
}

async fn look_up(text: &str, host: &str) -> Result<Option<Login>, CredentialsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, text).unwrap();
    Keyring { authfile: Some(&path), variable: &|_| None }.of_host(host).await
}

#[tokio::test]
async fn entries_are_found_by_exact_host_in_all_their_spellings() {
    let auth = STANDARD.encode("user:pass:word");
    for key in ["r.azurecr.io", "https://r.azurecr.io", "https://r.azurecr.io/v1/"] {
        let text = format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#);
        assert_eq!(look_up(&text, "r.azurecr.io").await.unwrap(), Some(basic("user", "pass:word")));
        assert_eq!(look_up(&text, "azurecr.io").await.unwrap(), None);
        assert_eq!(look_up(&text, "r.azurecr.io.evil.example").await.unwrap(), None);
    }
    let text = r#"{"auths":{"r":{"auth":"x","identitytoken":"t"}}}"#;
    let token = Login::IdentityToken(SecretValue::new("t".to_owned()));
    assert_eq!(look_up(text, "r").await.unwrap(), Some(token));
}

#[tokio::test]
async fn a_broken_file_is_named_and_its_content_is_not_shown() {
    let text = r#"{"auths":{"r":{"auth":"c2VjcmV0"}}}"#;
    let error = look_up(text, "r").await.unwrap_err().to_string();
    assert!(error.contains("without a colon") && !error.contains("secret"), "{error}");
    let error = look_up(r#"{"auths": "hunter2"}"#, "r").await.unwrap_err().to_string();
    assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
    let keyring = Keyring { authfile: Some(Path::new("/nonexistent/a")), variable: &|_| None };
    assert!(keyring.of_host("r").await.is_err());
}

#[tokio::test]
async fn the_offers_own_credentials_win_when_both_are_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    let auth = STANDARD.encode("file:file");
    std::fs::write(&path, format!(r#"{{"auths":{{"h":{{"auth":"{auth}"}}}}}}"#)).unwrap();
    let given = Credentials {
        username: crate::offer::secrets::Secret::Env("U".to_owned()),
        password: crate::offer::secrets::Secret::Env("P".to_owned()),
    };
    let both = |name: &str| Some(name.to_lowercase());
    let keyring = Keyring { authfile: Some(&path), variable: &both };
    let found = keyring.of_offer("staging", Some(&given), folder.path(), "h").await.unwrap();
    assert_eq!(found.login, Some(basic("u", "p")));
    let one = |name: &str| (name == "U").then(|| "u".to_owned());
    let keyring = Keyring { authfile: Some(&path), variable: &one };
    let found = keyring.of_offer("staging", Some(&given), folder.path(), "h").await.unwrap();
    assert_eq!((found.login, found.unset), (Some(basic("file", "file")), vec!["P".to_owned()]));
}

#[test]
fn a_login_never_shows_its_secret() {
    let shown = format!("{:?} {:?}", basic("user", "hunter2"), LoginLookup::default());
    assert!(shown.contains("user") && !shown.contains("hunter2"));
}

#[test]
fn the_files_come_in_the_order_of_other_tools() {
    let variable = |name: &str| match name {
        "HOME" => Some("/h".to_owned()),
        "REGISTRY_AUTH_FILE" => Some("/r".to_owned()),
        "XDG_RUNTIME_DIR" => Some("/x".to_owned()),
        _ => None,
    };
    let files = Keyring { authfile: None, variable: &variable }.files();
    let expected = [
        "/r",
        "/h/.docker/config.json",
        "/x/containers/auth.json",
        "/h/.config/containers/auth.json",
    ];
    assert_eq!(files, expected.map(PathBuf::from));
}
