//! Causes for `wharfd` not to serve: configuration (exit code 2), port and store (5). Each message
//! names the cause, its place, and the remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use tempfile::TempDir;
use tokio::net::TcpListener;
use wharf_testkit::processes::Process;

use crate::fixture::{How, START, Wharfd, command};

/// Runs `wharfd` to its end; returns its exit code and output.
async fn run<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> (i32, String) {
    let folder = TempDir::new().unwrap();
    let mut process = Process::spawn("wharfd", &mut command(arguments), folder.path()).unwrap();
    let status = process.wait(START).await.unwrap();
    assert_eq!(process.stdout(), "", "messages belong on standard error");
    (status.code().expect("no signal ended it"), process.stderr())
}

/// Writes a configuration and runs `wharfd serve --config` with it.
async fn run_with_config(text: &str) -> (i32, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wharfd.toml");
    fs::write(&path, text).unwrap();
    run(["serve".as_ref(), "--config".as_ref(), path.as_os_str()]).await
}

async fn serve_on(store: &Path) -> (i32, String) {
    let store = store.as_os_str();
    run(["serve".as_ref(), "--listen".as_ref(), "127.0.0.1:0".as_ref(), "--store".as_ref(), store])
        .await
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_its_line_and_a_way_out() {
    let upstream = |rest: &str| format!("store = \"s\"\n[[upstream]]\n{rest}\n");
    let rows = [
        ("store = \"s\"\nlisten_on = \"127.0.0.1:1\"\n".to_owned(), vec!["line 2", "listen_on"]),
        (upstream("url = \"http://h\"\ntag_ttl = 5"), vec!["line 4", "tag_ttl"]),
        ("store = \n".to_owned(), vec!["line 1"]),
        ("store = 5\n".to_owned(), vec!["line 1"]),
        ("store = \"s\"\nlisten = \"localhost\"\n".to_owned(), vec!["line 2"]),
        (upstream("prefix = \"Upper\"\nurl = \"http://h\""), vec!["line 3", "Upper"]),
        ("listen = \"127.0.0.1:0\"\n".to_owned(), vec!["--store"]),
        ("store = \"s\"\nlisten = \"0.0.0.0:0\"\n".to_owned(), vec!["--insecure-open", "0.0.0.0"]),
        (upstream("url = \"ftp://h\""), vec!["ftp://h", "https://"]),
        (upstream("url = \"https://h/v2/\""), vec!["path"]),
        (upstream("url = \"https://user:word@h\""), vec!["password_env"]),
        (upstream("url = \"https://h\"\nusername = \"u\""), vec!["password_env"]),
        (
            upstream("url = \"https://h\"\nusername = \"u\"\npassword_env = \"E2E_NOT_SET\""),
            vec!["E2E_NOT_SET"],
        ),
        (
            upstream("url = \"https://h\"\nusername = \"u\"\npassword_file = \"/no/such\""),
            vec!["/no/such"],
        ),
        (upstream("url = \"https://h\"\nca_file = \"/no/such.pem\""), vec!["/no/such.pem"]),
        (upstream("url = \"https://h\"\n[[upstream]]\nurl = \"https://g\""), vec!["prefix"]),
    ];
    for (text, expected) in rows {
        let (code, said) = run_with_config(&text).await;
        assert_eq!(code, 2, "{text}\n{said}");
        assert!(said.starts_with("error: "), "{said}");
        for words in expected {
            assert!(said.contains(words), "{words} is missing for {text}\n{said}");
        }
    }
}

#[tokio::test]
async fn wrong_arguments_are_refused() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    for (arguments, expected) in [
        (vec!["serve", "--no-such-option"], "--no-such-option"),
        (vec!["serve", "--listen", "nowhere"], "nowhere"),
        (vec!["serve"], "--store"),
        (vec!["serve", "--config", "/no/such/file.toml"], "/no/such/file.toml"),
        (vec!["serve", "--store", store, "--listen", "0.0.0.0:0"], "--insecure-open"),
        (vec!["serve", "--store", store, "--listen", "[::]:0"], "--insecure-open"),
        (vec!["serve", "--store", store, "--admin", "[::]:0"], "--insecure-http"),
        (vec!["serve", "--store", store, "--tls-key", "/a"], "--tls-cert"),
        (vec!["serve", "--store", store, "--upstream", "acme.azurecr.io"], "https://"),
        (vec!["serve", "--store", store, "--upstream", "A=https://h"], "A=https://h"),
    ] {
        let (code, said) = run(&arguments).await;
        assert_eq!(code, 2, "{arguments:?}\n{said}");
        assert!(said.contains(expected), "{arguments:?}\n{said}");
    }
    assert!(!folder.path().join("store").exists(), "a refused start makes no store");
}

#[tokio::test]
async fn a_configuration_is_checked_without_touching_port_or_store() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let config = folder.path().join("wharfd.toml");
    let text = format!(
        "listen = \"{addr}\"\nstore = \"{}\"\nshutdown_deadline_seconds = 5\n[[upstream]]\n\
         prefix = \"acme\"\nurl = \"https://acme.azurecr.io\"\ntag_ttl_seconds = 60\n",
        store.display()
    );
    fs::write(&config, &text).unwrap();
    let check = ["serve", "--check-config", "--config", config.to_str().unwrap()];
    let (code, said) = run(check).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("good") && !store.exists(), "{said}");
    fs::write(&config, text.replace("tag_ttl_seconds", "ttl")).unwrap();
    let (code, said) = run(check).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("line 7"), "{said}");
}

#[tokio::test]
async fn a_port_in_use_is_named_and_the_store_left_alone() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store");
    let base = ["serve", "--store", store.to_str().unwrap()];
    for (option, other) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let ports = [option, addr.as_str(), other, "127.0.0.1:0"];
        let (code, said) = run(base.iter().chain(&ports)).await;
        assert_eq!(code, 5, "{said}");
        assert!(said.contains(&addr) && said.contains(option), "{said}");
        assert!(!store.exists());
    }
}

#[tokio::test]
async fn a_folder_that_is_not_a_store_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let (code, said) = serve_on(folder.path()).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("not a wharf store") && said.contains("another folder"), "{said}");
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
    let file = folder.path().join("thesis.txt");
    let (code, said) = serve_on(&file).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("thesis.txt") && said.contains("Not a directory"), "{said}");
    assert_eq!(fs::read(file).unwrap(), b"years of work");
}

#[tokio::test]
async fn a_store_of_a_newer_format_is_refused_and_left_as_it_is() {
    let mut wharfd = Wharfd::alone().await;
    wharfd.api.push_blob("acme/web", "kept").await;
    assert!(wharfd.stop().await.success());
    let store = wharfd.store();
    let marker = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
    let marker = marker.filter(|path| path.ends_with("WHARF-STORE")).collect::<Vec<_>>();
    let [marker] = marker.as_slice() else { panic!("one marker, not {marker:?}") };
    let ours = fs::read_to_string(marker).unwrap();
    fs::write(marker, ours.replace(char::is_numeric, "7")).unwrap();
    let (code, said) = serve_on(&store).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("format 7") && said.contains("newer wharfd"), "{said}");
    fs::write(marker, "nonsense").unwrap();
    let (code, said) = serve_on(&store).await;
    assert_eq!(code, 5, "{said}");
    // With its marker back, everything is there.
    fs::write(marker, ours).unwrap();
    wharfd.start_again().await;
    let digest = wharf_testkit::images::sha256(b"kept");
    assert_eq!(wharfd.api.get_blob("acme/web", &digest).await.body, "kept");
}

#[tokio::test]
async fn a_store_in_use_is_refused_and_its_user_undisturbed() {
    let wharfd = Wharfd::alone().await;
    let digest = wharfd.api.push_blob("acme/web", "kept").await;
    let (code, said) = serve_on(&wharfd.store()).await;
    assert_eq!(code, 5, "{said}");
    let owner = format!("in use by another process (process {})", wharfd.pid());
    assert!(said.contains(&owner) && said.contains("one process at a time"), "{said}");
    assert_eq!(wharfd.api.get_blob("acme/web", &digest).await.body, "kept");
    wharfd.api.push_blob("acme/web", "and more").await;
}

#[tokio::test]
async fn a_folder_without_permission_is_refused_in_the_words_of_the_system() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store");
    fs::create_dir(&store).unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o500)).unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--store", store.to_str().unwrap()];
    let mut command = command(arguments);
    if rustix::process::getuid().is_root() {
        // Root has all rights; the user "nobody" may not even read the folder.
        command.uid(65_534);
    }
    let elsewhere = TempDir::new().unwrap();
    let mut process = Process::spawn("wharfd", &mut command, elsewhere.path()).unwrap();
    let status = process.wait(START).await.unwrap();
    let said = process.stderr();
    assert_eq!(status.code(), Some(5), "{said}");
    assert!(said.contains("cannot open the store") && said.contains("Permission denied"), "{said}");
    assert_eq!(said.matches("Permission denied").count(), 1, "{said}");
}

#[tokio::test]
async fn a_name_to_listen_on_is_all_of_its_addresses() {
    let how = How { arguments: vec!["--listen".into(), "localhost:0".into()], ..How::default() };
    let wharfd = Wharfd::started("", how).await;
    let port = wharfd.host().rsplit(':').next().unwrap().to_owned();
    let log = wharfd.log();
    let listening: Vec<_> = log.lines().filter(|line| line.contains("listening on ")).collect();
    assert!(listening.iter().all(|line| line.trim().ends_with(&format!(":{port}"))), "{log}");
    let client = wharf_testkit::http::Client::new();
    let answer = client.get(format!("http://127.0.0.1:{port}/v2/")).send().await.unwrap();
    assert_eq!(answer.status, 200);
}
