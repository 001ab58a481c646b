//! The double as a program: the line it prints, its options, its end.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use wharf_testkit::http::Client;
use wharf_testkit::processes::Process;
use wharf_testkit::registry::Registry;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_program_says_where_it_listens_and_ends_when_told() {
    let Some(registry) = Registry::start().await.unwrap() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_acr-double"));
    command.args(["--backing", &registry.url(), "--username", "u", "--password", "p"]);
    let mut process = Process::spawn("acr-double", &mut command, folder.path()).unwrap();
    let line: serde_json::Value =
        process.wait_for_line(SOON, |line| serde_json::from_str(line).ok()).await.unwrap();
    let addr: SocketAddr = line["addr"].as_str().unwrap().parse().unwrap();
    let storage: SocketAddr = line["storage_addr"].as_str().unwrap().parse().unwrap();
    assert_ne!(addr, storage);
    assert_eq!(line["pid"], process.pid());
    let client = Client::new();
    let version = |password: &'static str| {
        client.get(format!("http://{addr}/v2/")).basic("u", password).send()
    };
    assert_eq!(version("p").await.unwrap().status, 200);
    assert_eq!(version("wrong").await.unwrap().status, 401);
    assert_eq!(client.get(format!("http://{storage}/x")).send().await.unwrap().status, 400);
    let status = process.terminate(SOON).await.unwrap();
    assert!(status.success(), "{status}: {}", process.stderr());
    assert!(client.get(format!("http://{addr}/v2/")).send().await.is_err());
}

#[tokio::test]
async fn options_switch_habits() {
    let Some(registry) = Registry::start().await.unwrap() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_acr-double"));
    command.args(["--backing", &registry.url(), "--limited-reader", "l:p:"]);
    command.args(["--tier", "basic", "--reads", "1:1", "--period-s", "3600"]);
    command.args(["--lag-requests", "1", "--redirects", "get-only", "--accept-newline-user"]);
    command.args(["--referrers-api", "kept"]);
    let mut process = Process::spawn("acr-double", &mut command, folder.path()).unwrap();
    let line: serde_json::Value =
        process.wait_for_line(SOON, |line| serde_json::from_str(line).ok()).await.unwrap();
    let url = line["url"].as_str().unwrap();
    assert!(line["elsewhere_addr"].as_str().unwrap().starts_with("127.0.0.2:"));
    let client = Client::new();
    let version = |user: &str| client.get(format!("{url}/v2/")).basic(user, "p").send();
    let manifest = client.get(format!("{url}/v2/acme/web/manifests/v1")).basic("l", "p").send();
    assert_eq!(manifest.await.unwrap().status, 401, "it may pull from no repository");
    let mut statuses = Vec::new();
    for user in ["l\n", "l", "l"] {
        statuses.push(version(user).await.unwrap().status.as_u16());
    }
    assert_eq!(statuses, [401, 200, 429]);
    for wrong in [["--reads", "many"], ["--limited-reader", "l"], ["--tier", "gold"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acr-double"));
        command.args(["--backing", "http://127.0.0.1:1"]).args(wrong);
        let mut process = Process::spawn("acr-double", &mut command, folder.path()).unwrap();
        assert!(!process.wait(SOON).await.unwrap().success(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_port_in_use_and_a_wrong_backing_are_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (options, said) in [
        (["--backing", "http://127.0.0.1:1", "--listen", &addr], addr.as_str()),
        (["--backing", "127.0.0.1:1", "--listen", "127.0.0.1:0"], "http://HOST:PORT"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acr-double"));
        command.args(options);
        let mut process = Process::spawn("acr-double", &mut command, folder.path()).unwrap();
        let status = process.wait(SOON).await.unwrap();
        assert!(!status.success());
        assert!(process.stderr().contains(said), "{}", process.stderr());
    }
}
