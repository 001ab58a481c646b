//! Authentication by passwords, tokens and issuers, and its lifetimes, without a server.

use std::sync::Arc;

use super::*;
use crate::access::{AccessRule, Actions, Grants};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// `alice-password`, with the least cost.
const ALICE: &str = "alice:$2y$05$abcdefghijklmnopqrstuuZ8x5zyHk/OWcnyt5S3g.ULVoOjZZfR.";

fn config(passwords: &str, actions: &[Action]) -> UsersConfig {
    let rule = AccessRule {
        who: vec!["alice".to_owned().try_into().unwrap()],
        repositories: vec!["a/*".to_owned().try_into().unwrap()],
        actions: actions.iter().fold(Actions::default(), |all, action| all.with(*action)),
    };
    UsersConfig {
        passwords: Arc::new(Passwords::parse(passwords).unwrap()),
        tokens: ApiTokens::default(),
        rules: AccessRules(vec![rule]),
        issuers: Vec::new(),
        public_url: None,
        token_key: None,
        token_lifetime: Duration::from_mins(5),
    }
}

fn users(passwords: &str, actions: &[Action], before: Option<&Users>) -> Users {
    let failures = before.map(|before| Arc::clone(before.failures()));
    let failures = failures.unwrap_or_else(|| Arc::new(LoginThrottle::new().unwrap()));
    Users::new(&config(passwords, actions), KEY, failures, before).unwrap()
}

fn basic(user: &str, password: &str) -> Credentials {
    Credentials::Basic(user.to_owned(), Secret::new(password))
}

fn need(action: Action) -> Permission {
    Permission::of_one("a/b".parse().unwrap(), action)
}

async fn given(users: &Users, scope: &str) -> String {
    let request = TokenRequest {
        shown: basic("alice", "alice-password"),
        refresh: None,
        grants: Grants::asked([scope].into_iter()),
        wants_refresh: false,
    };
    users.give(request, CLIENT).await.unwrap().1.token
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_log_in_at_once_with_the_same_password_are_one_login() {
    let users = Arc::new(users(ALICE, &[Action::Pull], None));
    let all: Vec<_> = (0..200)
        .map(|_| {
            let users = Arc::clone(&users);
            tokio::spawn(async move {
                users.authenticate(&basic("alice", "alice-password"), CLIENT).await
            })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap().name(), "alice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_once_are_counted_each() {
    let users = Arc::new(users(ALICE, &[Action::Pull], None));
    let all: Vec<_> = (0..100)
        .map(|n| {
            let users = Arc::clone(&users);
            tokio::spawn(async move {
                users.authenticate(&basic("alice", &format!("guess {n}")), CLIENT).await
            })
        })
        .collect();
    let (mut refused, mut held_back) = (0, 0);
    for one in all {
        match one.await.unwrap() {
            Err(Error::LoginRefused) => refused += 1,
            Err(Error::TooManyLogins { .. } | Error::TooMany(_)) => held_back += 1,
            other => panic!("{other:?}"),
        }
    }
    let most = crate::limits::LOGIN_FAILURES_BURST + 5;
    assert!(refused <= most && refused + held_back == 100, "{refused} {held_back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_addresses_that_guess_without_end_keep_no_third_one_out() {
    let users = Arc::new(users(ALICE, &[Action::Pull], None));
    let from = |last: u8| IpAddr::from([192, 0, 2, last]);
    let guesses: Vec<_> = (0..1_000)
        .map(|n: u32| {
            let users = Arc::clone(&users);
            // Unlimited user names, so that no name's counter interferes.
            let (user, client) = (format!("user-{n}"), from(u8::try_from(n % 2).unwrap()));
            tokio::spawn(async move { users.authenticate(&basic(&user, "guess"), client).await })
        })
        .collect();
    while users.checks.count() < 64 && !guesses.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::task::yield_now().await;
    }
    let alice = users.authenticate(&basic("alice", "alice-password"), from(3)).await;
    assert_eq!(alice.unwrap().name(), "alice");
    for guess in guesses {
        guess.await.unwrap().unwrap_err();
    }
}

#[tokio::test]
async fn a_rule_that_is_taken_away_counts_at_once_also_for_tokens_that_were_given() {
    let before = users(ALICE, &[Action::Pull, Action::Push], None);
    let token = Credentials::Bearer(Secret::new(given(&before, "repository:a/b:pull,push").await));
    let holder = before.authenticate(&token, CLIENT).await.unwrap();
    before.authorize(&holder, &need(Action::Push)).unwrap();

    let after = users(ALICE, &[Action::Pull], Some(&before));
    let holder = after.authenticate(&token, CLIENT).await.unwrap();
    after.authorize(&holder, &need(Action::Pull)).unwrap();
    let refused = after.authorize(&holder, &need(Action::Push));
    assert!(matches!(refused, Err(Error::ScopeNeeded { .. })));
    let nobody = users("", &[Action::Pull, Action::Push], Some(&after));
    assert!(matches!(nobody.authenticate(&token, CLIENT).await, Err(Error::LoginRefused)));
    let shown = basic("alice", "alice-password");
    assert!(matches!(nobody.authenticate(&shown, CLIENT).await, Err(Error::LoginRefused)));
}

#[tokio::test]
async fn a_rule_that_is_added_does_not_widen_a_token() {
    let before = users(ALICE, &[Action::Pull], None);
    let token = given(&before, "repository:a/b:pull,push").await;
    let after = users(ALICE, &[Action::Pull, Action::Push], Some(&before));
    let holder =
        after.authenticate(&Credentials::Bearer(Secret::new(token)), CLIENT).await.unwrap();
    after.authorize(&holder, &need(Action::Pull)).unwrap();
    assert!(after.authorize(&holder, &need(Action::Push)).is_err());
    let alice = after.authenticate(&basic("alice", "alice-password"), CLIENT).await.unwrap();
    after.authorize(&alice, &need(Action::Push)).unwrap();
    assert!(matches!(after.authorize(&alice, &need(Action::Delete)), Err(Error::Denied)));
}

#[tokio::test]
async fn who_guessed_before_a_reload_still_waits_after_it() {
    let before = users(ALICE, &[Action::Pull], None);
    for n in 0..50 {
        let _ = before.authenticate(&basic("alice", &format!("guess {n}")), CLIENT).await;
    }
    let after = users(ALICE, &[Action::Pull], Some(&before));
    let held_back = after.authenticate(&basic("alice", "another"), CLIENT).await;
    assert!(matches!(held_back, Err(Error::TooManyLogins { .. })));
}

#[tokio::test]
async fn a_mount_wants_a_token_for_its_source_when_one_can_be_had() {
    let users = users(ALICE, &[Action::Pull, Action::Push], None);
    let mount = |source: &str| Permission { source: source.parse().ok(), ..need(Action::Push) };
    let holder = async |scope: &str| {
        let token = Credentials::Bearer(Secret::new(given(&users, scope).await));
        users.authenticate(&token, CLIENT).await.unwrap()
    };
    let target = holder("repository:a/b:pull,push").await;
    let scope = match users.authorize(&target, &mount("a/c")) {
        Err(Error::ScopeNeeded { scope }) => scope,
        other => panic!("{other:?}"),
    };
    assert_eq!(scope, "repository:a/b:pull,push repository:a/c:pull");
    users.authorize(&holder(&scope).await, &mount("a/c")).unwrap();
    // A source no token would allow is left out of the challenge: the mount becomes an upload.
    users.authorize(&target, &mount("elsewhere/c")).unwrap();
    // A caller with a password needs no token.
    let alice = users.authenticate(&basic("alice", "alice-password"), CLIENT).await.unwrap();
    users.authorize(&alice, &mount("a/c")).unwrap();
    let nobody = users.authorize(&Caller::anonymous(), &mount("a/c"));
    assert!(matches!(nobody, Err(Error::LoginNeeded { scope: said }) if said == scope));
}
