//! Who may do what on `/v2/`, and the 401 challenge.
//!
//! The token endpoints live in `oauth.rs`.

use http::HeaderMap;
use serde_json::{Value, json};

use super::config::Habits;
use super::credentials::{Authorization, host};
use super::oauth::Authority as Issuer;
use super::refusal::Refusal;
use super::scope::Scope;
use super::token::TokenKind;

/// Whether Basic credentials have a user name with a newline at its end.
pub(crate) fn has_newline_user(headers: &HeaderMap) -> bool {
    matches!(Authorization::of(headers), Authorization::Basic { username, .. }
        if username.ends_with('\n'))
}

/// Admits a request and returns its caller, or refuses it with a challenge for the needed scopes.
pub(crate) fn admit(
    issuer: &Issuer,
    habits: &Habits,
    headers: &HeaderMap,
    needed: &[Scope],
) -> Result<String, Refusal> {
    let host = host(headers)?;
    let challenge = |error: Option<&str>| {
        if habits.basic_only {
            let challenge = r#"Basic realm="acr-double""#.to_owned();
            return Err(Refusal::Challenge { challenge, detail: Value::Null });
        }
        Err(challenge(&host, needed, error))
    };
    match Authorization::of(headers) {
        Authorization::Bearer(token) if !habits.basic_only => {
            let Some(claims) = issuer.tokens().check(&token, TokenKind::AccessToken, &host) else {
                return challenge(Some("invalid_token"));
            };
            if needed.iter().all(|scope| scope.is_granted_by(&claims.access)) {
                return Ok(claims.sub);
            }
            challenge(Some("insufficient_scope"))
        }
        Authorization::Basic { username, password } if habits.basic_credentials => {
            let Some(account) = issuer.account(&username, &password) else {
                return challenge(None);
            };
            if needed.iter().all(|scope| scope.within(account.rights()) == *scope) {
                return Ok(username);
            }
            challenge(Some("insufficient_scope"))
        }
        Authorization::None
        | Authorization::Basic { .. }
        | Authorization::Bearer(_)
        | Authorization::Unknown => challenge(None),
    }
}

/// The owner of valid credentials.
pub(crate) fn caller(issuer: &Issuer, headers: &HeaderMap) -> Option<String> {
    match Authorization::of(headers) {
        Authorization::Bearer(token) => {
            let claims =
                issuer.tokens().check(&token, TokenKind::AccessToken, &host(headers).ok()?);
            claims.map(|claims| claims.sub)
        }
        Authorization::Basic { username, password } => {
            issuer.account(&username, &password).map(|account| account.username().to_owned())
        }
        Authorization::None | Authorization::Unknown => None,
    }
}

fn challenge(host: &str, needed: &[Scope], error: Option<&str>) -> Refusal {
    let scopes: Vec<String> = needed.iter().map(ToString::to_string).collect();
    let scope = match scopes.as_slice() {
        [] => String::new(),
        scopes => format!(r#",scope="{}""#, scopes.join(" ")),
    };
    let error = error.map(|error| format!(r#",error="{error}""#)).unwrap_or_default();
    let realm = format!("http://{host}/oauth2/token");
    let text = format!(r#"Bearer realm="{realm}",service="{host}"{scope}{error}"#);
    let entries = needed.iter().flat_map(|scope| {
        scope.actions.iter().map(
            |action| json!({ "Type": scope.kind, "Name": scope.name, "Action": action.as_str() }),
        )
    });
    let entries: Vec<Value> = entries.collect();
    let detail = if entries.is_empty() { Value::Null } else { Value::Array(entries) };
    Refusal::Challenge { challenge: text, detail }
}
