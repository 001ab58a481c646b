//! TLS towards clients: the current certificate, and its replacement while connections live. The
//! rules for the files are in `settings/tls.rs`.
//!
//! Invariant: a handshake sees one whole identity, certificate, key and authorities of one reading;
//! an inconsistent set of files never replaces a consistent one.

mod certificate;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wharf_oci::Digest;

use crate::limits::{TLS_FILES_PERIOD, TLS_SEND_BYTES};
use crate::runtime::blocking::BlockingPool;
use crate::settings::error::ConfigError;
use crate::settings::tls::{TlsConfig, TlsFiles, TlsIdentity};

/// The server's identity for clients.
pub(crate) struct Tls {
    current: ArcSwap<Shown>,
    files: Mutex<Files>,
    counts: Counts,
}

struct Shown {
    identity: TlsIdentity,
    /// In seconds since 1970; 0 when the certificate does not say.
    valid_until: u64,
}

/// The paths of the files, and their last reading.
struct Files {
    config: TlsConfig,
    /// Of the files read last, accepted or not: unchanged files are not read as news again.
    seen: Digest,
}

#[derive(Default)]
struct Counts {
    taken: AtomicU64,
    refused: AtomicU64,
    handshakes: AtomicU64,
    failed: AtomicU64,
}

/// The state of TLS, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TlsState {
    /// Until when the certificate is valid, in seconds since 1970.
    pub valid_until: u64,
    /// How often a new certificate replaced the old one.
    pub taken: u64,
    /// How often the files did not fit together.
    pub refused: u64,
    /// Completed handshakes.
    pub handshakes: u64,
    /// Handshakes that failed, or took too long.
    pub failed: u64,
}

/// Why a handshake did not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// It took too long.
    #[error("the handshake took longer than {0:?}")]
    Timeout(Duration),
    /// The client failed, or its certificate did.
    #[error("the handshake failed: {0}")]
    Failed(std::io::Error),
}

impl Shown {
    fn new(identity: TlsIdentity) -> Self {
        let valid_until = certificate::valid_until(&identity.certificate).unwrap_or(0);
        Self { identity, valid_until }
    }
}

impl Tls {
    /// Reads the files. Blocks.
    pub(crate) fn load(config: TlsConfig) -> Result<Self, ConfigError> {
        let shown = Shown::new(config.identity(&config.read()?)?);
        let files = Files { config, seen: shown.identity.fingerprint };
        tracing::info!(valid_until = shown.valid_until, "clients are shown a certificate");
        Ok(Self {
            current: ArcSwap::from_pointee(shown),
            files: Mutex::new(files),
            counts: Counts::default(),
        })
    }

    /// Reads the files again, or those of a new configuration; the old identity stays when they do
    /// not fit together. `true` when a new identity replaced it. Blocks.
    pub(crate) fn reload(&self, config: Option<TlsConfig>) -> Result<bool, ConfigError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let config = config.unwrap_or_else(|| files.config.clone());
        let taken = config.read().and_then(|read| self.take(&mut files, &config, &read, true));
        if taken.is_ok() {
            files.config = config;
        }
        self.tell(&taken);
        taken
    }

    /// Files read before are news only when an operator `asked`.
    fn take(
        &self,
        files: &mut Files,
        config: &TlsConfig,
        read: &TlsFiles,
        asked: bool,
    ) -> Result<bool, ConfigError> {
        let fingerprint = read.fingerprint();
        let before = std::mem::replace(&mut files.seen, fingerprint);
        let same = fingerprint == self.current.load().identity.fingerprint;
        if (same && *config == files.config) || (!asked && fingerprint == before) {
            return Ok(false);
        }
        self.current.store(Arc::new(Shown::new(config.identity(read)?)));
        Ok(true)
    }

    fn tell(&self, taken: &Result<bool, ConfigError>) {
        match taken {
            Ok(false) => {}
            Ok(true) => {
                self.counts.taken.fetch_add(1, Ordering::Relaxed);
                let valid_until = self.current.load().valid_until;
                tracing::info!(valid_until, "clients are shown a new certificate");
            }
            Err(error) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "the new certificate was not taken; the old one stays");
            }
        }
    }

    /// Checks the files now and then, until told to stop.
    pub(crate) async fn watch(
        self: Arc<Self>,
        blocking: BlockingPool,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut unreadable = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(TLS_FILES_PERIOD) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let tls = Arc::clone(&self);
            unreadable = blocking.run(move || tls.glance(unreadable)).await;
        }
    }

    /// A periodic check. An unreadable file, in the middle of a change most often, is logged once;
    /// returns whether a file was unreadable. Blocks.
    fn glance(&self, was_unreadable: bool) -> bool {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let config = files.config.clone();
        let read = match config.read() {
            Ok(read) => read,
            Err(_) if was_unreadable => return true,
            Err(error) => {
                self.tell(&Err(error));
                return true;
            }
        };
        let taken = self.take(&mut files, &config, &read, false);
        self.tell(&taken);
        false
    }

    /// The handshake of a connection, within a time.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        time: Duration,
    ) -> Result<TlsStream<S>, HandshakeError> {
        let config = Arc::clone(&self.current.load().identity.config);
        let accept = TlsAcceptor::from(config)
            .accept_with(stream, |session| session.set_buffer_limit(Some(TLS_SEND_BYTES)));
        let accepted = match tokio::time::timeout(time, accept).await {
            Err(_) => Err(HandshakeError::Timeout(time)),
            Ok(accepted) => accepted.map_err(HandshakeError::Failed),
        };
        let counter = if accepted.is_ok() { &self.counts.handshakes } else { &self.counts.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        accepted
    }

    /// Whether the certificate is for this host: a client that verifies certificates then reached
    /// the server it meant.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let current = self.current.load();
        let certificate = ParsedCertificate::try_from(&current.identity.certificate);
        let host = ServerName::try_from(host);
        let both = certificate.ok().zip(host.ok());
        both.is_some_and(|(certificate, host)| verify_server_name(&certificate, &host).is_ok())
    }

    /// For metrics.
    pub(crate) fn state(&self) -> TlsState {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TlsState {
            valid_until: self.current.load().valid_until,
            taken: read(&self.counts.taken),
            refused: read(&self.counts.refused),
            handshakes: read(&self.counts.handshakes),
            failed: read(&self.counts.failed),
        }
    }
}

/// The subject of a client's certificate, safe to log.
pub(crate) fn subject(certificates: Option<&[CertificateDer<'_>]>) -> Option<Arc<str>> {
    let subject = certificate::subject(certificates?.first()?)?;
    Some(subject.into())
}
