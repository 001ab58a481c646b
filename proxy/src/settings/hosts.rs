//! Host names that requests may use where no login is needed (`[access] hosts`), so that a web page
//! cannot reach the server under a name of its own (DNS rebinding).
//!
//! Invariant: a name that an attacker's page can have is accepted only from the configuration: as a
//! host, as the address to listen on, or, for TLS, in the certificate.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use super::patterns::fits;
use crate::settings::listen::Listen;

/// A name, or all names of a pattern: `registry.lan`, `*.svc`, `*`. In lower case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HostName(String);

impl TryFrom<String> for HostName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_*".contains(c);
        let name = text.strip_suffix('.').unwrap_or(&text);
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(
                "write a name without a port, such as \"registry.lan\" or \"*.svc\", or \"*\" for any; \
                 addresses need none",
            );
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

/// The accepted names of one listening address.
#[derive(Debug)]
pub(crate) struct Hosts {
    listed: Vec<HostName>,
    /// Whether other machines can reach the address.
    is_public: bool,
    /// Whether the log already reports a missing name.
    told: AtomicBool,
}

impl Hosts {
    pub(crate) fn new(names: &[HostName], listen: Option<&Listen>) -> Self {
        let own = listen.and_then(Listen::name).and_then(|name| HostName::try_from(name).ok());
        let is_public = listen.and_then(Listen::elsewhere).is_some();
        let all = names.iter().cloned().chain(own).collect();
        Self { listed: all, is_public, told: AtomicBool::new(false) }
    }

    /// Whether any client's request for this host may be answered. `host` is the request's host
    /// without its port.
    ///
    /// A name without a dot belongs to a local network: a search list, a container engine or a
    /// broadcast resolves it, and never the public DNS, where attackers' pages come from. An
    /// attacker who controls such a name is in the network already, and where other machines have
    /// access, needs no page. A loopback address gives other machines no access, so there the name
    /// is refused too.
    pub(crate) fn have(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        is_address(&host)
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.listed.iter().any(|name| fits(&name.0, &host))
            || (self.is_public && !host.is_empty() && !host.contains('.'))
    }

    /// True once: one log line about a missing name is enough.
    pub(crate) fn tell(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

/// A page with an address as its host is served from that address. The unspecified address belongs
/// to no server, and browsers do not mark requests to it.
fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let without_zone = bare.split('%').next().unwrap_or(bare);
    without_zone.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str], listen: &str) -> Hosts {
        let name = |text: &&str| HostName::try_from((*text).to_owned()).unwrap();
        let names: Vec<_> = names.iter().map(name).collect();
        Hosts::new(&names, Some(&listen.parse().unwrap()))
    }

    #[test]
    fn addresses_and_names_of_this_machine_are_ours_and_names_of_strangers_are_not() {
        let hosts = hosts(&[], "127.0.0.1:5000");
        for ours in [
            "127.0.0.1",
            "10.1.2.3",
            "[::1]",
            "[fe80::1%25eth0]",
            "localhost",
            "LOCALHOST.",
            "wharfd.localhost",
        ] {
            assert!(hosts.have(ours), "{ours}");
        }
        for other in [
            "evil.test",
            "127.0.0.1.evil.test",
            "127.0.0.1.nip.io",
            "localhost.evil.test",
            "notlocalhost",
            "evil.test.",
            "wharfd",
            "",
            ".",
            "localhost..",
            "[::1].evil.test",
            "0.0.0.0",
            "[::]",
        ] {
            assert!(!hosts.have(other), "{other}");
        }
    }

    #[test]
    fn a_name_of_a_network_is_ours_where_the_network_is_let_in() {
        let hosts = hosts(&[], "0.0.0.0:5000");
        assert!(hosts.have("wharfd") && hosts.have("my_service") && hosts.have("Wharfd."));
        assert!(!hosts.have("wharfd.registry.svc") && !hosts.have("") && !hosts.have("."));
    }

    #[test]
    fn what_is_listed_is_ours_in_any_case_and_with_a_dot_at_its_end() {
        let listed = hosts(&["Registry.LAN", "*.svc", "one.two."], "127.0.0.1:5000");
        for ours in ["registry.lan", "REGISTRY.lan.", "wharfd.registry.svc", "one.two"] {
            assert!(listed.have(ours), "{ours}");
        }
        for other in ["a.registry.lan", "registry.lan.evil.test", "svc", "xsvc"] {
            assert!(!listed.have(other), "{other}");
        }
        let any = hosts(&["*"], "127.0.0.1:5000");
        assert!(any.have("evil.test") && any.have("wharfd"));
        assert!(hosts(&[], "localhost:5000").have("localhost"));
        assert!(listed.tell() && !listed.tell());
    }

    #[test]
    fn a_host_that_cannot_be_one_is_refused() {
        for wrong in ["", ".", "registry.lan:5000", "http://registry.lan", "[::1]", "a b", "a,b"] {
            let error = HostName::try_from(wrong.to_owned()).unwrap_err();
            assert!(error.contains("registry.lan"), "{wrong}");
        }
    }
}
