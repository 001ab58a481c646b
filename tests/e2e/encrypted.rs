//! An upstream behind TLS: the version of HTTP for it, and the trusted certificates.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use wharf_testkit::http::{Body, Client, empty, streamed};
use wharf_testkit::registry::Registry;

use crate::fixture::{Api, Wharfd, noise};

const REPO: &str = "acme/web";

/// A registry behind TLS, with a certificate of its own and both versions of HTTP.
pub(crate) struct Front {
    pub(crate) addr: SocketAddr,
    pub(crate) certificate: String,
    versions: Arc<Mutex<Vec<Version>>>,
    _tasks: JoinSet<()>,
}

impl Front {
    async fn start(registry: &Registry) -> Self {
        Self::start_as("127.0.0.1", registry).await
    }

    /// With a certificate for this name.
    pub(crate) async fn start_as(name: &str, registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private.unwrap())
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let versions: Arc<Mutex<Vec<Version>>> = Arc::default();
        let (seen, behind) = (Arc::clone(&versions), registry.url());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), seen, behind));
        Self { addr, certificate: key.cert.pem(), versions, _tasks: tasks }
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        let mut versions = self.versions.lock().unwrap().clone();
        versions.dedup();
        versions
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    seen: Arc<Mutex<Vec<Version>>>,
    behind: String,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (tls, seen, behind) = (tls.clone(), Arc::clone(&seen), behind.clone());
        connections.spawn(async move {
            // A client without trust in the certificate leaves here.
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|request| {
                seen.lock().unwrap().push(request.version());
                pass(request, behind.clone())
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn pass(request: Request<Incoming>, behind: String) -> Result<Response<Body>, Infallible> {
    let target = request.uri().path_and_query().unwrap().as_str().to_owned();
    let mut onward = Request::new(empty());
    *onward.method_mut() = request.method().clone();
    *onward.uri_mut() = format!("{behind}{target}").parse().unwrap();
    for name in [http::header::ACCEPT, http::header::RANGE] {
        for value in request.headers().get_all(&name) {
            onward.headers_mut().append(&name, value.clone());
        }
    }
    let (head, body) = Client::new().send(onward).await.unwrap().into_parts();
    let mut answer = Response::from_parts(head, streamed(body));
    answer.headers_mut().remove(http::header::CONNECTION);
    Ok(answer)
}

/// `wharfd` before the front, with these lines in the upstream's part of its configuration.
async fn before(front: &Front, folder: &TempDir, lines: &str) -> Wharfd {
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &front.certificate).unwrap();
    let lines = lines.replace("CA_FILE", &file.display().to_string());
    Wharfd::with_config(&format!("[[upstream]]\nurl = \"https://{}\"\n{lines}", front.addr)).await
}

#[tokio::test]
async fn an_encrypted_upstream_is_spoken_to_in_http2_or_as_the_configuration_says() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let (front, folder) = (Front::start(&registry).await, TempDir::new().unwrap());
    let origin = Api::new(registry.url(), Client::new());
    let content = noise(1, 20_000_000);
    let digest = origin.push_blob(REPO, content.clone()).await;
    for (lines, version) in [("", Version::HTTP_2), ("http2 = false\n", Version::HTTP_11)] {
        let wharfd = before(&front, &folder, &format!("ca_file = \"CA_FILE\"\n{lines}")).await;
        front.versions.lock().unwrap().clear();
        let part = wharfd.api.get_range(REPO, &digest, "bytes=100-199").await;
        assert!(part.body == content[100..200]);
        let whole = wharfd.api.get_blob(REPO, &digest).await;
        assert!(whole.status == 200 && whole.body == content);
        assert_eq!(front.versions(), [version]);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let (front, folder) = (Front::start(&registry).await, TempDir::new().unwrap());
    let digest = Api::new(registry.url(), Client::new()).push_blob(REPO, "content").await;
    let wharfd = before(&front, &folder, "").await;
    assert_eq!(wharfd.api.get_blob(REPO, &digest).await.status, 502);
    assert!(front.versions().is_empty(), "a request went to whom nobody vouches for");
    assert!(wharfd.log().contains("certificate"), "{}", wharfd.log());
}

#[tokio::test]
async fn a_certificate_of_another_host_or_of_another_authority_is_not_believed() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let folder = TempDir::new().unwrap();
    let digest = Api::new(registry.url(), Client::new()).push_blob(REPO, "content").await;
    let named = Front::start_as("registry.example.com", &registry).await;
    // A certificate of the same name by another issuer.
    let (front, other) = (Front::start(&registry).await, Front::start(&registry).await);
    let mistaken = Front { certificate: other.certificate.clone(), ..front };
    for front in [named, mistaken] {
        let wharfd = before(&front, &folder, "ca_file = \"CA_FILE\"\n").await;
        assert_eq!(wharfd.api.get_blob(REPO, &digest).await.status, 502);
        let path = format!("/v2/{REPO}/blobs/uploads/");
        let status = wharfd.api.post(&path).send().await.unwrap().status.as_u16();
        assert!(matches!(status, 429 | 502), "{status}: one that fails so often is left alone");
        assert!(front.versions().is_empty(), "a request went to somebody else");
        assert!(wharfd.log().contains("certificate"), "{}", wharfd.log());
    }
}
