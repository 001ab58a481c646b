//! Passwords in wrong places: in an address, in the name of a variable, in an argument. `wharfd`
//! refuses each before any work, and repeats none in its output.

use std::process::Output;

use tempfile::TempDir;

use crate::fixture::{Wharfd, command, eventually};

const SECRET: &str = "planted5ecret";

/// Runs `wharfd` to its end; returns its whole output.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = command(arguments.iter().map(|argument| argument.replace("PLANTED", SECRET)));
    for (name, value) in variables {
        command.env(name, value.replace("PLANTED", SECRET));
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(2), "{arguments:?} {variables:?}: {text}");
    assert!(!text.contains(SECRET), "{arguments:?} {variables:?}: {text}");
    assert!(!text.trim().is_empty(), "{arguments:?} {variables:?} says nothing");
    text
}

/// The same for these lines of a configuration.
fn refused_lines(lines: &str) -> String {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("wharfd.toml");
    let text = format!("store = \"{}\"\n{lines}\n", folder.path().join("store").display());
    std::fs::write(&file, text.replace("PLANTED", SECRET)).unwrap();
    refused(&["serve", "--check-config", "--config", file.to_str().unwrap()], &[])
}

#[test]
fn an_address_with_a_password_is_refused_in_every_key_and_not_repeated() {
    let users = "[access]\nkind = \"users\"\n[[access.rule]]\nwho = [\"*\"]\n\
                 repositories = [\"*\"]\nactions = [\"pull\"]\n";
    let issuer = |line: &str| {
        format!("{users}[[access.issuer]]\nname = \"idp\"\naudience = \"wharfd\"\n{line}")
    };
    let entra = "[[upstream]]\nurl = \"https://h\"\n[upstream.entra]\nkind = \"client-secret\"\n\
                 tenant = \"t\"\nclient_id = \"c\"\nclient_secret_env = \"HOME\"\n";
    for lines in [
        "[[upstream]]\nurl = \"https://user:PLANTED@registry.example.com\"".to_owned(),
        "[[upstream]]\nurl = \"https://PLANTED@registry.example.com\"".to_owned(),
        "[telemetry]\notlp_endpoint = \"http://user:PLANTED@127.0.0.1:4318\"".to_owned(),
        issuer("issuer = \"https://user:PLANTED@idp.example.com\""),
        issuer("issuer = \"https://i\"\njwks_url = \"https://user:PLANTED@idp.example.com/keys\""),
        users.replacen("\"users\"\n", "\"users\"\npublic_url = \"https://user:PLANTED@h\"\n", 1),
        format!("{entra}authority = \"https://user:PLANTED@login.example.com\""),
    ] {
        let text = refused_lines(&lines);
        assert!(text.contains("take them out") && text.contains("password_env"), "{lines}: {text}");
    }
    for lines in [
        "[[upstream]]\nurl = \"user:PLANTED@registry.example.com\"",
        "[[upstream]]\nurl = \"https://user:PLANTED/x@registry.example.com\"",
        "[[upstream]]\nurl = \"https://h\"\nprefix = \"https://user:PLANTED@h\"",
        "[[upstream]]\nurl = \"https://h\"\nnamespaces = [\"user:PLANTED@h\"]",
        "[[upstream]]\nurl = \"https://h\"\nredirect_hosts = [\"user:PLANTED@h\"]",
        "[[upstream]]\nurl = \"https://h\"\nusername = \"u\"\npassword = \"PLANTED\"",
        "[[upstream]]\nurl = \"https://h\"\nusername = \"u\"\npassword_env = \"PLANTED\"",
        "[[upstream]]\nurl = \"https://h\"\nproxy = \"http://user:PLANTED@proxy.example.com\"",
        "[[upstream]]\nurl = \"http://x.example/?sig=PLANTED\"",
        "[[upstream]]\nurl = \"http://x.example/#PLANTED\"",
        "[[upstream]]\nurl = \"http://x.example/PLANTED/\"",
        "[[upstream]]\nurl = \"x.example?sig=PLANTED\"",
        "listen = \"user:PLANTED@127.0.0.1:5000\"",
        "trusted_proxies = [\"user:PLANTED@10.0.0.1\"]",
    ] {
        refused_lines(lines);
    }
}

#[test]
fn an_address_with_a_password_is_refused_in_arguments_and_variables_and_not_repeated() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store").display().to_string();
    let serve = ["serve", "--check-config", "--store", &store];
    let with = |more: &[&'static str]| -> Vec<String> {
        serve.iter().chain(more).map(|text| (*text).to_owned()).collect()
    };
    for more in [
        ["--upstream", "https://user:PLANTED@registry.example.com"],
        ["--upstream", "team=https://user:PLANTED@registry.example.com"],
        ["--upstream", "user:PLANTED@registry.example.com"],
        ["--upstream", "https://user:PLANTED/x@registry.example.com"],
        ["--upstream", "https://registry.example.com/?sig=PLANTED"],
        ["--upstream", "registry.example.com/?sig=PLANTED"],
        ["--upstream", "team=https://registry.example.com/PLANTED"],
        ["--listen", "user:PLANTED@127.0.0.1:5000"],
        ["--admin", "http://user:PLANTED@127.0.0.1:5001"],
        ["--proxy", "http://user:PLANTED@127.0.0.1:5001"],
        ["--store-limit", "user:PLANTED@1GiB"],
    ] {
        let arguments = with(&more);
        refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    }
    refused(&["https://user:PLANTED@registry.example.com"], &[]);
    for (name, value) in [
        ("HTTPS_PROXY", "socks5://user:PLANTED@proxy.example.com:1080"),
        ("http_proxy", "http://user:PLANTED@"),
        ("HTTP_PROXY", "http://user:PLANTED/x@proxy.example.com"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:PLANTED@127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "user:PLANTED@127.0.0.1:4318"),
        ("WHARFD_LISTEN", "user:PLANTED@127.0.0.1:5000"),
        ("WHARFD_STORE_LIMIT", "user:PLANTED@1"),
    ] {
        let text = refused(&serve, &[(name, value)]);
        assert!(text.contains(name) || name.starts_with("WHARFD_"), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_reload_refuses_it_too_and_the_log_does_not_repeat_it() {
    let mut wharfd = Wharfd::logging("trace", "").await;
    let planted = format!("[[upstream]]\nurl = \"https://user:{SECRET}@registry.example.com\"\n");
    wharfd.rewrite(|before| before + &planted);
    wharfd.hang_up();
    eventually("the refusal", async || wharfd.log().contains("the old one stays").then_some(()))
        .await;
    assert!(wharfd.log().contains("password_env"), "{}", wharfd.log());
    assert!(!wharfd.log().contains(SECRET), "{}", wharfd.log());
}

#[test]
fn an_entry_of_no_proxy_that_fits_nobody_is_named_by_its_number_and_not_repeated() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store").display().to_string();
    let mut command = command(["serve", "--check-config", "--store", &store]);
    command.env("NO_PROXY", format!("10.0.0.0/8,http://bob:{SECRET}@x"));
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success() && said.contains("NO_PROXY"), "{said}");
    assert!(said.contains("entry=2") && !said.contains(SECRET), "{said}");
}
