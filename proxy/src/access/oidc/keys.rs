//! The keys of one issuer: fetched when they are needed, cached while they are young, fetched again
//! when a token names a missing one.
//!
//! Invariant: one fetch at a time and a pause after each, however many tokens come; a key is used
//! with its own algorithms only; when the issuer is down, its keys hold for a day and no longer.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use tokio::time::Instant;
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::party::Party;

use super::fetch::IssuerClient;
use crate::Error;
use crate::access::options::IssuerConfig;
use crate::bound::Bound;
use crate::limits::{ISSUER_KEYS_MAX, KEYS_AGE_MAX, KEYS_FETCH_PAUSE, KEYS_YOUNG};
use crate::runtime::single_flight::{OnBehalfOf, SingleFlight};
use crate::settings::error::ConfigError;

/// The cached keys of an issuer.
pub(super) struct IssuerKeys {
    shared: Arc<Shared>,
    flights: SingleFlight<(), Arc<KeySet>>,
}

struct Shared {
    fetch: IssuerClient,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    /// The start of the last fetch.
    tried: Option<Instant>,
}

#[derive(Clone)]
struct Known {
    keys: Arc<KeySet>,
    since: Instant,
}

/// A set of keys (RFC 7517).
#[derive(Default)]
pub(super) struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    verifying: DecodingKey,
}

impl IssuerKeys {
    pub(super) fn new(config: &IssuerConfig) -> Result<Self, ConfigError> {
        let shared = Shared { fetch: IssuerClient::new(config)?, state: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), flights: SingleFlight::new(1, Bound::IssuerKeys) })
    }

    /// The keys that may have signed a token with this header.
    pub(super) async fn fitting(&self, header: &Header) -> Vec<DecodingKey> {
        if let Some(known) = self.shared.known() {
            let fitting = known.keys.fitting(header);
            if !fitting.is_empty() {
                if known.since.elapsed() >= KEYS_YOUNG {
                    let shared = Arc::clone(&self.shared);
                    self.flights.begin(
                        &Party::Ourselves,
                        OnBehalfOf::default(),
                        &(),
                        |promise| async move {
                            promise.keep(shared.renew().await);
                        },
                    );
                }
                return fitting;
            }
        }
        let shared = Arc::clone(&self.shared);
        let asked = self.flights.ask(&Party::Ourselves, (), |promise| async move {
            promise.keep(shared.renew().await);
        });
        asked.await.map_or_else(|_| Vec::new(), |(keys, _)| keys.fitting(header))
    }
}

impl Shared {
    /// The cached keys, unless they are too old.
    fn known(&self) -> Option<Known> {
        let state = self.state.lock();
        state.known.clone().filter(|known| known.since.elapsed() < KEYS_AGE_MAX)
    }

    /// Fetches the keys, unless a fetch was tried a moment ago; returns the cached keys then.
    async fn renew(&self) -> Result<Arc<KeySet>, Error> {
        if self.may_try() {
            match self.fetch.keys().await.map(|bytes| KeySet::parse(&bytes)) {
                Ok(Some(keys)) => self.keep(keys),
                Ok(None) => tracing::warn!(issuer = self.fetch.name(), "its keys cannot be read"),
                Err(reason) => {
                    tracing::warn!(
                        issuer = self.fetch.name(),
                        reason,
                        "its keys cannot be fetched"
                    );
                }
            }
        }
        let known = self.known().map(|known| known.keys);
        known.ok_or(Error::UpstreamFailed {
            operation: "fetching the keys of an issuer",
            reason: "there are none".to_owned(),
        })
    }

    fn may_try(&self) -> bool {
        let mut state = self.state.lock();
        let paused = state.tried.is_some_and(|tried| tried.elapsed() < KEYS_FETCH_PAUSE);
        if !paused {
            state.tried = Some(Instant::now());
        }
        !paused
    }

    fn keep(&self, keys: KeySet) {
        tracing::info!(issuer = self.fetch.name(), keys = keys.0.len(), "fetched its keys");
        let known = Known { keys: Arc::new(keys), since: Instant::now() };
        self.state.lock().known = Some(known);
    }
}

/// One published key. The omitted members do not concern signatures.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Parses a document; keys of other kinds, or for other uses, are left out.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document: Document = serde_json::from_slice(bytes).ok()?;
        let published = document.keys.into_iter().take(ISSUER_KEYS_MAX);
        let keys = published.filter_map(|key| Key::read(serde_json::from_value(key).ok()?));
        Some(Self(keys.collect()))
    }

    /// The keys that fit the algorithm, and the key id when both the token and the key have one.
    pub(super) fn fitting(&self, header: &Header) -> Vec<DecodingKey> {
        let fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&header.alg)
                && (header.kid.is_none() || key.id.is_none() || header.kid == key.id)
        });
        fitting.map(|key| key.verifying.clone()).collect()
    }
}

impl Key {
    fn read(published: Published) -> Option<Self> {
        if published.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let curve = published.crv.as_deref();
        let (key, mut algorithms) = match (published.kty.as_str(), curve) {
            ("RSA", _) => {
                let key = DecodingKey::from_rsa_components(&published.n?, &published.e?).ok()?;
                let all = [
                    Algorithm::RS256,
                    Algorithm::RS384,
                    Algorithm::RS512,
                    Algorithm::PS256,
                    Algorithm::PS384,
                    Algorithm::PS512,
                ];
                (key, all.to_vec())
            }
            ("EC", Some("P-256")) => {
                let key = DecodingKey::from_ec_components(&published.x?, &published.y?).ok()?;
                (key, vec![Algorithm::ES256])
            }
            ("EC", Some("P-384")) => {
                let key = DecodingKey::from_ec_components(&published.x?, &published.y?).ok()?;
                (key, vec![Algorithm::ES384])
            }
            ("OKP", Some("Ed25519")) => {
                let key = DecodingKey::from_ed_components(&published.x?).ok()?;
                (key, vec![Algorithm::EdDSA])
            }
            _ => return None,
        };
        if let Some(only) = published.alg {
            let only: Algorithm = only.parse().ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        Some(Self { id: published.kid, algorithms, verifying: key })
    }
}
