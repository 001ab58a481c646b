//! Secrets of clients and of the registry: planted, used, refused and mangled with the log at its
//! most verbose. Then the test searches for them in all output, responses and files of `wharfd`.
//! `credentials/secrets.rs` searches for the registry's own upstream logins.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::jwt::{Key, Shelf, now};
use super::users::{SECRET, Setup, Shown, Users, password};

const WRONG: &str = "planted-wrong-password-7c1d";
const TYPED: &str = "planted-typed-as-user-90be";
const UNKNOWN_TOKEN: &str = "wharf_planted-unknown-token-5a5a-aaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SIGNING: &str = "planted-signing-key-0123456789abcdef0123456789abcdef01234567";
const PROXY: &str = "planted-proxy-authorization-12ef";

/// The visible forms of a secret: plain, in an address, and in base64 after any prefix.
fn forms(secret: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([secret.to_owned()]);
    forms.insert(form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    for before in 0..3 {
        let shifted = format!("{}{secret}", "x".repeat(before));
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            forms.insert(text[before * 4 / 3 + 1..text.len() - 1].to_owned());
        }
    }
    forms
}

/// Every text with a possible secret, by its place.
async fn places(users: &Users, answers: &[String]) -> Vec<(String, Vec<u8>)> {
    let daemon = &users.daemon;
    let mut places = vec![
        ("the log".to_owned(), daemon.log().into_bytes()),
        ("standard output".to_owned(), daemon.process.stdout().into_bytes()),
        ("the metrics".to_owned(), daemon.metrics().await.into_bytes()),
        ("the answers".to_owned(), answers.join("\n").into_bytes()),
    ];
    let pid = daemon.process.pid();
    places.push(("the arguments".to_owned(), fs::read(format!("/proc/{pid}/cmdline")).unwrap()));
    let (mut open, meant) = (vec![daemon.folder.path().to_owned()], ["htpasswd", "signing.key"]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if !meant.iter().any(|name| path.ends_with(name)) {
                // A file deleted meanwhile shows nothing.
                places.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
            }
        }
    }
    places
}

fn contains(text: &[u8], form: &str) -> bool {
    text.windows(form.len()).any(|window| window == form.as_bytes())
}

/// Presents credentials on every kind of route; returns the responses.
async fn show(users: &Users, shown: &Shown, answers: &mut Vec<String>) {
    for (method, path) in [
        ("GET", "/v2/".to_owned()),
        ("GET", format!("/v2/{SECRET}/manifests/v1")),
        ("POST", format!("/v2/{SECRET}/blobs/uploads/")),
        ("GET", "/v2/_catalog".to_owned()),
        ("GET", format!("/token?service=wharfd&scope=repository:{SECRET}:pull")),
        ("GET", "/nothing".to_owned()),
    ] {
        let answer = users.ask(shown, method, &path).await;
        // The token endpoint gives its token to the caller on purpose.
        let given = path.starts_with("/token") && answer.status == 200;
        let body = Some(answer.text()).filter(|_| !given);
        answers.push(format!("{:?} {body:?}", answer.headers));
    }
}

/// A form like an OAuth client's; returns the issued tokens.
async fn buy(users: &Users, fields: &[(&str, &str)], answers: &mut Vec<String>) -> Vec<String> {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let kind = Shown("content-type: application/x-www-form-urlencoded\r\n".to_owned());
    let answer = users.send(&kind, "POST", "/token", form.as_bytes()).await;
    if answer.status != 200 {
        answers.push(format!("{:?} {}", answer.headers, answer.text()));
        return Vec::new();
    }
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    let tokens = ["token", "access_token", "refresh_token"];
    tokens.iter().filter_map(|name| Some(said[name].as_str()?.to_owned())).collect()
}

/// A registry with every kind of secret, and its log at its loudest.
async fn loud(key: &Key, folder: &Path) -> (Users, Shelf) {
    let shelf = Shelf::with(&json!({ "keys": [key.jwk("one")] })).await;
    let file = folder.join("signing.key");
    fs::write(&file, SIGNING).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let keys = format!("token_key_file = \"{}\"\n", file.display());
    let after = format!(
        "[[access.issuer]]\nname = \"idp\"\nissuer = \"https://idp.example\"\naudience = \"wharfd\"\n\
         jwks_url = \"{}\"\n",
        shelf.url
    );
    let environment = [("WHARFD_LOG", "trace")];
    let setup = Setup { keys: &keys, after: &after, environment: &environment, ..Setup::default() };
    let users = Users::with(setup).await;
    users.plant(SECRET, "a secret layer").await;
    (users, shelf)
}

/// Tokens of every possible kind for the users.
struct Tokens {
    ours: String,
    good: String,
    bad: String,
}

impl Tokens {
    async fn of(users: &Users, key: &Key) -> Self {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "one" });
        let sign = |audience: &str| {
            let issuer = "https://idp.example";
            let exp = now() + 600;
            key.sign(
                &header,
                &json!({ "iss": issuer, "aud": audience, "sub": "alice", "exp": exp }),
            )
        };
        let scope = format!("repository:{SECRET}:pull,push");
        let ours = users.token(&Shown::user("alice"), &scope).await;
        Self { ours, good: sign("wharfd"), bad: sign("other") }
    }

    /// All possible credentials, right and wrong.
    fn shown(&self, robot: &str) -> Vec<Shown> {
        let Self { ours, good, bad } = self;
        vec![
            Shown::user("alice"),
            Shown::user("bob"),
            Shown::basic("alice", WRONG),
            Shown::basic(TYPED, WRONG),
            Shown::basic("ci-1", robot),
            Shown::bearer(robot),
            Shown::bearer(UNKNOWN_TOKEN),
            Shown::basic("ci-1", UNKNOWN_TOKEN),
            Shown::bearer(ours),
            Shown::bearer(&format!("{}x", &ours[..ours.len() - 1])),
            Shown::bearer(good),
            Shown::bearer(bad),
            Shown::basic("idp:alice", good),
            Shown(format!("authorization: {WRONG}\r\n")),
            Shown(format!("authorization: Digest {WRONG}\r\n")),
            Shown(format!("authorization: Bearer {WRONG} {WRONG}\r\n")),
            Shown(format!("proxy-authorization: Basic {PROXY}\r\ncookie: token={PROXY}\r\n")),
        ]
    }
}

#[tokio::test]
async fn nothing_that_clients_show_is_written_down_anywhere() {
    let (key, folder) = (Key::new(), tempfile::TempDir::new().unwrap());
    let (users, _shelf) = loud(&key, folder.path()).await;
    let tokens = Tokens::of(&users, &key).await;
    let mut answers = Vec::new();
    for shown in tokens.shown(&users.robot) {
        show(&users, &shown, &mut answers).await;
    }
    let known = password("alice");
    let planted = [WRONG, TYPED, UNKNOWN_TOKEN, SIGNING, PROXY, &known, &users.robot];
    let mut secrets: BTreeSet<String> = planted.into_iter().map(str::to_owned).collect();
    secrets.extend([password("bob"), tokens.ours.clone(), tokens.good, tokens.bad]);
    for fields in [
        &[
            ("grant_type", "password"),
            ("username", "alice"),
            ("password", known.as_str()),
            ("access_type", "offline"),
            ("scope", "repository:team/secret:pull"),
        ][..],
        &[("grant_type", "password"), ("username", "alice"), ("password", WRONG)],
        &[("grant_type", "refresh_token"), ("refresh_token", UNKNOWN_TOKEN)],
        &[("grant_type", WRONG), ("password", WRONG)],
    ] {
        let bought = buy(&users, fields, &mut answers).await;
        for token in &bought {
            let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            secrets.extend(buy(&users, &fields, &mut answers).await);
        }
        secrets.extend(bought);
    }
    // Secrets in query parameters, the wrong place for them.
    for query in
        [format!("?password={WRONG}"), format!("?token={}&access_token={WRONG}", tokens.ours)]
    {
        for path in ["/v2/", "/token"] {
            let answer = users.ask(&Shown::nothing(), "GET", &format!("{path}{query}")).await;
            answers.push(format!("{:?}", answer.headers));
        }
    }
    assert!(users.daemon.log().contains("TRACE"), "the log is not at its loudest");
    assert!(secrets.len() > 13, "tokens were bought");
    search(&users, &secrets, &answers).await;
}

async fn search(users: &Users, secrets: &BTreeSet<String>, answers: &[String]) {
    let places = places(users, answers).await;
    assert!(places.len() > 10, "the store has files");
    for secret in secrets {
        // Of a long token its signature would do, too.
        let parts = secret.rsplit('.').next().filter(|part| part.len() > 20);
        for form in forms(secret).into_iter().chain(parts.map(str::to_owned)) {
            for (place, text) in &places {
                assert!(!contains(text, &form), "{place} shows {secret} as {form}");
            }
        }
    }
    // The store of long-lived tokens has only their hash.
    let tokens = fs::read_to_string(users.daemon.path("tokens")).unwrap();
    assert!(tokens.starts_with("ci-1 sha256:"), "{tokens}");
}

#[tokio::test]
async fn files_with_secrets_are_for_their_owner_only() {
    use std::os::unix::fs::MetadataExt as _;
    let users = Users::set().await;
    let store = users.daemon.path("store");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let key = store.join("token.key");
    assert!(key.is_file(), "a key of its own lies in the folder of the store");
    assert_eq!(mode(&key), 0o600, "{}", key.display());
}
