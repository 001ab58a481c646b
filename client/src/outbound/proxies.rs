//! The outbound proxies: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in both cases, with the
//! meaning of container tools (Go's `golang.org/x/net/http/httpproxy`).
//!
//! Invariants: an unusable proxy is refused, never bypassed; its login appears only in its own
//! header. Addresses of this machine and of its links are never reached through a proxy.

mod exceptions;
mod network;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use exceptions::Exceptions;
pub use network::Network;

/// Variables; the first one that is set and not empty counts.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];

/// A variable that names no usable proxy. Holds nothing of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {reason}")]
pub struct UnusableProxy {
    /// The environment variable.
    pub variable: &'static str,
    /// The reason.
    pub reason: &'static str,
}

/// The proxies for outgoing connections.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OutboundProxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Exceptions,
    /// A variable that is set without effect.
    unused: Option<&'static str>,
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Without a login.
    uri: Uri,
    /// The value of `Proxy-Authorization`.
    authorization: Option<HeaderValue>,
}

impl OutboundProxies {
    /// As the environment says.
    pub fn of_environment() -> Result<Arc<Self>, UnusableProxy> {
        Self::of(|name| std::env::var(name).ok()).map(Arc::new)
    }

    /// As these variables say.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, UnusableProxy> {
        let set = |names: [&'static str; 2]| {
            let value = |name| variable(name).filter(|value: &String| !value.trim().is_empty());
            names.into_iter().find_map(|name| Some((name, value(name)?)))
        };
        let proxy = |names| {
            set(names).map(|(variable, value)| {
                let refused = |reason| UnusableProxy { variable, reason };
                Proxy::parse(value.trim()).map_err(refused)
            })
        };
        let (http, https) = (proxy(HTTP).transpose()?, proxy(HTTPS).transpose()?);
        let exceptions = set(NO).map(|(_, value)| Exceptions::parse(&value)).unwrap_or_default();
        let is_unused = http.is_none() && https.is_none();
        let unused = set(ALL).map(|(name, _)| name).filter(|_| is_unused);
        Ok(Self { http, https, exceptions, unused })
    }

    /// The proxy for this address; `None` for a direct connection.
    pub fn proxy_for(&self, uri: &Uri) -> Option<&Proxy> {
        let (proxy, port) = match uri.scheme_str() {
            Some("https") => (self.https.as_ref()?, 443),
            _ => (self.http.as_ref()?, 80),
        };
        let host = uri.host()?.trim_end_matches('.').to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(port);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_direct = match bare.parse::<IpAddr>() {
            Ok(address) => is_near(address) || self.exceptions.has_address(address, port),
            Err(_) => is_this_machine(&host) || self.exceptions.has_name(&host, port),
        };
        (!is_direct).then_some(proxy)
    }

    /// The same for an address of another type.
    pub fn leads_to(&self, url: &Url) -> bool {
        let uri: Option<Uri> = url.as_str().parse().ok();
        uri.is_some_and(|uri| self.proxy_for(&uri).is_some())
    }

    /// Says in the log how connections leave.
    pub fn announce(&self) {
        for (scheme, proxy) in [("https", &self.https), ("http", &self.http)] {
            if let Some(proxy) = proxy {
                tracing::info!(%proxy, scheme, "connections to others go through a proxy");
            }
        }
        if (self.http.is_some() || self.https.is_some()) && !self.exceptions.is_empty() {
            tracing::info!(no_proxy = %self.exceptions, "connections that go through no proxy");
        }
        for entry in self.exceptions.ignored() {
            tracing::warn!(
                entry,
                "NO_PROXY: the entry of this number is no host, address or network, and is ignored; \
                 write HOST, HOST:PORT, .DOMAIN or ADDRESS/BITS"
            );
        }
        if let Some(variable) = self.unused {
            tracing::warn!(variable, "is not used; set HTTPS_PROXY and HTTP_PROXY");
        }
    }
}

/// Whether an address means another machine when a proxy connects to it: this machine, or one on
/// its link, such as the cloud's metadata service.
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

/// RFC 6761 §6.3.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

impl Proxy {
    /// Where it listens.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The value of `Proxy-Authorization`.
    pub const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// `http://[USER:PASSWORD@]HOST[:PORT]`, or `https://`; without a scheme `http://` is meant. The
    /// reason why not repeats nothing of the text.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "write http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before HOST \
                            where the proxy wants a login";
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&whole).map_err(|_| FORM)?;
        if url.scheme().starts_with("socks") {
            return Err("proxies of the kind SOCKS are not supported; name one that speaks HTTP");
        }
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_bare || url.fragment().is_some() {
            return Err(FORM);
        }
        let authorization = has_login(&url).then(|| authorization(&url)).transpose()?;
        // A URL that cannot have a login has no host either.
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| FORM)?;
        if matches!(url.host(), None | Some(Host::Domain(""))) {
            return Err(FORM);
        }
        Ok(Self { uri: url.as_str().parse().map_err(|_| FORM)?, authorization })
    }
}

/// Basic (RFC 7617), from the percent-encoded login of a URL (RFC 3986 §3.2.1).
fn authorization(url: &Url) -> Result<HeaderValue, &'static str> {
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let text = format!("Basic {}", STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(text).map_err(|_| "its login cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether an address holds a user or a password.
fn has_login(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.to_string().trim_end_matches('/'))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
