//! The token endpoint (Docker's token specification): `GET` with credentials in a header, or `POST`
//! with those of RFC 6749 in a form.
//!
//! Invariant: no cache on the way keeps a token.

use std::collections::HashMap;
use std::net::IpAddr;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method};
use url::form_urlencoded;
use wharf_client::runtime::party::Party;
use wharf_oci::Secret;

use super::App;
use super::request_body::{CollectBounds, RequestBody, WholeBody};
use crate::Error;
use crate::access::{Credentials, Grants, TokenRequest};
use crate::config::active::RuntimeConfig;
use crate::http::access_log::RequestFacts;
use crate::http::response;
use crate::http::response::Answer;
use crate::limits::STALL_TIMEOUT;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::settings::limits::Limits;

/// Answers a request for a token.
pub(crate) async fn token(
    app: &App,
    rules: &RuntimeConfig,
    parts: &Parts,
    body: &mut RequestBody,
    client: IpAddr,
    facts: &mut RequestFacts,
) -> Result<Answer, Error> {
    // The form is in memory until the answer is made.
    let (fields, _form) = match parts.method {
        Method::GET => (Fields::read(parts.uri.query().unwrap_or_default().as_bytes()), None),
        Method::POST => {
            let address = app.budget(Party::behind(client), &rules.limits);
            let budget = facts.budget.as_ref().unwrap_or(&address);
            let form = form(parts, body, budget, &rules.limits).await?;
            (Fields::read(&form.bytes), Some(form))
        }
        _ => return Err(Error::MethodNotAllowed { allowed: "GET, POST" }),
    };
    let (shown, refresh) = match fields.one("grant_type") {
        Some("refresh_token") => {
            let refresh = fields.one("refresh_token").ok_or_else(login_needed)?;
            (Credentials::Nothing, Some(refresh.to_owned()))
        }
        Some("password") => {
            let (user, password) = (fields.one("username"), fields.one("password"));
            let (user, password) = user.zip(password).ok_or_else(login_needed)?;
            (Credentials::Basic(user.to_owned(), Secret::new(password)), None)
        }
        Some(_) => return Err(Error::Parameter("`grant_type` is password or refresh_token")),
        None => (Credentials::of(&parts.headers)?, None),
    };
    let upstreams = &rules.upstreams;
    let grants = Grants::asked(fields.scopes.iter().map(String::as_str));
    let grants = grants.renamed(|repo| upstreams.without_namespace(repo).ok());
    let wants_refresh =
        fields.one("offline_token") == Some("true") || fields.one("access_type") == Some("offline");
    let request = TokenRequest { shown, refresh, grants, wants_refresh };
    let (caller, given) = rules.access.give(request, client).await?;
    facts.caller = Some(caller);
    let mut answer = response::json(&given, None);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// The request names no scope that would need a login.
const fn login_needed() -> Error {
    Error::LoginNeeded { scope: String::new() }
}

/// The fields of a query or a form.
struct Fields {
    scopes: Vec<String>,
    others: HashMap<String, String>,
}

impl Fields {
    /// The first of repeated fields counts, except for the scope.
    fn read(bytes: &[u8]) -> Self {
        let mut fields = Self { scopes: Vec::new(), others: HashMap::new() };
        for (name, value) in form_urlencoded::parse(bytes) {
            if name == "scope" {
                fields.scopes.push(value.into_owned());
            } else {
                fields.others.entry(name.into_owned()).or_insert_with(|| value.into_owned());
            }
        }
        fields
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.others.get(name).map(String::as_str)
    }
}

async fn form(
    parts: &Parts,
    body: &mut RequestBody,
    budget: &MemoryBudget,
    limits: &Limits,
) -> Result<WholeBody, Error> {
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = media_type.is_some_and(|media_type| {
        let essence = media_type.split(';').next().unwrap_or(media_type);
        essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err(Error::Parameter("send a form: application/x-www-form-urlencoded"));
    }
    let too_large = |_| Error::Parameter("the form is too long; ask for fewer scopes at once");
    let (limit_bytes, min_rate) = (limits.form_bytes, limits.min_rate);
    let bounds = CollectBounds { budget, limit_bytes, min_rate, too_large };
    let read = tokio::time::timeout(STALL_TIMEOUT, body.collect(&parts.headers, bounds));
    read.await.map_err(|_| Error::BodyBroken)?
}
