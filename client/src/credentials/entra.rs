//! Entra tokens through `azure_identity`, over our own HTTP client. The only file that uses this
//! crate.
//!
//! Invariant: after a request was sent, no error text of `azure_identity` is repeated, because it
//! may hold text from Entra ID or `az`; only our own words leave: a status, the numbers of Entra's
//! error codes.

use std::error::Error as StdError;
use std::ffi::OsStr;
use std::io;
use std::process::Output;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret as AzureSecret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{
    AsyncRawResponse, Body as AzureBody, ClientOptions, HttpClient, Request as AzureRequest,
    RetryOptions, StatusCode as AzureStatus, Transport,
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, Executor, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use wharf_oci::Secret;

use super::source::{Application, Entra, EntraIdentity};
use crate::ClientError;
use crate::error::chain;
use crate::limits::{ANSWER_BYTES_MAX, CONNECT_TIMEOUT, ENTRA_TIMEOUT, PROGRAM_TIMEOUT, TRIES_MAX};
use crate::outbound;
use crate::outbound::OutboundPath;
use crate::outbound::proxies::OutboundProxies;
use crate::programs;
use crate::retry;
use crate::retry::RetryDecision;
use crate::settings::Settings;

/// An Entra identity with a login.
pub(crate) struct EntraLogin {
    credential: Arc<dyn TokenCredential>,
    scope: String,
    tenant: Option<String>,
}

impl EntraLogin {
    /// Makes the credential; sends no request.
    pub(super) fn new(entra: Entra, settings: &Settings) -> Result<Self, String> {
        // The identity endpoint knows a machine by its connection: no proxy can act for it there.
        let egress = match entra.identity {
            EntraIdentity::Managed { .. } => Arc::default(),
            _ => Arc::clone(&settings.proxies),
        };
        let http = Arc::new(Http::new(settings, egress));
        let credential = credential(entra.identity, entra.tenant.as_ref(), http);
        let credential = credential.map_err(|error| match error.kind() {
            // The only errors raised before any request: keys, and the environment.
            ErrorKind::Credential | ErrorKind::Other => error.to_string(),
            _ => "it cannot be used".to_owned(),
        })?;
        Ok(Self { credential, scope: entra.scope, tenant: entra.tenant })
    }

    /// The tenant, when it is known.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// An Entra token for registries, which `azure_identity` caches while it is valid.
    pub(crate) async fn token(&self) -> Result<Secret, ClientError> {
        let scopes = [self.scope.as_str()];
        let asked = tokio::time::timeout(ENTRA_TIMEOUT, self.credential.get_token(&scopes, None));
        let failed =
            |reason: &str| ClientError::LoginFailed { reason: format!("Entra ID: {reason}") };
        let answer = asked.await.map_err(|_| failed("no answer in time"))?;
        answer.map(|token| Secret::new(token.token.secret())).map_err(|error| {
            match Trouble::in_chain(&error) {
                Some(Trouble::Refused { status, codes }) => {
                    tracing::warn!(%status, codes, "Entra ID refused the login of this proxy");
                    ClientError::Denied { status: *status }
                }
                Some(Trouble::Busy { retry_after_seconds }) => {
                    ClientError::Busy { retry_after_seconds: *retry_after_seconds }
                }
                Some(Trouble::Unreachable(reason) | Trouble::Program(reason)) => failed(reason),
                None => failed(&unknown_trouble(&error)),
            }
        })
    }
}

fn credential(
    identity: EntraIdentity,
    tenant: Option<&String>,
    http: Arc<Http>,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    Ok(match identity {
        EntraIdentity::ClientSecret { application, secret } => {
            let client_options = client_options(http, Some(&application));
            let secret = AzureSecret::new(secret.expose().to_owned());
            let Application { tenant, client_id, .. } = application;
            let options = ClientSecretCredentialOptions { client_options };
            ClientSecretCredential::new(&tenant, client_id, secret, Some(options))?
        }
        EntraIdentity::Workload { application, token_file } => {
            let client_options = client_options(http, Some(&application));
            WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options },
                client_id: Some(application.client_id),
                tenant_id: Some(application.tenant),
                token_file_path: Some(token_file),
            }))?
        }
        EntraIdentity::Managed { client_id } => {
            ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                user_assigned_id: client_id.map(UserAssignedId::ClientId),
                client_options: client_options(http, None),
            }))?
        }
        EntraIdentity::AzureCli => AzureCliCredential::new(Some(AzureCliCredentialOptions {
            tenant_id: tenant.cloned(),
            executor: Some(Arc::new(Programs)),
            ..AzureCliCredentialOptions::default()
        }))?,
    })
}

/// Options with our HTTP client, our retries, and the authority when one is given.
fn client_options(http: Arc<Http>, application: Option<&Application>) -> ClientOptions {
    let authority = application.and_then(|application| application.authority.as_ref());
    let cloud = authority.map(|authority| {
        let mut custom = CustomConfiguration::default();
        authority.as_str().clone_into(&mut custom.authority_host);
        Arc::new(CloudConfiguration::Custom(custom))
    });
    ClientOptions {
        cloud,
        retry: RetryOptions::none(),
        transport: Some(Transport::new(http)),
        ..ClientOptions::default()
    }
}

/// Failures on our side of `azure_identity`. They travel through it as the cause of its errors.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Unreachable(String),
    #[error("refused with {status}")]
    Refused { status: StatusCode, codes: String },
    #[error("too many requests")]
    Busy { retry_after_seconds: u64 },
    #[error("{0}")]
    Program(String),
}

impl Trouble {
    fn in_chain<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let found = inner.map_or_else(|| error.downcast_ref(), |inner| inner.downcast_ref());
            if found.is_some() {
                return found;
            }
            cause = error.source();
        }
        None
    }
}

impl From<Trouble> for azure_core::Error {
    /// An error kind `azure_identity` does not retry: the retries are already done.
    fn from(trouble: Trouble) -> Self {
        Self::new(ErrorKind::Other, trouble)
    }
}

/// An error of `azure_identity` itself: a status, or no detail.
fn unknown_trouble(error: &azure_core::Error) -> String {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        let status =
            error.downcast_ref::<azure_core::Error>().and_then(azure_core::Error::http_status);
        if let Some(status) = status {
            return format!("the identity endpoint answered {status}");
        }
        cause = error.source();
    }
    "the identity endpoint, or az, gave an answer that makes no sense".to_owned()
}

/// HTTP for `azure_identity`: the TLS of this registry, bounded answers, our tries.
#[derive(Debug)]
struct Http(outbound::Client<HttpConnector, Full<Bytes>>);

impl Http {
    /// Not encrypted, and never through a proxy, only to the identity endpoint of this machine.
    fn new(settings: &Settings, egress: Arc<OutboundProxies>) -> Self {
        let connect_timeout = CONNECT_TIMEOUT;
        let dial = outbound::dial(connect_timeout);
        let (tls, user_agent) = (settings.tls.clone(), settings.user_agent);
        let way = OutboundPath { egress, dial, tls, connect_timeout, http2: false, user_agent };
        let mut pool = Client::builder(TokioExecutor::new());
        Self(way.client(pool.pool_timer(TokioTimer::new())))
    }

    /// One try: status, headers and body.
    async fn once(&self, request: &AzureRequest) -> Result<(StatusCode, HeaderMap, Bytes), String> {
        let mut ours =
            Request::builder().method(request.method().as_ref()).uri(request.url().as_str());
        for (name, value) in request.headers().iter() {
            ours = ours.header(name.as_str(), value.as_str());
        }
        let AzureBody::Bytes(body) = request.body() else {
            return Err("a body that is a stream".to_owned());
        };
        let ours = ours.body(Full::new(body.clone())).map_err(|_| "a malformed request")?;
        let answer = self.0.request(ours).await.map_err(|error| chain(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
        Ok((head.status, head.headers, body.to_bytes()))
    }
}

#[async_trait]
impl HttpClient for Http {
    async fn execute_request(
        &self,
        request: &AzureRequest,
    ) -> azure_core::Result<AsyncRawResponse> {
        let mut tries = 1;
        loop {
            let wait = match self.once(request).await {
                Ok((status, headers, body)) => match retry::judge(status, &headers, tries) {
                    RetryDecision::Again(wait) => wait,
                    RetryDecision::Busy { retry_after_seconds } => {
                        return Err(Trouble::Busy { retry_after_seconds }.into());
                    }
                    RetryDecision::Stands => return stands(status, &headers, body),
                },
                Err(_) if tries < TRIES_MAX => retry::pause(tries),
                Err(reason) => return Err(Trouble::Unreachable(reason).into()),
            };
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }
}

/// An answer for `azure_identity`, without the text of a refusal.
fn stands(
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> azure_core::Result<AsyncRawResponse> {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        error_codes: Vec<u64>,
    }
    if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    {
        let codes = serde_json::from_slice(&body).map_or(Vec::new(), |r: Refusal| r.error_codes);
        let codes: Vec<_> = codes.iter().map(|code| format!("AADSTS{code}")).collect();
        return Err(Trouble::Refused { status, codes: codes.join(" ") }.into());
    }
    let mut kept = Headers::new();
    for (name, value) in headers {
        if let Ok(value) = value.to_str() {
            kept.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    let status = AzureStatus::from(status.as_u16());
    Ok(AsyncRawResponse::from_bytes(status, kept, body))
}

/// Runs `az`, bounded.
#[derive(Debug)]
struct Programs;

#[async_trait]
impl Executor for Programs {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let failed = |reason: String| io::Error::other(Trouble::Program(format!("az {reason}")));
        let mut command = tokio::process::Command::new(program);
        let ended =
            programs::run(command.args(arguments), b"", PROGRAM_TIMEOUT).await.map_err(failed)?;
        // A shell's exit code for a missing program.
        if ended.status.code() == Some(127) {
            return Err(failed(
                "is not on PATH; install the Azure CLI, or use another kind".into(),
            ));
        }
        if !ended.status.success() {
            return Err(failed(format!(
                "has no token ({}); `az account get-access-token` says why",
                ended.status
            )));
        }
        Ok(Output { status: ended.status, stdout: ended.stdout, stderr: Vec::new() })
    }
}
