//! Uploads of others: their Locations are useless to every other client, however obtained.

use wharf_testkit::images::sha256;

use super::users::{SECRET, Shown, Users};

#[tokio::test]
async fn an_upload_is_nobody_s_but_that_of_who_opened_it() {
    let users = Users::set().await;
    let alice = Shown::user("alice");
    let location = users.open_upload(&alice, SECRET).await;
    let patched = users.send(&alice, "PATCH", &location, b"alice's bytes, ").await;
    assert_eq!(patched.status, 202, "{}", patched.text());
    let digest = sha256(b"alice's bytes, and the end");
    let token = users.token(&alice, &format!("repository:{SECRET}:push,pull")).await;
    let pull_only = users.token(&alice, &format!("repository:{SECRET}:pull")).await;
    let elsewhere = location.replace(SECRET, "bob/app");
    // ci-1 may push to the same repository, bob may not, and a token for pull alone is not enough.
    for (who, shown, path) in [
        ("nobody", Shown::nothing(), &location),
        ("bob", Shown::user("bob"), &location),
        ("bob, in his own repository", Shown::user("bob"), &elsewhere),
        ("ci-1", Shown::basic("ci-1", &users.robot), &location),
        ("ci-1 as bearer", Shown::bearer(&users.robot), &location),
        ("alice's token to pull", Shown::bearer(&pull_only), &location),
    ] {
        for (method, body) in
            [("GET", &b""[..]), ("PATCH", b"evil"), ("PUT", b"evil"), ("DELETE", b"")]
        {
            let path =
                if method == "PUT" { format!("{path}?digest={digest}") } else { path.clone() };
            let answer = users.send(&shown, method, &path, body).await;
            assert!(matches!(answer.status, 401 | 403 | 404), "{who}: {method}: {answer:?}");
            assert!(!answer.text().contains("15"), "{who} learns how long it is: {answer:?}");
        }
        let status = users.ask(&alice, "GET", &location).await;
        assert_eq!((status.status, status.header("range")), (204, "0-14"), "after {who}");
    }
    // A forbidden session looks to ci-1 like a missing one.
    let robot = Shown::basic("ci-1", &users.robot);
    let unknown = format!("/v2/{SECRET}/blobs/uploads/{:032x}", 12);
    let there = users.ask(&robot, "GET", &location).await;
    let missing = users.ask(&robot, "GET", &unknown).await;
    assert_eq!((there.status, there.text()), (missing.status, missing.text()));
    // The same user may go on with another login, and a user with all rights may look after the
    // upload.
    let by_token = users.send(&Shown::bearer(&token), "PATCH", &location, b"and the end").await;
    assert_eq!(by_token.status, 202, "{}", by_token.text());
    assert_eq!(users.ask(&Shown::user("root"), "GET", &location).await.status, 204);
    let ended = users.ask(&alice, "PUT", &format!("{location}?digest={digest}")).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
}
