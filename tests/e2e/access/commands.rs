//! `wharfd serve` takes the output of `wharfd access`.

use super::scene::{Scene, access_command};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_makes_opens_the_door() {
    let mut scene = Scene::set().await;
    let path = |name: &str| scene.folder.path().join(name);
    let mut lines = String::new();
    for kind in ["bcrypt", "argon2id"] {
        let (made, line, error) =
            access_command(&["hash-password", kind, "--kind", kind], "a pass:word\nmore");
        assert!(made, "{error}");
        assert!(!line.contains("pass:word"));
        lines += &line;
    }
    std::fs::write(path("htpasswd"), lines).unwrap();
    let tokens = path("tokens").display().to_string();
    let (made, ending, _) =
        access_command(&["token", "ci-2", "--expires-in", "90d", "--file", &tokens], "");
    assert!(made);
    let (made, over, _) =
        access_command(&["token", "ci-3", "--expires-in", "0s", "--file", &tokens], "");
    assert!(made);
    let (made, printed, _) = access_command(&["token", "ci-4"], "");
    assert!(made);
    let (secret, line) = printed.trim().split_once('\n').unwrap();
    let kept = std::fs::read_to_string(path("tokens")).unwrap();
    assert!(!kept.contains(ending.trim()) && kept.lines().count() == 3);
    std::fs::write(path("tokens"), format!("{kept}{line}\n")).unwrap();
    scene.wharfd.stop().await;
    scene.wharfd.start_again().await;
    for (name, secret, expected) in [
        ("bcrypt", "a pass:word", 200),
        ("argon2id", "a pass:word", 200),
        ("argon2id", "a pass", 401),
        ("ci-1", scene.token.as_str(), 200),
        ("ci-2", ending.trim(), 200),
        ("ci-3", over.trim(), 401),
        ("ci-4", secret, 200),
    ] {
        let answer = scene.nobody().with_password(name, secret).get("/v2/").await;
        assert_eq!(answer.status, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_says_why() {
    for (arguments, input, word) in [
        (&["hash-password", "a b"][..], "x\n", "letters"),
        (&["hash-password", "a"], "\n", "empty"),
        (&["hash-password", "anonymous"], "x\n", "another"),
        (&["token", "a:b"], "", "letters"),
        (&["token", "a", "--file", "/nowhere/tokens"], "", "/nowhere/tokens"),
    ] {
        let (made, stdout, stderr) = access_command(arguments, input);
        assert!(!made && stdout.is_empty() && stderr.contains(word), "{arguments:?}: {stderr}");
    }
}
