use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::scope::ScopeAction;
use crate::settings::Settings;

fn scope() -> Scope {
    Scope::repo(&"a/b".parse().unwrap(), ScopeAction::Push)
}

fn bearer(realm: &str) -> Challenge {
    Challenge::Bearer { realm: realm.to_owned(), service: Some("s".to_owned()), scope: None }
}

fn auth() -> Auth {
    Auth::new(RegistryCredentials::new(&Settings::sample("http://r.example")).unwrap())
}

fn basic() -> LoginProof {
    LoginProof::Basic(sensitive("Basic dTpw").unwrap())
}

fn ask(base: &str, realm: &str, proof: &LoginProof) -> Result<ScopedTokenRequest, ClientError> {
    Auth::token_ask(&Url::parse(base).unwrap(), &bearer(realm), &scope(), proof)
}

#[tokio::test]
async fn a_token_is_used_until_its_expiry_and_forgotten_when_refused() {
    let (auth, challenge) = (auth(), bearer("https://r.example/token"));
    assert!(auth.header(&scope()).is_none());
    let answer = Bytes::from_static(b"{\"access_token\":\"t1\",\"expires_in\":60}");
    let header = auth.learn(&scope(), &challenge, &answer).unwrap();
    assert_eq!(auth.header(&scope()), Some(header.clone()));
    auth.forget(&scope(), Some(&header));
    assert!(auth.header(&scope()).is_none());
    let short = Bytes::from_static(b"{\"token\":\"t2\",\"expires_in\":1}");
    auth.learn(&scope(), &challenge, &short).unwrap();
    assert!(auth.header(&scope()).is_none());
    let endless = Bytes::from_static(b"{\"token\":\"t3\",\"expires_in\":18446744073709551615}");
    assert!(auth.learn(&scope(), &challenge, &endless).is_ok());
    for malformed in ["{}", "{\"token\":\"\"}", "{\"token\":\"a\\nb\"}", "{\"token\":7}", "t"] {
        let answer = Bytes::from_static(malformed.as_bytes());
        assert!(auth.learn(&scope(), &challenge, &answer).is_err(), "{malformed}");
    }
}

#[test]
fn a_token_is_renewed_in_its_last_part_and_one_of_a_moment_never() {
    let now = Instant::now();
    let token = |seconds| {
        let header = sensitive("Bearer t").unwrap();
        Token::new(header, now, Duration::from_secs(seconds))
    };
    let long = token(4_500);
    assert_eq!(long.until - now, Duration::from_secs(4_485));
    assert_eq!(long.due.unwrap() - now, Duration::from_secs(3_585));
    assert_eq!(token(16).due, None);
    assert_eq!(token(5).until, now);
}

#[tokio::test]
async fn who_uses_a_token_in_its_last_part_is_told_once_where_to_renew_it() {
    let (auth, challenge) = (auth(), bearer("https://r.example/token"));
    let answer = Bytes::from_static(b"{\"access_token\":\"t1\",\"expires_in\":3600}");
    auth.learn(&scope(), &challenge, &answer).unwrap();
    assert_eq!(auth.due(&scope()), None);
    auth.known.lock().tokens.get_mut(&scope()).unwrap().due = Some(Instant::now());
    assert_eq!(auth.due(&scope()), Some(challenge));
    assert_eq!(auth.due(&scope()), None);
    assert!(auth.header(&scope()).is_some());
}

#[test]
fn credentials_never_leave_an_encrypted_upstream_unencrypted() {
    let secure = "https://r.example";
    for proof in [basic(), LoginProof::Refresh(Secret::new("t")), LoginProof::Nothing] {
        assert!(ask(secure, "http://r.example/token", &proof).is_err());
        assert!(ask(secure, "ftp://r.example/token", &proof).is_err());
    }
    let elsewhere = ask(secure, "https://t.example/token", &basic()).unwrap();
    let query = elsewhere.url.query().unwrap();
    assert!(query.contains("service=s"), "{query}");
    assert!(query.contains("scope=repository%3Aa%2Fb%3Apull%2Cpush"), "{query}");
    assert!(elsewhere.authorization.unwrap().is_sensitive());
}

#[test]
fn a_password_goes_unencrypted_to_the_upstreams_own_host_only() {
    let plain = "http://127.0.0.1:5000";
    assert!(ask(plain, "http://127.0.0.1:5001/token", &basic()).is_ok());
    assert!(ask(plain, "http://t.example/token", &basic()).is_err());
    assert!(ask(plain, "http://t.example/token", &LoginProof::Nothing).is_ok());
    assert!(ask(plain, "https://t.example/token", &basic()).is_ok());
}

#[test]
fn a_refresh_token_goes_to_the_upstreams_own_address_only() {
    let proof = LoginProof::Refresh(Secret::new("hunter2"));
    let own = ask("https://r.example", "https://r.example/oauth2/token", &proof).unwrap();
    assert!(!format!("{own:?}").contains("hunter2"));
    let form = String::from_utf8(own.form.unwrap().finish().to_vec()).unwrap();
    assert!(form.contains("grant_type=refresh_token") && form.contains("hunter2"), "{form}");
    assert!(own.url.query().is_none());
    for realm in ["https://t.example/token", "https://r.example:444/token"] {
        let error = ask("https://r.example", realm, &proof).unwrap_err();
        assert!(error.to_string().contains("elsewhere"), "{error}");
    }
}

#[test]
fn a_mount_asks_for_both_repositories() {
    let scope = Scope::mount(&"a/b".parse().unwrap(), &"c/d".parse().unwrap());
    let base = Url::parse("https://r.example").unwrap();
    let proof = LoginProof::Refresh(Secret::new("t"));
    let ask = Auth::token_ask(&base, &bearer("/oauth2/token"), &scope, &proof).unwrap();
    let form = String::from_utf8(ask.form.unwrap().finish().to_vec()).unwrap();
    assert_eq!(form.matches("&scope=").count(), 2, "{form}");
}

#[test]
fn the_life_of_an_acr_token_is_in_its_claims() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let token = |exp: u64| {
        let payload = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}"));
        format!("h.{payload}.s")
    };
    let left = lifetime(&token(now.as_secs() + 1_000)).unwrap();
    assert!((990..=1_000).contains(&left.as_secs()));
    assert_eq!(lifetime(&token(5)), Some(Duration::ZERO));
    assert_eq!(lifetime("opaque"), None);
}
