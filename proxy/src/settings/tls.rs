//! `[tls]`: the server's certificate, and the authorities of client certificates.
//!
//! Invariant: the files fit together: the key belongs to the first certificate, and every file has
//! content of its kind. No part of a key reaches an error or `Debug`.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use wharf_oci::{Algorithm, Digest, Digester};

use crate::limits::{TLS_CERTIFICATES_MAX, TLS_FILE_BYTES_MAX};
use crate::settings::error::ConfigError;

/// The certificate for clients, and client certificates (mTLS): HTTP/2 and HTTP/1.1 over TLS 1.3 and
/// 1.2. Changed files count without a reload ([how](../how-to/tls.md)).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsConfig {
    /// File with the certificate and those that lead to its authority (PEM). `--tls-cert` wins.
    pub(crate) cert: PathBuf,
    /// File with its private key (PEM). `--tls-key` wins.
    pub(crate) key: PathBuf,
    /// File with the authorities of client certificates (PEM). The name of a client's certificate is in
    /// the log (`certificate`).
    client_ca: Option<PathBuf>,
    /// With `client_ca`: whether a client must show a certificate. A wrong certificate is never let in.
    client_auth: Option<ClientAuth>,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum ClientAuth {
    /// it must
    Required,
    /// clients without a certificate are let in too
    Optional,
}

/// Everything that a handshake needs, from files that were read once.
pub(crate) struct TlsIdentity {
    /// The settings of handshakes.
    pub(crate) config: Arc<ServerConfig>,
    /// The server's certificate.
    pub(crate) certificate: CertificateDer<'static>,
    /// A digest of all the files together.
    pub(crate) fingerprint: Digest,
}

/// The files of `[tls]` as they were at one moment.
pub(crate) struct TlsFiles {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsFiles")
    }
}

impl TlsConfig {
    /// Merges the files of the command line, which win over those of the configuration.
    pub(crate) fn merge(
        file: Option<Self>,
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Self>, ConfigError> {
        let found = match (file, cert, key) {
            (Some(file), cert, key) => {
                Self { cert: cert.unwrap_or(file.cert), key: key.unwrap_or(file.key), ..file }
            }
            (None, Some(cert), Some(key)) => Self { cert, key, client_ca: None, client_auth: None },
            (None, None, None) => return Ok(None),
            (None, _, _) => {
                let reason = "--tls-cert and --tls-key belong together; give both";
                return Err(ConfigError::Tls(reason.to_owned()));
            }
        };
        if found.client_auth.is_some() && found.client_ca.is_none() {
            let reason = "client_auth needs client_ca, the authorities of the clients";
            return Err(ConfigError::Tls(reason.to_owned()));
        }
        Ok(Some(found))
    }

    /// Reads the files. Blocks.
    pub(crate) fn read(&self) -> Result<TlsFiles, ConfigError> {
        Ok(TlsFiles {
            cert: read(&self.cert)?,
            key: read(&self.key)?,
            client_ca: self.client_ca.as_deref().map(read).transpose()?,
        })
    }

    /// Builds the handshake's settings from the files, or names a file that does not fit.
    pub(crate) fn identity(&self, files: &TlsFiles) -> Result<TlsIdentity, ConfigError> {
        let chain = certificates(&self.cert, &files.cert)?;
        let Some(certificate) = chain.first().cloned() else {
            return Err(wrong(&self.cert, "it has no certificate; it wants PEM"));
        };
        let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|_| {
            wrong(&self.key, "it has no private key that can be read; it wants PEM")
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::Tls(error.to_string()))?;
        let builder = match self.verifier(files)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            let pair = format!("{} and {}", self.cert.display(), self.key.display());
            ConfigError::Tls(format!("{pair} do not make a pair: {error}"))
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // A returning client sends its certificate again, because it may have expired
            // meanwhile.
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        } else {
            config.ticketer = rustls::crypto::ring::Ticketer::new()
                .map_err(|error| ConfigError::Tls(error.to_string()))?;
        }
        Ok(TlsIdentity { config: Arc::new(config), certificate, fingerprint: files.fingerprint() })
    }

    fn verifier(
        &self,
        files: &TlsFiles,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, ConfigError> {
        let (Some(path), Some(pem)) = (&self.client_ca, &files.client_ca) else {
            return Ok(None);
        };
        let mut roots = RootCertStore::empty();
        for authority in certificates(path, pem)? {
            roots.add(authority).map_err(|error| wrong(path, &error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match self.client_auth.unwrap_or(ClientAuth::Required) {
            ClientAuth::Required => builder,
            ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        builder.build().map(Some).map_err(|error| wrong(path, &error.to_string()))
    }
}

impl TlsFiles {
    /// Two of them are equal when the files were.
    pub(crate) fn fingerprint(&self) -> Digest {
        let mut digester = Digester::new(Algorithm::Sha256);
        let empty = Vec::new();
        for file in [&self.cert, &self.key, self.client_ca.as_ref().unwrap_or(&empty)] {
            digester.update(&(file.len() as u64).to_le_bytes());
            digester.update(file);
        }
        digester.finish().digest
    }
}

fn wrong(path: &Path, reason: &str) -> ConfigError {
    ConfigError::Tls(format!("{}: {reason}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    opened
        .and_then(|file| file.take(TLS_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(path, &error.to_string()))?;
    if bytes.len() as u64 > TLS_FILE_BYTES_MAX {
        return Err(wrong(path, "it is too large to be certificates"));
    }
    Ok(bytes)
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).take(TLS_CERTIFICATES_MAX).collect();
    let found = found.map_err(|error| wrong(path, &error.to_string()))?;
    if found.is_empty() {
        return Err(wrong(path, "it has no certificate; it wants PEM"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TlsConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_command_line_wins_and_half_a_pair_is_none() {
        let file = parse("cert = \"a\"\nkey = \"b\"\n").unwrap();
        let both = TlsConfig::merge(Some(file), Some("c".into()), None).unwrap().unwrap();
        assert_eq!((both.cert, both.key), ("c".into(), "b".into()));
        assert!(TlsConfig::merge(None, None, None).unwrap().is_none());
        let half = TlsConfig::merge(None, Some("c".into()), None).unwrap_err().to_string();
        assert!(half.contains("--tls-key"), "{half}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(parse("cert = \"a\"\n").unwrap_err().to_string().contains("key"));
        assert!(parse("cert = \"a\"\nkey = \"b\"\nkeys = \"c\"\n").is_err());
        assert!(parse("cert = \"a\"\nkey = \"b\"\nclient_auth = \"maybe\"\n").is_err());
        let lonely = parse("cert = \"a\"\nkey = \"b\"\nclient_auth = \"optional\"\n").unwrap();
        let refused = TlsConfig::merge(Some(lonely), None, None).unwrap_err().to_string();
        assert!(refused.contains("client_ca"), "{refused}");
    }

    #[test]
    fn a_file_that_is_not_what_it_is_for_is_named_and_nothing_of_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("cert"), "no certificate").unwrap();
        std::fs::write(path("key"), "a planted secret").unwrap();
        let config =
            TlsConfig { cert: path("cert"), key: path("key"), client_ca: None, client_auth: None };
        let files = config.read().unwrap();
        assert!(!format!("{files:?}").contains("planted"));
        let said = config.identity(&files).err().unwrap().to_string();
        assert!(said.contains("cert") && said.contains("PEM"), "{said}");
        let missing = TlsConfig { cert: path("none"), ..config };
        assert!(missing.read().unwrap_err().to_string().contains("none"));
    }
}
