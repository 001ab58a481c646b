//! `/oauth2/exchange` and `/oauth2/token`: credentials in, tokens out.
//!
//! A token never holds more than was asked for and the caller may do; asking for too much yields
//! less, not an error, as at ACR.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::json;

use super::credentials::{Account, Authorization, TOKEN_USERNAME, host};
use super::refusal::{Refusal, json_response};
use super::route::Query;
use super::scope::{Action, Rights, Scope};
use super::token::{TokenKind, Tokens};
use wharf_testkit::http::{Body, read_to_limit};

/// The largest form for the token endpoints.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// The callers known to the token endpoints.
#[derive(Debug)]
pub(crate) struct Authority {
    accounts: Mutex<Vec<Account>>,
    aad_token: Option<String>,
    anonymous_pull: bool,
    tokens: Tokens,
}

/// An authenticated caller.
struct Caller {
    subject: String,
    rights: Rights,
    /// The scopes of the access token in place of a password.
    held: Option<Vec<Scope>>,
}

impl Caller {
    fn new(subject: String, rights: Rights) -> Self {
        Self { subject, rights, held: None }
    }
}

impl Authority {
    pub(crate) fn new(
        accounts: Vec<Account>,
        aad_token: Option<String>,
        anonymous_pull: bool,
        tokens: Tokens,
    ) -> Self {
        Self { accounts: Mutex::new(accounts), aad_token, anonymous_pull, tokens }
    }

    pub(crate) fn account(&self, username: &str, password: &str) -> Option<Account> {
        self.accounts().iter().find(|known| known.is(username, password)).cloned()
    }

    /// Adds an account, in place of an account of the same name. Earlier tokens stay as they are.
    pub(crate) fn admit(&self, account: Account) {
        let mut accounts = self.accounts();
        accounts.retain(|known| known.username() != account.username());
        accounts.push(account);
    }

    /// Removes the account of this name, so its logins fail.
    pub(crate) fn expel(&self, username: &str) {
        self.accounts().retain(|known| known.username() != username);
    }

    fn accounts(&self) -> MutexGuard<'_, Vec<Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// `POST /oauth2/exchange`: an Entra token, or a password, for a refresh token.
    pub(crate) async fn exchange(
        &self,
        parts: &Parts,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        if parts.method != Method::POST {
            return Err(Refusal::RouteUnknown);
        }
        let host = host(&parts.headers)?;
        let form = read_form(body).await?;
        check_service(&form, &host)?;
        let caller = match form.first("grant_type").as_deref() {
            Some("access_token") => {
                let given = form.first("access_token");
                let given = given.ok_or(Refusal::FormInvalid("access_token is missing"))?;
                if self.aad_token.as_deref() != Some(given.as_str()) {
                    return Err(Refusal::CallerUnknown);
                }
                Caller::new("entra".to_owned(), Rights::everywhere(&[Action::All]))
            }
            Some("password") => self.with_password(&form, &host)?,
            _ => return Err(Refusal::FormInvalid("grant_type is not supported here")),
        };
        let token = self.tokens.refresh(&host, &caller.subject, caller.rights);
        Ok(json_response(StatusCode::OK, &json!({ "refresh_token": token })))
    }

    /// `POST /oauth2/token` with a form, or GET with Basic credentials and a query.
    pub(crate) async fn token(
        &self,
        parts: &Parts,
        query: &Query,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        let host = host(&parts.headers)?;
        match parts.method {
            Method::GET => {
                check_service(query, &host)?;
                let caller = self.with_header(parts, &host)?;
                Ok(self.grant(&host, &caller, query, None))
            }
            Method::POST => {
                let form = read_form(body).await?;
                check_service(&form, &host)?;
                self.token_by_form(&host, &form)
            }
            _ => Err(Refusal::RouteUnknown),
        }
    }

    fn token_by_form(&self, host: &str, form: &Query) -> Result<Response<Body>, Refusal> {
        match form.first("grant_type").as_deref() {
            Some("refresh_token") => {
                let token = form.first("refresh_token");
                let token = token.ok_or(Refusal::FormInvalid("refresh_token is missing"))?;
                let caller = self.with_refresh_token(&token, host)?;
                Ok(self.grant(host, &caller, form, None))
            }
            Some("password") => {
                let caller = self.with_password(form, host)?;
                let refresh = self.tokens.refresh(host, &caller.subject, caller.rights.clone());
                Ok(self.grant(host, &caller, form, Some(&refresh)))
            }
            _ => Err(Refusal::FormInvalid("grant_type is not supported here")),
        }
    }

    fn grant(
        &self,
        host: &str,
        caller: &Caller,
        asked: &Query,
        refresh: Option<&str>,
    ) -> Response<Body> {
        // One `scope` may hold several, and there may be several `scope` fields.
        let scopes = asked.all("scope").flat_map(|text| text.split(' ')).filter_map(Scope::parse);
        let scopes = scopes.map(|scope| scope.within(&caller.rights));
        let held = |scope: &Scope| match &caller.held {
            Some(held) => scope.is_granted_by(held),
            None => true,
        };
        let granted = scopes.filter(held).collect();
        let access = self.tokens.access(host, &caller.subject, granted);
        let value = match refresh {
            Some(refresh) => json!({ "access_token": access, "refresh_token": refresh }),
            None => json!({ "access_token": access }),
        };
        json_response(StatusCode::OK, &value)
    }

    fn with_header(&self, parts: &Parts, host: &str) -> Result<Caller, Refusal> {
        match Authorization::of(&parts.headers) {
            Authorization::Basic { username, password } => {
                self.with_pair(&username, &password, host)
            }
            Authorization::None if self.anonymous_pull => {
                Ok(Caller::new(String::new(), Rights::everywhere(&[Action::Pull])))
            }
            // Wrong credentials are refused even where none are needed.
            Authorization::None | Authorization::Bearer(_) | Authorization::Unknown => {
                Err(Refusal::CallerUnknown)
            }
        }
    }

    fn with_password(&self, form: &Query, host: &str) -> Result<Caller, Refusal> {
        let field = |name| form.first(name).ok_or(Refusal::FormInvalid("a field is missing"));
        self.with_pair(&field("username")?, &field("password")?, host)
    }

    fn with_pair(&self, username: &str, password: &str, host: &str) -> Result<Caller, Refusal> {
        if username == TOKEN_USERNAME {
            return match self.tokens.check(password, TokenKind::AccessToken, host) {
                Some(claims) => {
                    let rights = Rights::everywhere(&[Action::All]);
                    Ok(Caller { subject: claims.sub, rights, held: Some(claims.access) })
                }
                None => self.with_refresh_token(password, host),
            };
        }
        let account = self.account(username, password).ok_or(Refusal::CallerUnknown)?;
        Ok(Caller::new(account.username().to_owned(), account.rights().clone()))
    }

    fn with_refresh_token(&self, token: &str, host: &str) -> Result<Caller, Refusal> {
        let claims = self.tokens.check(token, TokenKind::RefreshToken, host);
        let claims = claims.ok_or(Refusal::CallerUnknown)?;
        Ok(Caller::new(claims.sub, claims.permissions))
    }
}

async fn read_form(body: Body) -> Result<Query, Refusal> {
    let form = read_to_limit(body, FORM_BYTES_MAX).await;
    let form = form.map_err(|_| Refusal::FormInvalid("the form is too large or broke off"))?;
    Ok(Query::parse(&form))
}

fn check_service(fields: &Query, host: &str) -> Result<(), Refusal> {
    match fields.first("service") {
        None => Err(Refusal::FormInvalid("service is missing")),
        Some(service) if service == host => Ok(()),
        Some(_) => Err(Refusal::FormInvalid("service names another registry")),
    }
}
