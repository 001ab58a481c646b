//! The reason for an unreachable address, with advice. Only for hosts without any answer: a failure
//! of an answering host may pass.

use std::error::Error;
use std::io;

use http::HeaderName;
use hyper_util::client::legacy;
use wharf_client::outbound::ProxyError;

/// The header every answer of a registry has.
pub(super) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");

/// For plain HTTP to a TLS port.
pub(super) const SPEAKS_TLS: &str =
    "it may speak TLS: leave out --plain-http, and `plainHttp` in the offer";

const SPEAKS_PLAIN: &str = "it does not speak TLS; a registry on plain HTTP needs --plain-http, or `plainHttp: true` in \
     the offer";
const NO_NAME: &str = "check how the host is spelled, and that this machine resolves names";
const CLOSED: &str = "nothing listens there: check the host and its port";
const PROXY: &str = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY";
const SILENT: &str = "check the host, its port and the firewalls between";
const NOT_TRUSTED: &str =
    "its certificate is not trusted; name the authority that signed it with --ca-file";

/// Whether the connection was made, and closed before an answer.
pub(super) fn hangs_up(error: &legacy::Error) -> bool {
    links(error).any(|link| {
        link.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message)
    })
}

/// Advice about a failed connection; `None` for a failure after the connection, where a retry may
/// help.
pub(super) fn advice(error: &legacy::Error) -> Option<&'static str> {
    if !error.is_connect() {
        let is_parse = links(error)
            .any(|link| link.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse));
        return is_parse.then_some(SPEAKS_TLS);
    }
    for link in links(error) {
        if link.downcast_ref::<ProxyError>().is_some() {
            return Some(PROXY);
        }
        let mut inner = link.downcast_ref::<io::Error>();
        while let Some(io) = inner {
            if let Some(advice) = io_advice(io) {
                return Some(advice);
            }
            // Layers of a connection wrap the errors of those below.
            inner = io.get_ref().and_then(|inner| inner.downcast_ref());
        }
        // The resolver's error has no type of its own to match.
        if link.to_string() == "dns error" {
            return Some(NO_NAME);
        }
    }
    Some(SILENT)
}

fn io_advice(error: &io::Error) -> Option<&'static str> {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return Some(tls_advice(tls));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(CLOSED),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Some(SPEAKS_PLAIN),
        _ => None,
    }
}

fn tls_advice(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            NOT_TRUSTED
        }
        _ => SPEAKS_PLAIN,
    }
}

/// An error and everything behind it.
fn links(error: &legacy::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let link = next?;
        next = link.source();
        Some(link)
    })
}
