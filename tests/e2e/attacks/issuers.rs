//! Tokens of a trusted issuer: forged, for another audience, expired, and by unknown keys.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::jwt::{Key, Shelf, now, sign_hs256, unsigned};
use super::users::{SECRET, Setup, Shown, Users};

/// A registry with one trusted issuer, and the issuer's key.
struct Trusting {
    users: Users,
    key: Key,
    shelf: Shelf,
}

impl Trusting {
    async fn set() -> Self {
        let key = Key::new();
        let shelf = Shelf::with(&json!({ "keys": [key.jwk("one")] })).await;
        let after = format!(
            "[[access.issuer]]\nname = \"idp\"\nissuer = \"https://idp.example\"\n\
             audience = \"wharfd\"\njwks_url = \"{}\"\nrequire = {{ tenant = \"contoso\" }}\n",
            shelf.url
        );
        let users = Users::with(Setup { after: &after, ..Setup::default() }).await;
        users.plant(SECRET, "a secret layer").await;
        Self { users, key, shelf }
    }

    /// The status for the secret manifest.
    async fn status(&self, token: &str) -> u16 {
        let path = format!("/v2/{SECRET}/manifests/v1");
        self.users.ask(&Shown::bearer(token), "GET", &path).await.status
    }

    async fn assert_refused(&self, what: &str, token: &str) {
        let status = self.status(token).await;
        assert!(matches!(status, 401 | 403 | 431), "{what}: {status}");
    }
}

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "JWT", "kid": "one" })
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example", "aud": "wharfd", "sub": "alice", "tenant": "contoso",
        "iat": now(), "nbf": now() - 5, "exp": now() + 600,
    })
}

/// The claims with some changed; `null` takes one away.
fn but(changes: &Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

#[tokio::test]
async fn a_signature_counts_only_when_it_is_of_a_key_and_a_kind_that_the_issuer_has() {
    let trusting = Trusting::set().await;
    let key = &trusting.key;
    assert_eq!(trusting.status(&key.sign(&header(), &claims())).await, 200, "the good one");
    let stranger = Key::new();
    trusting.assert_refused("another key", &stranger.sign(&header(), &claims())).await;
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({ "alg": alg, "kid": "one" });
        for end in ["", ".", ".AAAA"] {
            let token = format!("{}{end}", unsigned(&header, &claims()));
            trusting.assert_refused(&format!("{alg:?} {end}"), &token).await;
        }
    }
    // The public key as an HMAC secret.
    let (x, y) = key.point()[1..].split_at(32);
    let jwk = key.jwk("one");
    let (written, both) = (jwk.to_string(), [x, y].concat());
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(key.point())
    );
    let publics: [&[u8]; 9] = [
        key.point(),
        x,
        y,
        written.as_bytes(),
        pem.as_bytes(),
        b"one",
        b"",
        jwk["x"].as_str().unwrap().as_bytes(),
        &both,
    ];
    for alg in ["HS256", "HS384", "HS512"] {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": "one" });
        for public in publics {
            let token = sign_hs256(&header, &claims(), public);
            trusting.assert_refused(&format!("{alg} with what is public"), &token).await;
        }
    }
    for alg in ["RS256", "PS256", "ES384", "ES512", "EdDSA", "ES256K"] {
        let token = key.sign(&json!({ "alg": alg, "kid": "one" }), &claims());
        trusting.assert_refused(alg, &token).await;
    }
    let good = key.sign(&header(), &claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let swapped = unsigned(&header(), &but(&json!({ "sub": "root" })));
    let zero = URL_SAFE_NO_PAD.encode([0_u8; 64]);
    for (what, token) in [
        ("other claims", format!("{swapped}.{signature}")),
        ("zeroes", format!("{signed}.{zero}")),
        ("no signature", format!("{signed}.")),
        ("half", format!("{signed}.{}", &signature[..40])),
        ("twice", format!("{signed}.{signature}{signature}")),
    ] {
        trusting.assert_refused(what, &token).await;
    }
}

#[tokio::test]
async fn a_good_signature_is_not_enough_where_the_claims_are_wrong() {
    let trusting = Trusting::set().await;
    let rows = [
        ("over", json!({ "exp": now() - 600 })),
        ("without an end", json!({ "exp": null })),
        ("an end in words", json!({ "exp": "never" })),
        ("not yet", json!({ "nbf": now() + 3_600 })),
        ("another audience", json!({ "aud": "other" })),
        ("other audiences", json!({ "aud": ["other", "wharfd.example", "WHARFD"] })),
        ("no audience", json!({ "aud": null })),
        ("an empty audience", json!({ "aud": [] })),
        ("another issuer", json!({ "iss": "https://idp.example.evil" })),
        ("an issuer with a slash", json!({ "iss": "https://idp.example/" })),
        ("no issuer", json!({ "iss": null })),
        ("another tenant", json!({ "tenant": "evil" })),
        ("no tenant", json!({ "tenant": null })),
        ("a tenant of another type", json!({ "tenant": { "contoso": true } })),
        ("a tenant in capitals", json!({ "tenant": "CONTOSO" })),
        ("no subject", json!({ "sub": null })),
        ("an empty subject", json!({ "sub": "" })),
        ("a subject that is a number", json!({ "sub": 7 })),
        ("a subject with a line", json!({ "sub": "alice\nroot" })),
        ("another subject", json!({ "sub": "bob" })),
        ("a user of ours", json!({ "sub": "root" })),
        ("a pattern", json!({ "sub": "*" })),
        ("a longer name", json!({ "sub": "alice ".repeat(2_000) })),
        ("a name with a null", json!({ "sub": "alice\0" })),
        ("a name in capitals", json!({ "sub": "ALICE" })),
        ("a name that looks like it", json!({ "sub": "al\u{131}ce" })),
    ];
    for (what, changes) in rows {
        let token = trusting.key.sign(&header(), &but(&changes));
        trusting.assert_refused(what, &token).await;
    }
    // A subject with the name of our user is another caller.
    let root = trusting.key.sign(&header(), &but(&json!({ "sub": "root" })));
    let answer = trusting.users.ask(&Shown::bearer(&root), "GET", "/v2/any/manifests/v1").await;
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
    let several = trusting.key.sign(&header(), &but(&json!({ "aud": ["other", "wharfd"] })));
    assert_eq!(trusting.status(&several).await, 200, "one of several audiences is enough");
}

#[tokio::test]
async fn keys_come_from_the_configured_place_and_are_not_asked_for_at_a_stranger_s_will() {
    let trusting = Trusting::set().await;
    let stranger = Key::new();
    let theirs = Shelf::with(&json!({ "keys": [stranger.jwk("one"), stranger.jwk("evil")] })).await;
    for name in ["jku", "x5u", "iss"] {
        let mut header = json!({ "alg": "ES256", "typ": "JWT", "kid": "evil" });
        header[name] = json!(theirs.url);
        trusting.assert_refused(name, &stranger.sign(&header, &claims())).await;
        let named = but(&json!({ "iss": theirs.url }));
        trusting.assert_refused(name, &stranger.sign(&header, &named)).await;
    }
    let mut header = json!({ "alg": "ES256", "typ": "JWT", "kid": "evil" });
    header["jwk"] = stranger.jwk("evil");
    trusting.assert_refused("a key in the header", &stranger.sign(&header, &claims())).await;
    // Key ids with the address of another host or of none; an unknown key id causes no new request.
    for number in 0..60 {
        let kid = match number {
            0 => "../../../../dev/null".to_owned(),
            1 => "/etc/passwd".to_owned(),
            2 => format!("{}/keys", theirs.url),
            3 => "' OR '1'='1".to_owned(),
            4 => "one\0".to_owned(),
            5 => "a".repeat(9_000),
            number => format!("unknown-{number}"),
        };
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": kid });
        trusting.assert_refused(&kid, &stranger.sign(&header, &claims())).await;
    }
    assert_eq!(theirs.asked(), 0, "it went where a token told it to go");
    let asked = trusting.shelf.asked();
    assert!(asked <= 3, "the issuer was asked {asked} times for keys that it does not have");
    assert_eq!(trusting.status(&trusting.key.sign(&self::header(), &claims())).await, 200);
}
