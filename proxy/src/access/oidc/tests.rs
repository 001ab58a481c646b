//! OIDC tokens: keys of every kind, and the tokens that identify no caller.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use serde_json::json;

use super::keys::KeySet;
use super::*;
use crate::access::signatures;
use crate::runtime::clock;

/// A key of an issuer in a test.
enum Signing {
    Ec(EcdsaKeyPair, &'static str, &'static str),
    Ed(Ed25519KeyPair),
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signing {
    fn new(algorithm: &'static str) -> Self {
        let random = SystemRandom::new();
        let ec = |curve, name| {
            let key = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
            let key = EcdsaKeyPair::from_pkcs8(curve, key.as_ref(), &random).unwrap();
            Self::Ec(key, algorithm, name)
        };
        match algorithm {
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            _ => {
                let key = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Self::Ed(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
            }
        }
    }

    fn published(&self, id: &str) -> Value {
        match self {
            Self::Ec(key, _, curve) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "kid": id, "use": "sig", "x": base64(x),
                       "y": base64(y)})
            }
            Self::Ed(key) => {
                let x = base64(key.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "alg": "EdDSA", "x": x})
            }
        }
    }

    fn sign(&self, id: &str, claims: &Value) -> String {
        let algorithm = match self {
            Self::Ec(_, algorithm, _) => algorithm,
            Self::Ed(_) => "EdDSA",
        };
        let header = json!({"alg": algorithm, "kid": id, "typ": "JWT"});
        let text = format!(
            "{}.{}",
            base64(header.to_string().as_bytes()),
            base64(claims.to_string().as_bytes())
        );
        let signature = match self {
            Self::Ec(key, ..) => {
                key.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec()
            }
            Self::Ed(key) => key.sign(text.as_bytes()).as_ref().to_vec(),
        };
        format!("{text}.{}", base64(&signature))
    }
}

fn issuer() -> Issuer {
    signatures::install();
    let config: IssuerConfig = toml::from_str(
        "name = \"github\"\nissuer = \"https://i.example.com\"\naudience = [\"wharfd\", \"other\"]\n\
         subject = \"repository\"\nrequire = { owner = \"contoso\", groups = \"a\" }\n\
         jwks_url = \"http://127.0.0.1:1/keys\"\n",
    )
    .unwrap();
    Issuer::new(&config).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://i.example.com", "aud": "wharfd", "exp": clock::now().unix_seconds() + 60,
        "repository": "contoso/app", "owner": "contoso", "groups": ["b", "a"],
    })
}

/// The name in a token, verified with these keys.
fn named(keys: &KeySet, token: &str) -> Option<String> {
    let issuer = issuer();
    let header = jsonwebtoken::decode_header(token).ok()?;
    if !is_public(header.alg) {
        return None;
    }
    let rules = issuer.rules(header.alg);
    let claims = keys
        .fitting(&header)
        .iter()
        .find_map(|key| jsonwebtoken::decode::<Map<String, Value>>(token, key, &rules).ok())?;
    Some(issuer.read(&claims.claims)?.caller.name().to_owned())
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

#[test]
fn a_token_names_its_subject_by_keys_of_every_kind() {
    for algorithm in ["ES256", "ES384", "EdDSA"] {
        let (key, other) = (Signing::new(algorithm), Signing::new(algorithm));
        let keys = set(&[other.published("1"), key.published("2"), json!({"kty": "odd"})]);
        let token = key.sign("2", &claims());
        assert_eq!(named(&keys, &token).as_deref(), Some("github:contoso/app"), "{algorithm}");
        // A token's key id selects the key: a valid signature by another key does not count.
        assert_eq!(named(&keys, &key.sign("1", &claims())), None);
        assert_eq!(named(&keys, &key.sign("3", &claims())), None);
        assert_eq!(named(&set(&[other.published("2")]), &token), None);
    }
}

#[test]
fn what_is_over_for_others_or_not_as_required_names_nobody() {
    let key = Signing::new("ES256");
    let keys = set(&[key.published("1")]);
    let far = CLOCK_LEEWAY.as_secs() + 600;
    let changes = [
        ("iss", json!("https://evil.example.com")),
        ("aud", json!("somebody-else")),
        ("aud", json!(["a", "b"])),
        ("aud", Value::Null),
        ("exp", json!(clock::now().unix_seconds() - far)),
        ("exp", Value::Null),
        ("exp", json!("never")),
        ("nbf", json!(clock::now().unix_seconds() + far)),
        ("owner", json!("evil")),
        ("owner", Value::Null),
        ("groups", json!(["b"])),
        ("repository", Value::Null),
        ("repository", json!("")),
        ("repository", json!(7)),
        ("repository", json!("contoso/a\npp")),
        ("repository", json!("contoso/\u{202e}app")),
        ("repository", json!("contoso/".to_owned() + &"x".repeat(300))),
    ];
    for (name, value) in changes {
        let mut claims = claims();
        claims[name] = value;
        assert_eq!(named(&keys, &key.sign("1", &claims)), None, "{claims}");
    }
    let mut both = claims();
    both["aud"] = json!(["x", "other"]);
    assert!(named(&keys, &key.sign("1", &both)).is_some());
}

#[test]
fn only_public_keys_verify_and_only_with_their_own_algorithm() {
    let key = Signing::new("ES256");
    let published = key.published("1");
    let keys = set(std::slice::from_ref(&published));
    let token = key.sign("1", &claims());
    let (_, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    for alg in ["none", "None", "HS256", "ES384", "RS256", "EdDSA", "ES512"] {
        let header = base64(json!({"alg": alg, "kid": "1"}).to_string().as_bytes());
        assert_eq!(named(&keys, &format!("{header}.{payload}.{signature}")), None, "{alg}");
        assert_eq!(named(&keys, &format!("{header}.{payload}.")), None, "{alg}");
    }
    // Signed with the public key as if it were a secret.
    let secret = EncodingKey::from_secret(published["x"].as_str().unwrap().as_bytes());
    let header = Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::HS256) };
    let forged = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_eq!(named(&keys, &forged), None);
    // An encryption key, or a secret one.
    let mut encrypting = published.clone();
    encrypting["use"] = json!("enc");
    assert_eq!(named(&set(&[encrypting]), &token), None);
    let mut elsewhere = published;
    elsewhere["alg"] = json!("ES384");
    assert_eq!(named(&set(&[elsewhere]), &token), None);
    let shared = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "1"});
    assert!(set(&[shared]).fitting(&header).is_empty());
}

#[test]
fn documents_that_are_no_keys_are_refused() {
    for wrong in ["", "{}", "[]", "{\"keys\": 7}", "\u{0}"] {
        assert!(KeySet::parse(wrong.as_bytes()).is_none(), "{wrong}");
    }
    let header = Header::new(Algorithm::RS256);
    let keys =
        set(&[json!({"kty": "RSA"}), json!({"kty": "RSA", "n": "!", "e": "AQAB"}), json!(7)]);
    assert!(keys.fitting(&header).is_empty());
    let many: Vec<Value> =
        (0..1_000).map(|_| json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"})).collect();
    let fitting: Vec<DecodingKey> = set(&many).fitting(&header);
    assert_eq!(fitting.len(), crate::limits::ISSUER_KEYS_MAX);
}
