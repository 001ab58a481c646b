//! The egress policy (SSRF protection): the hosts a registry may lead us to by a redirect, an
//! upload's Location, or the realm of its tokens. Names are resolved first, the policy checks the
//! addresses, and connections go to the checked addresses only: DNS rebinding gains nothing.
//!
//! Invariant: past its own host, a registry leads to public addresses, to addresses of its own
//! kinds, and to hosts that the configuration lists; never to a cloud's metadata service. When a
//! caller chose the host (`https://*`), the policy applies to the host itself too.

use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;
use url::{Host, Url};

use crate::outbound::proxies::OutboundProxies;
use crate::settings::{HostList, Settings};

/// Checks addresses, and resolves names to the allowed ones.
#[derive(Clone)]
pub(crate) struct EgressPolicy {
    around: Arc<Around>,
    egress: Arc<OutboundProxies>,
    resolver: GaiResolver,
}

/// The policy's knowledge of the registry itself.
struct Around {
    own: String,
    /// Whether the configuration names that host, rather than a caller.
    is_own_trusted: bool,
    listed: HostList,
    /// The registry's observed kinds of address, a bit for each.
    kinds: AtomicU8,
}

/// A target that the egress policy forbids.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host} has {kind}; if it is meant to be reached, list it in redirect_hosts")]
pub(crate) struct Forbidden {
    host: String,
    kind: &'static str,
}

/// Kinds of address, by their reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The public internet.
    Public,
    /// The same private network.
    Private,
    /// This machine.
    Loopback,
    /// The same link.
    Link,
    /// A cloud's metadata service, or an unroutable address.
    Never,
}

impl EgressPolicy {
    /// The policy of the registry with these settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        let own = settings.url.host_str().unwrap_or_default().to_owned();
        let is_own_trusted = settings.is_host_trusted;
        let listed = Arc::clone(&settings.redirect_hosts);
        let around = Around { own, is_own_trusted, listed, kinds: AtomicU8::new(0) };
        if let Some(address) = literal(&settings.url).filter(|_| is_own_trusted) {
            around.note(address);
        }
        let (around, egress) = (Arc::new(around), Arc::clone(&settings.proxies));
        Self { around, egress, resolver: GaiResolver::new() }
    }

    /// Whether the policy checks the registry's own host like every other.
    pub(crate) fn judges_own(&self) -> bool {
        !self.around.is_own_trusted
    }

    /// Checks a literal address, and a name that a proxy will resolve. Other names are checked when
    /// they are resolved here.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host_str().unwrap_or_default();
        match literal(url) {
            Some(address) => self.around.judge(host, [address]).map(|_| ()),
            None if self.egress.leads_to(url) => self.around.judge_name(host),
            None => Ok(()),
        }
    }
}

impl Around {
    fn note(&self, address: IpAddr) {
        self.kinds.fetch_or(Kind::of(address).bit(), Ordering::Relaxed);
    }

    /// The allowed addresses of a host; an error when there are only forbidden ones.
    fn judge<A: Into<IpAddr> + Copy>(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Vec<A>, Forbidden> {
        let is_own = host == self.own;
        let listed = (self.listed)(host);
        let (mut good, mut astray) = (Vec::new(), None);
        for address in addresses {
            let kind = Kind::of(address.into());
            let passes = match kind {
                Kind::Never => false,
                _ if is_own && self.is_own_trusted => true,
                Kind::Public => true,
                Kind::Link => self.has(kind),
                Kind::Private | Kind::Loopback => listed || self.has(kind),
            };
            if is_own && passes {
                self.note(address.into());
            }
            if passes {
                good.push(address);
            } else {
                astray = Some(Forbidden { host: host.to_owned(), kind: kind.as_str() });
            }
        }
        match astray {
            Some(astray) if good.is_empty() => Err(astray),
            _ => Ok(good),
        }
    }

    /// Checks a name alone: the proxy resolves it, so its addresses are unknown here.
    fn judge_name(&self, host: &str) -> Result<(), Forbidden> {
        let name = host.trim_end_matches('.');
        let is_trusted = host == self.own && self.is_own_trusted;
        let is_inside =
            is_metadata(name) || (is_inside(name) && !is_trusted && !(self.listed)(name));
        if is_inside {
            return Err(Forbidden { host: host.to_owned(), kind: "a name of a private network" });
        }
        Ok(())
    }

    /// Whether the registry itself has an address of this kind.
    fn has(&self, kind: Kind) -> bool {
        self.kinds.load(Ordering::Relaxed) & kind.bit() != 0
    }
}

/// Whether a name looks internal to a network: without a dot, or reserved for such use (RFC 6761,
/// 6762 and 8375; `internal` by ICANN).
fn is_inside(name: &str) -> bool {
    const ENDS: [&str; 7] =
        ["localhost", "local", "internal", "home.arpa", "intranet", "lan", "corp"];
    let is_below = |end: &str| {
        name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    !name.contains('.') || ENDS.into_iter().any(is_below)
}

/// Names of the metadata services of clouds.
fn is_metadata(name: &str) -> bool {
    matches!(name, "metadata" | "metadata.google.internal" | "metadata.goog" | "instance-data")
}

/// The forbidden address in a request's error, if it is the cause.
pub(crate) fn astray(error: &(dyn StdError + 'static)) -> Option<Forbidden> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(astray) = error.downcast_ref::<Forbidden>() {
            return Some(astray.clone());
        }
        cause = error.source();
    }
    None
}

/// An address from the resolver, with a meaningless port.
#[derive(Clone, Copy)]
struct Resolved(SocketAddr);

impl From<Resolved> for IpAddr {
    fn from(resolved: Resolved) -> Self {
        resolved.0.ip()
    }
}

impl Service<Name> for EgressPolicy {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.resolver.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (around, host) = (Arc::clone(&self.around), name.as_str().to_owned());
        let resolved = self.resolver.call(name);
        Box::pin(async move {
            let good = around.judge(&host, resolved.await?.map(Resolved))?;
            let good: Vec<_> = good.into_iter().map(|Resolved(address)| address).collect();
            Ok(good.into_iter())
        })
    }
}

/// The literal address in the place of a name.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

impl Kind {
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Loopback => "an address of this machine",
            Self::Link => "a link-local address",
            Self::Never => "an address that no registry has",
        }
    }

    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    #[expect(clippy::match_same_arms, reason = "each line says what it is")]
    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // Azure's, AWS' (also for containers) and Alibaba's metadata; Azure's platform.
            [169, 254, 169, 254] | [169, 254, 170, 2] | [100, 100, 100, 200] => Self::Never,
            [168, 63, 129, 16] => Self::Never,
            // "This network", treated by some systems as this machine; multicast, reserved;
            // documentation.
            [0 | 224..=255, ..] => Self::Never,
            [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Never,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::Link,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            // Addresses of carriers; of benchmarks.
            [100, 64..=127, ..] | [198, 18..=19, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    #[expect(clippy::match_same_arms, reason = "each line says what it is")]
    fn of_v6(address: Ipv6Addr) -> Self {
        let v4 = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Self::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Never,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // AWS' metadata.
            [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => Self::Never,
            // Ways to write a version 4 address: compatible, mapped, translated, 6to4.
            [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
            | [0, 0, 0, 0, 0, 0xffff, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => v4(high, low),
            // Documentation; multicast.
            [0x2001, 0x0db8, ..] | [0xff00..=0xffff, ..] => Self::Never,
            [0xfe80..=0xfebf, ..] => Self::Link,
            // Unique local, site local; local translation; Teredo.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] => Self::Private,
            _ => Self::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings with these hosts listed; `*` before a host is any host below.
    fn settings(base: &str, listed: &'static [&str]) -> Settings {
        let fits = |pattern: &str, host: &str| match pattern.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => host == pattern,
        };
        let redirect_hosts: HostList =
            Arc::new(move |host| listed.iter().any(|pattern| fits(pattern, host)));
        Settings { redirect_hosts, ..Settings::sample(base) }
    }

    fn reach(base: &str, listed: &'static [&str]) -> EgressPolicy {
        EgressPolicy::new(&settings(base, listed))
    }

    /// The policy of a host chosen by a caller.
    fn chosen(base: &str, listed: &'static [&str]) -> EgressPolicy {
        EgressPolicy::new(&Settings { is_host_trusted: false, ..settings(base, listed) })
    }

    fn goes(reach: &EgressPolicy, url: &str) -> bool {
        reach.check(&Url::parse(url).unwrap()).is_ok()
    }

    fn resolves(reach: &EgressPolicy, host: &str, addresses: &[&str]) -> Vec<String> {
        let addresses = addresses.iter().map(|text| text.parse::<IpAddr>().unwrap());
        let good = reach.around.judge(host, addresses).unwrap_or_default();
        good.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_public_registry_leads_to_public_addresses_only() {
        let reach = reach("https://contoso.azurecr.io", &[]);
        for url in ["https://20.60.1.1/blob", "https://[2603:1030::1]/", "https://host/"] {
            assert!(goes(&reach, url), "{url}");
        }
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "169.254.169.254",
            "[::ffff:169.254.169.254]",
            "169.254.1.1",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "168.63.129.16",
            "100.100.100.200",
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "[fc00::1]",
            "[fec0::1]",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            let url = format!("http://{host}/latest/meta-data/");
            assert!(!goes(&reach, &url), "{url}");
        }
    }

    #[test]
    fn a_registry_leads_to_addresses_of_its_own_kind_but_never_to_metadata() {
        let here = reach("http://127.0.0.1:5000", &[]);
        assert!(goes(&here, "http://127.0.0.2:5001/") && goes(&here, "https://[::1]/"));
        assert!(!goes(&here, "http://10.0.0.1/") && !goes(&here, "http://169.254.169.254/"));
        let link = reach("http://169.254.7.7:5000", &[]);
        assert!(goes(&link, "http://169.254.7.8/") && !goes(&link, "http://169.254.169.254/"));
        // A private endpoint: reached by name, its kind learned from the resolved address.
        let private = reach("https://contoso.azurecr.io", &[]);
        let data = "contoso.westeurope.data.azurecr.io";
        assert!(resolves(&private, data, &["10.0.0.6"]).is_empty());
        assert_eq!(resolves(&private, "contoso.azurecr.io", &["10.0.0.5"]), ["10.0.0.5"]);
        assert_eq!(resolves(&private, data, &["10.0.0.6"]), ["10.0.0.6"]);
        assert!(resolves(&private, data, &["127.0.0.1"]).is_empty());
    }

    #[test]
    fn of_a_name_only_the_addresses_that_pass_are_connected_to() {
        let reach = reach("https://contoso.azurecr.io", &[]);
        let mixed = ["169.254.169.254", "20.60.1.1", "127.0.0.1"];
        assert_eq!(resolves(&reach, "rebound.example.com", &mixed), ["20.60.1.1"]);
        assert!(resolves(&reach, "localhost", &["127.0.0.1", "::1"]).is_empty());
    }

    #[test]
    fn a_listed_host_may_be_inside_but_is_never_metadata() {
        let reach = reach("https://contoso.azurecr.io", &["*.blob.core.windows.net", "10.1.1.1"]);
        let host = "contoso.blob.core.windows.net";
        assert_eq!(resolves(&reach, host, &["10.0.0.6", "127.0.0.1"]), ["10.0.0.6", "127.0.0.1"]);
        assert!(resolves(&reach, host, &["169.254.169.254", "169.254.1.1"]).is_empty());
        assert!(resolves(&reach, "blob.core.windows.net", &["10.0.0.6"]).is_empty());
        assert!(goes(&reach, "http://10.1.1.1/") && !goes(&reach, "http://10.1.1.2/"));
    }

    #[test]
    fn of_names_that_a_proxy_resolves_those_of_inside_are_refused() {
        let proxy = |name: &str| (name == "HTTPS_PROXY").then(|| "http://p.example.com".to_owned());
        let proxies = Arc::new(OutboundProxies::of(proxy).unwrap());
        let behind = |base, is_host_trusted| {
            let settings = settings(base, &["*.store.internal"]);
            let proxies = Arc::clone(&proxies);
            EgressPolicy::new(&Settings { is_host_trusted, proxies, ..settings })
        };
        let (reach, chosen) = (behind("https://registry", true), behind("https://db.corp", false));
        assert!(
            !goes(&chosen, "https://db.corp/v2/") && goes(&chosen, "https://a.store.internal/")
        );
        for outside in ["https://contoso.blob.core.windows.net/x", "https://a.store.internal/"] {
            assert!(goes(&reach, outside), "{outside}");
        }
        for inside in [
            "https://intranet/",
            "https://db.corp.internal./",
            "https://printer.local/",
            "https://metadata.google.internal/",
            "https://10.0.0.1/",
            "https://169.254.169.254/",
        ] {
            assert!(!goes(&reach, inside), "{inside}");
        }
        assert!(goes(&reach, "https://registry:5000/"), "its own host");
        // Without a proxy, the policy checks a name by its addresses.
        assert!(goes(&reach, "http://intranet/"));
    }

    #[test]
    fn a_host_that_a_caller_chose_is_public_or_listed() {
        let host = "registry.example.com";
        let base = format!("https://{host}");
        let public = chosen(&base, &[]);
        assert_eq!(resolves(&public, host, &["20.60.1.1"]), ["20.60.1.1"]);
        for inside in ["10.0.0.5", "127.0.0.1", "169.254.7.7", "169.254.169.254", "fd00::1"] {
            assert!(resolves(&public, host, &[inside]).is_empty(), "{inside}");
            // A refused kind is not learned: the next address of the kind is refused too.
            assert!(resolves(&public, "other.example.com", &[inside]).is_empty(), "{inside}");
        }
        assert_eq!(resolves(&public, host, &["10.0.0.5", "20.60.1.1"]), ["20.60.1.1"]);
        let listed = chosen(&base, &["*.example.com"]);
        assert_eq!(resolves(&listed, host, &["10.0.0.5"]), ["10.0.0.5"]);
        assert!(resolves(&listed, host, &["169.254.169.254"]).is_empty());
        // A literal address is not resolved, and checked all the same.
        let literal = chosen("http://10.0.0.5:5000", &[]);
        assert!(literal.judges_own() && !goes(&literal, "http://10.0.0.5:5000/v2/"));
        assert!(goes(&chosen("http://10.0.0.5", &["10.0.0.5"]), "http://10.0.0.5/v2/"));
        assert!(!reach(&base, &[]).judges_own());
    }

    #[tokio::test]
    async fn a_client_is_not_connected_to_a_name_that_leads_inside() {
        let mut reach = reach("https://contoso.azurecr.io", &[]);
        let refused = reach.call("localhost".parse().unwrap()).await.unwrap_err();
        assert!(astray(&*refused).unwrap().to_string().contains("redirect_hosts"));
    }
}
