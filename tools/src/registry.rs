//! A registry client for the tools: manifests, blobs, uploads, referrers, with retries.
//!
//! It is our own, because a push needs parts other clients lack: `Retry-After` on every verb,
//! resumed sessions, mounts with a fallback to uploads, and answers byte for byte.

mod auth;
mod content;
mod download;
mod error;
mod exchange;
#[cfg(test)]
pub(crate) mod fake;
mod image_ref;
mod locks;
mod referrers;
mod retry;
mod source;
mod tag_list;
mod transport;
mod unreachable;
mod upload;
mod windows;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use hyper::body::Incoming;
use wharf_client::outbound::proxies::OutboundProxies;
use wharf_oci::{Endpoint, ErrorBody, Reference, RepoName};

use self::auth::{Authenticator, TokenScope};
pub use self::download::BlobDownload;
pub use self::error::RegistryError;
pub use self::image_ref::{ImageRef, ImageRefError};
pub use self::locks::LockAnswer;
use self::retry::Budget;
pub use self::retry::Policy;
pub use self::source::BlobSource;
pub use self::tag_list::TagList;
pub use self::transport::Timeouts;
use self::transport::{Pieces, Transport, shown};
pub use self::upload::{KeptSession, UploadHints, UploadOutcome, UploadWatch};
pub use self::windows::Quota;
use self::windows::Windows;
use crate::credentials::Login;
use crate::offer::values::LoginServer;

/// Shortest pause with a notice, so that a person knows the reason for the wait.
const TOLD_PAUSE: Duration = Duration::from_secs(1);

/// How many redirects one request follows.
const HOPS_MAX: usize = 5;

/// How much of an error's body is read, and how much of it is shown.
const ERROR_BYTES_MAX: usize = 64 * 1024;
const ERROR_CHARS_MAX: usize = 300;

/// How to reach registries; the same for all of one run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxies of the network.
    pub proxies: Arc<OutboundProxies>,
    /// How often and how long to try.
    pub policy: Policy,
    /// How long to bear silence.
    pub timeouts: Timeouts,
    /// How many bytes one request of an upload carries.
    pub chunk_bytes: u64,
    /// The requests a minute that the registry is known to take.
    pub quota: Quota,
    /// The receiver of notices about delays.
    pub notice: Notice,
}

/// A receiver of notices in words.
#[derive(Clone, Default)]
pub struct Notice(Option<Arc<Told>>);

type Told = dyn Fn(&str) + Send + Sync;

impl Notice {
    /// Tells this function.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    fn tell(&self, message: impl FnOnce() -> String) {
        if let Some(tell) = &self.0 {
            tell(&message());
        }
    }
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Notice" } else { "Notice(nobody)" })
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ca_file: None,
            proxies: Arc::default(),
            policy: Policy::default(),
            timeouts: Timeouts::default(),
            // Each chunk counts as a write against the registry's quota; above 16 MiB some refuse.
            chunk_bytes: 16 * 1024 * 1024,
            quota: Quota::default(),
            notice: Notice::default(),
        }
    }
}

/// One registry, logged in once for all requests.
pub struct Registry {
    host: LoginServer,
    scheme: &'static str,
    options: Options,
    transport: Transport,
    auth: Authenticator,
    windows: Windows,
    requests: AtomicU64,
    /// Held by the very first request: its answer says how to log in, for all others.
    first: tokio::sync::Mutex<()>,
    is_met: AtomicBool,
    /// Whether it has the referrers API, once that is known. Held by the one who asks first.
    referrers_api: OnceLock<bool>,
    referrers_turn: tokio::sync::Mutex<()>,
}

/// A request, before authentication and redirects.
struct Call<'a> {
    method: Method,
    uri: Uri,
    scope: &'a TokenScope,
    headers: HeaderMap,
    body: Bytes,
}

impl Registry {
    /// The registry at this address.
    pub fn new(
        host: LoginServer,
        plain_http: bool,
        login: Option<Login>,
        options: Options,
    ) -> Result<Self, RegistryError> {
        let proxies = Arc::clone(&options.proxies);
        let transport = Transport::new(options.ca_file.as_deref(), options.timeouts, proxies)?;
        let auth = Authenticator::new(host.to_string(), plain_http, login, options.policy);
        let scheme = if plain_http { "http" } else { "https" };
        let windows = Windows::new(options.quota);
        let (requests, referrers_api) = (AtomicU64::new(0), OnceLock::new());
        let (first, is_met) = (tokio::sync::Mutex::default(), AtomicBool::new(false));
        Ok(Self {
            host,
            scheme,
            options,
            transport,
            auth,
            windows,
            requests,
            first,
            is_met,
            referrers_api,
            referrers_turn: tokio::sync::Mutex::default(),
        })
    }

    /// Where it is.
    #[must_use]
    pub const fn host(&self) -> &LoginServer {
        &self.host
    }

    /// How many requests were sent to it.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The address of a manifest, as messages show it.
    #[must_use]
    pub fn manifest_url(&self, repo: &RepoName, reference: &Reference) -> String {
        let endpoint = Endpoint::Manifest { repo: repo.clone(), reference: reference.clone() };
        format!("{}://{}{endpoint}", self.scheme, self.host)
    }

    fn new_call<'a>(
        &self,
        method: Method,
        endpoint: &Endpoint,
        scope: &'a TokenScope,
    ) -> Result<Call<'a>, RegistryError> {
        let uri = format!("{}://{}{endpoint}", self.scheme, self.host);
        let uri = uri.parse().map_err(|_| RegistryError::Protocol {
            url: uri.clone(),
            reason: "this is not an address".to_owned(),
        })?;
        Ok(Call { method, uri, scope, headers: HeaderMap::new(), body: Bytes::new() })
    }

    /// Sends a request until its answer is final, or the budget ends.
    async fn call(&self, call: &Call<'_>) -> Result<Response<Incoming>, RegistryError> {
        let mut budget = Budget::new(self.options.policy);
        loop {
            match self.call_once(call).await {
                Ok(response) if wharf_client::retry::is_temporary(response.status()) => {
                    let asked = wharf_client::retry::retry_after(response.headers());
                    let error = self.refusal(call, response).await;
                    self.pause(&mut budget, call, error, asked).await?;
                }
                Err(error) if error.is_transient() => {
                    self.pause(&mut budget, call, error, None).await?;
                }
                other => return other,
            }
        }
    }

    /// Waits before the next try, or ends with the last error.
    async fn pause(
        &self,
        budget: &mut Budget,
        call: &Call<'_>,
        error: RegistryError,
        asked: Option<Duration>,
    ) -> Result<(), RegistryError> {
        if !error.is_transient() {
            return Err(error);
        }
        let Some(pause) = budget.failed(asked) else {
            return Err(RegistryError::Exhausted {
                method: call.method.clone(),
                url: shown(&call.uri),
                attempts: budget.tried(),
                last: error.to_string(),
            });
        };
        if pause >= TOLD_PAUSE {
            self.options.notice.tell(|| format!("{error}; next try in {} s", pause.as_secs()));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Sends a request once. The very first one goes alone: its answer says how to log in, so the
    /// others are not turned away.
    async fn call_once(&self, call: &Call<'_>) -> Result<Response<Incoming>, RegistryError> {
        if self.is_met.load(Ordering::Acquire) {
            return self.call_in_turn(call).await;
        }
        let turn = self.first.lock().await;
        if self.is_met.load(Ordering::Acquire) {
            drop(turn);
            return self.call_in_turn(call).await;
        }
        // Held until the answer.
        let answer = self.call_in_turn(call).await;
        self.is_met.store(answer.is_ok(), Ordering::Release);
        answer
    }

    /// Sends a request: with credentials, a second time after a refused token, and along redirects;
    /// a redirect gets the token only on this registry.
    async fn call_in_turn(&self, call: &Call<'_>) -> Result<Response<Incoming>, RegistryError> {
        let mut uri = call.uri.clone();
        let mut renewed = false;
        let mut hops = 0;
        loop {
            let ours = self.is_ours(&uri);
            let mut headers = call.headers.clone();
            let mut token = None;
            if ours {
                token = self.auth.header(&self.transport, call.scope).await?;
                headers.extend(token.clone().map(|token| (AUTHORIZATION, token)));
            }
            let mut response = self.send(&call.method, &uri, headers, call.body.clone()).await?;
            match response.status() {
                StatusCode::UNAUTHORIZED if ours && !renewed => {
                    self.auth.refused(response.headers(), call.scope, token.as_ref()).await?;
                    renewed = true;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if ours => {
                    let message = error_message(&self.transport, &uri, response.body_mut()).await;
                    return Err(self.auth.unauthorized(call.scope, &message));
                }
                status if is_redirect(&call.method, status, response.headers()) => {
                    hops += 1;
                    if hops > HOPS_MAX {
                        let reason = format!("more than {HOPS_MAX} redirects");
                        return Err(RegistryError::Protocol { url: shown(&call.uri), reason });
                    }
                    uri = self.location(&uri, response.headers())?;
                }
                _ => return Ok(response),
            }
        }
    }

    /// Sends one request in its turn.
    async fn send(
        &self,
        method: &Method,
        uri: &Uri,
        headers: HeaderMap,
        body: impl Into<Pieces> + Send,
    ) -> Result<Response<Incoming>, RegistryError> {
        let pass = self.windows.enter(method).await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.transport.send(method, uri, headers, body).await;
        pass.end(answer.as_ref().ok().map(Response::status));
        answer
    }

    /// Whether a request to this address may carry our credentials.
    fn is_ours(&self, uri: &Uri) -> bool {
        uri.scheme_str() == Some(self.scheme)
            && uri.authority().is_some_and(|authority| {
                authority.as_str().eq_ignore_ascii_case(self.host.as_str())
            })
    }

    /// Where an answer sends us, relative to where it came from. From TLS it never leads to plain
    /// HTTP.
    fn location(&self, base: &Uri, headers: &HeaderMap) -> Result<Uri, RegistryError> {
        let wrong =
            |reason: &str| RegistryError::Protocol { url: shown(base), reason: reason.to_owned() };
        let text = headers
            .get(LOCATION)
            .ok_or_else(|| wrong("there is no Location"))?
            .to_str()
            .map_err(|_| wrong("its Location is not text"))?;
        let uri = resolve(base, text).ok_or_else(|| wrong("its Location is malformed"))?;
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if self.scheme == "http" => Ok(uri),
            _ => Err(wrong("its Location is not over https")),
        }
    }

    /// The answer if its status is one of these, else its error.
    async fn expect(
        &self,
        call: &Call<'_>,
        response: Response<Incoming>,
        accepted: &[StatusCode],
    ) -> Result<Response<Incoming>, RegistryError> {
        if accepted.contains(&response.status()) {
            return Ok(response);
        }
        Err(self.refusal(call, response).await)
    }

    async fn refusal(&self, call: &Call<'_>, mut response: Response<Incoming>) -> RegistryError {
        let message = error_message(&self.transport, &call.uri, response.body_mut()).await;
        let (method, url, status) = (call.method.clone(), shown(&call.uri), response.status());
        if status == StatusCode::METHOD_NOT_ALLOWED && message.contains(locks::DISALLOWED) {
            return RegistryError::Locked { method, url, message };
        }
        RegistryError::Refused { method, url, status, message }
    }
}

/// Whether to ask elsewhere. A request with a body goes on only where the answer keeps its method.
fn is_redirect(method: &Method, status: StatusCode, headers: &HeaderMap) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let keeps = matches!(status.as_u16(), 307 | 308);
    let changes = matches!(status.as_u16(), 301..=303);
    (keeps || (reads && changes)) && headers.contains_key(LOCATION)
}

/// An address, possibly relative to another; its query is opaque and kept as it is.
fn resolve(base: &Uri, text: &str) -> Option<Uri> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return text.parse().ok();
    }
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let path = if text.starts_with("//") {
        return format!("{scheme}:{text}").parse().ok();
    } else if text.starts_with('/') {
        text.to_owned()
    } else if text.starts_with('?') {
        format!("{}{text}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{text}")
    };
    format!("{scheme}://{authority}{path}").parse().ok()
}

fn network_error(method: &Method, uri: &Uri, reason: &str) -> RegistryError {
    RegistryError::Network { method: method.clone(), url: shown(uri), reason: reason.to_owned() }
}

/// The message in an error's body, in one short line.
async fn error_message(transport: &Transport, uri: &Uri, body: &mut Incoming) -> String {
    let Ok(Some(bytes)) = transport.whole(uri, body, ERROR_BYTES_MAX).await else {
        return String::new();
    };
    let text = match ErrorBody::parse(&bytes) {
        Some(body) => {
            let entries =
                body.errors.iter().map(|entry| format!("{} {}", entry.code, entry.message));
            entries.collect::<Vec<_>>().join("; ")
        }
        None => String::from_utf8_lossy(&bytes).into_owned(),
    };
    let printable = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
