//! An authority made for one test, `wharfd` with one of its certificates, and clients with trust in
//! it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wharf_testkit::http::{ANSWER_BYTES_MAX, Body, read_to_limit};

use crate::fixture::Wharfd;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// For a server on this machine, valid until this year begins.
    pub(crate) fn server(&self, until_year: i32) -> Pair {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// For a client of this name.
    pub(crate) fn client(&self, name: &str) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }
}

/// `wharfd` behind TLS, and the folder with its files.
pub(crate) struct Scene {
    pub(crate) wharfd: Wharfd,
    pub(crate) authority: Authority,
    folder: TempDir,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::start_with("", "").await
    }

    /// With lines in `[tls]`, where `FOLDER` stands for the folder of the files, and more after it.
    pub(crate) async fn start_with(tls: &str, more: &str) -> Self {
        let folder = TempDir::with_prefix("tls-").unwrap();
        let authority = Authority::new();
        std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        write(folder.path(), &authority.server(2099));
        let there = folder.path().display().to_string();
        let files = format!("cert = \"{there}/tls.crt\"\nkey = \"{there}/tls.key\"\n");
        let tls = tls.replace("FOLDER", &there);
        let wharfd = Wharfd::with_config(&format!("[tls]\n{files}{tls}{more}")).await;
        Self { wharfd, authority, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file into the folder; where it is.
    pub(crate) fn put(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// A new certificate in place of the one before, as renewals do it.
    pub(crate) fn renew(&self, pair: &Pair) {
        write(self.folder.path(), pair);
    }

    /// A client with trust in the authority.
    pub(crate) fn trust(&self) -> Trust {
        Trust { authority: self.authority.pem.clone(), pair: None, versions: rustls::ALL_VERSIONS }
    }

    /// A connection with the first of these protocols supported by `wharfd`.
    pub(crate) async fn connect(&self, alpn: &[&str]) -> Peer {
        Peer::connect(&self.wharfd.host(), &self.trust(), alpn).await.unwrap()
    }
}

/// Each file is whole at every moment; the two of them are not.
fn write(folder: &Path, pair: &Pair) {
    for (name, text) in [("tls.key", &pair.key), ("tls.crt", &pair.cert)] {
        let new = folder.join(format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, folder.join(name)).unwrap();
    }
}

/// A client's trusted authority, and its own certificate.
#[derive(Clone)]
pub(crate) struct Trust {
    pub(crate) authority: String,
    pub(crate) pair: Option<Pair>,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

/// Begins TLS over a connection.
pub(crate) async fn handshake(
    stream: TcpStream,
    trust: &Trust,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trust.authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(trust.versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match &trust.pair {
        None => builder.with_no_client_auth(),
        Some(Pair { cert, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// One connection to `wharfd`.
pub(crate) struct Peer {
    host: String,
    /// The server's certificate.
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) is_http2: bool,
    sender: Sender,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Peer {
    pub(crate) async fn connect(host: &str, trust: &Trust, alpn: &[&str]) -> anyhow::Result<Self> {
        let stream = handshake(TcpStream::connect(host).await?, trust, alpn).await?;
        let (_, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let certificate = session.peer_certificates().unwrap()[0].clone().into_owned();
        let sender = if is_http2 {
            let io = TokioIo::new(stream);
            let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(driver);
            Sender::Http2(sender)
        } else {
            let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(driver);
            Sender::Http1(sender)
        };
        Ok(Self { host: host.to_owned(), certificate, is_http2, sender })
    }

    /// Sends a request; the head of its answer.
    pub(crate) async fn start(
        &mut self,
        method: Method,
        path: &str,
        body: Body,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = Request::builder().method(method);
        Ok(match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.uri(path).header("host", &self.host).body(body)?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                let request = request.uri(format!("https://{}{path}", self.host)).body(body)?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }

    /// A GET; status and body.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<(u16, Bytes)> {
        let answer = self.start(Method::GET, path, wharf_testkit::http::empty()).await?;
        let status = answer.status().as_u16();
        Ok((status, read_to_limit(answer.into_body(), ANSWER_BYTES_MAX).await?))
    }

    /// A blob by POST and PUT; its path.
    pub(crate) async fn push(&mut self, repo: &str, content: &[u8]) -> String {
        let uploads = format!("/v2/{repo}/blobs/uploads/");
        let opened = self.start(Method::POST, &uploads, wharf_testkit::http::empty()).await;
        let location = opened.unwrap().headers()["location"].to_str().unwrap().to_owned();
        let digest = wharf_testkit::images::sha256(content);
        let body = wharf_testkit::http::full(content.to_vec());
        let path = format!("{location}?digest={digest}");
        let ended = self.start(Method::PUT, &path, body).await.unwrap();
        assert_eq!(ended.status(), 201);
        format!("/v2/{repo}/blobs/{digest}")
    }
}
