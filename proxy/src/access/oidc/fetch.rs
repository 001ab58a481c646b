//! Fetches an issuer's documents: the address of its keys (`OpenID` Connect Discovery), and the
//! keys.
//!
//! Invariant: encrypted, except on this machine; redirects are not followed, and the answer's size
//! and the waiting time are bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use url::Url;
use wharf_client::chain;
use wharf_client::outbound;
use wharf_client::outbound::OutboundPath;

use crate::access::options::{IssuerConfig, is_safe_to_ask};
use crate::limits::{CONNECT_TIMEOUT, KEYS_BYTES_MAX, KEYS_FETCH_TIMEOUT};
use crate::settings::USER_AGENT;
use crate::settings::address::Address;
use crate::settings::error::ConfigError;

/// The HTTP client for one issuer.
pub(super) struct IssuerClient {
    client: outbound::Client<HttpConnector, Empty<Bytes>>,
    name: String,
    issuer: String,
    keys: Option<Url>,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: Url,
}

impl IssuerClient {
    pub(super) fn new(config: &IssuerConfig) -> Result<Self, ConfigError> {
        let connect_timeout = CONNECT_TIMEOUT;
        let way = OutboundPath {
            egress: Arc::clone(&config.egress),
            dial: outbound::dial(connect_timeout),
            tls: config.tls()?,
            connect_timeout,
            http2: false,
            user_agent: USER_AGENT,
        };
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(1);
        builder.pool_idle_timeout(Duration::from_secs(30));
        Ok(Self {
            client: way.client(&builder),
            name: config.name.clone(),
            issuer: config.issuer.clone(),
            keys: config.jwks_url.as_ref().map(Address::to_url),
        })
    }

    /// The issuer's name in this configuration.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Fetches the document with the keys.
    pub(super) async fn keys(&self) -> Result<Bytes, String> {
        let asked = async {
            match &self.keys {
                Some(url) => self.get(url).await,
                None => self.get(&self.discover().await?).await,
            }
        };
        let answered = tokio::time::timeout(KEYS_FETCH_TIMEOUT, asked).await;
        answered.map_err(|_| "no answer in time".to_owned())?
    }

    async fn discover(&self) -> Result<Url, String> {
        let base = self.issuer.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/.well-known/openid-configuration"));
        let document = self.get(&url.map_err(|error| error.to_string())?).await?;
        let discovered: Discovered = serde_json::from_slice(&document)
            .map_err(|error| format!("its discovery document cannot be read: {error}"))?;
        if discovered.issuer != self.issuer {
            return Err("its discovery document is of another issuer".to_owned());
        }
        Ok(discovered.jwks_uri)
    }

    async fn get(&self, url: &Url) -> Result<Bytes, String> {
        if !is_safe_to_ask(url) {
            return Err("it leads to an address that is not encrypted".to_owned());
        }
        let request = Request::get(url.as_str())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await.map_err(|error| chain(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answered {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), KEYS_BYTES_MAX).collect().await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| format!("its answer broke off, or is too long: {error}"))
    }
}
