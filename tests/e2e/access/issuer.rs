//! An issuer of bearer tokens: discovery, keys that change, and tokens signed with them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An issuer at an address of this machine; ends with the test.
pub(super) struct TestIssuer {
    addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    keys: Mutex<Vec<(String, KeyPair)>>,
    more: Mutex<Vec<Value>>,
    served: Mutex<u64>,
    is_down: Mutex<bool>,
    /// Another address of the keys in the discovery document.
    elsewhere: Mutex<Option<String>>,
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(super) fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Header and claims, as they are signed.
pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()))
}

impl TestIssuer {
    /// With one key, `1`.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            keys: Mutex::default(),
            more: Mutex::default(),
            served: Mutex::default(),
            is_down: Mutex::default(),
            elsewhere: Mutex::default(),
        });
        let issuer = Self { addr, state };
        issuer.rotate("1");
        let state = Arc::clone(&issuer.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = state.answer(addr, request.uri().path());
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        issuer
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Another key in the place of all.
    pub(super) fn rotate(&self, id: &str) {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        *self.state.keys.lock().unwrap() = vec![(id.to_owned(), key)];
    }

    /// One more key, as it is published.
    pub(super) fn publish(&self, key: Value) {
        self.state.more.lock().unwrap().push(key);
    }

    /// How often its keys were fetched.
    pub(super) fn served(&self) -> u64 {
        *self.state.served.lock().unwrap()
    }

    pub(super) fn set_down(&self, is_down: bool) {
        *self.state.is_down.lock().unwrap() = is_down;
    }

    pub(super) fn lead_elsewhere(&self, url: &str) {
        *self.state.elsewhere.lock().unwrap() = Some(url.to_owned());
    }

    /// The public part of its key.
    pub(super) fn public_key(&self) -> Vec<u8> {
        self.state.keys.lock().unwrap()[0].1.der_bytes().to_vec()
    }

    /// Good claims of a workflow of contoso's.
    pub(super) fn claims(&self) -> Value {
        json!({
            "iss": self.url(), "aud": "wharfd", "sub": "repo:contoso/app:ref:refs/heads/main",
            "exp": now() + 300, "nbf": now() - 1, "iat": now(),
            "repository": "contoso/app", "repository_owner": "contoso",
        })
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let keys = self.state.keys.lock().unwrap();
        let (id, key) = &keys[0];
        let text = unsigned(&json!({"alg": "EdDSA", "kid": id, "typ": "JWT"}), claims);
        let signature = key.sign(text.as_bytes()).unwrap();
        format!("{text}.{}", base64(&signature))
    }

    /// A good token.
    pub(super) fn token(&self) -> String {
        self.sign(&self.claims())
    }

    /// Its part of the configuration.
    pub(super) fn lines(&self) -> String {
        format!(
            "[[access.issuer]]\nname = \"github\"\nissuer = \"{}\"\naudience = \"wharfd\"\n\
             subject = \"repository\"\nrequire = {{ repository_owner = \"contoso\" }}\n",
            self.url()
        )
    }
}

impl State {
    fn answer(&self, addr: SocketAddr, path: &str) -> Response<Full<Bytes>> {
        let body = match path {
            _ if *self.is_down.lock().unwrap() => None,
            "/.well-known/openid-configuration" => {
                let keys = self.elsewhere.lock().unwrap().clone();
                let keys = keys.unwrap_or_else(|| format!("http://{addr}/keys"));
                Some(json!({"issuer": format!("http://{addr}"), "jwks_uri": keys}))
            }
            "/keys" => {
                *self.served.lock().unwrap() += 1;
                let keys = self.keys.lock().unwrap();
                let published = keys.iter().map(|(id, key)| {
                    json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id,
                           "x": base64(key.der_bytes())})
                });
                let more = self.more.lock().unwrap().clone();
                Some(json!({"keys": published.chain(more).collect::<Vec<_>>()}))
            }
            _ => None,
        };
        let status = if body.is_some() { 200 } else { 503 };
        let body = Full::new(Bytes::from(body.unwrap_or_default().to_string()));
        Response::builder().status(status).body(body).unwrap()
    }
}
