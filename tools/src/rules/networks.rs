//! Hosts outside the public network: names of local zones, and addresses by IANA's registries for
//! special purposes.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::Host;

/// Zones without a public name server: RFC 6761, 6762 (appendix G too), 7686, 8375, 9476, and
/// `.internal`, reserved by ICANN. Those of templates (`.example`) are told apart elsewhere.
const ZONES_PRIVATE: [&str; 13] = [
    "localhost",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "localdomain",
    "home.arpa",
    "test",
    "onion",
    "alt",
];

/// Azure's own address for the platform's traffic with its machines; it looks like a public one.
const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Networks outside the public internet: start and length of the prefix.
const NETWORKS_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Why a host is not one of the public network; `None` when it may be.
#[must_use]
pub(super) fn fault(host: &Host<&str>) -> Option<String> {
    match host {
        Host::Domain(name) => private_name(name),
        Host::Ipv4(address) => {
            is_private_v4(*address).then(|| format!("`{address}` is a private address"))
        }
        Host::Ipv6(address) => {
            is_private_v6(*address).then(|| format!("`[{address}]` is a private address"))
        }
    }
}

fn private_name(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let within = |zone: &str| {
        name.strip_suffix(zone).is_some_and(|left| left.is_empty() || left.ends_with('.'))
    };
    if within("localhost") || within("local") {
        return Some(format!("`{name}` is a name of the machine or the network that reads it"));
    }
    if !name.contains('.') {
        return Some(format!("`{name}` is a name that only its own network knows"));
    }
    ZONES_PRIVATE
        .iter()
        .any(|zone| within(zone))
        .then(|| format!("`{name}` is a name that no public name server knows"))
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    let within = |(start, length): &(Ipv4Addr, u32)| {
        let shift = 32 - length;
        bits >> shift == u32::from(*start) >> shift
    };
    address == AZURE_WIRE_SERVER || NETWORKS_V4.iter().any(within)
}

/// Public addresses are in `2000::/3`; some of these hold one of IPv4, and the IPv4 address counts
/// then.
fn is_private_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_private_v4(inner);
    }
    let [first, second, third, .., low, lowest] = address.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (first, second) {
        // NAT64.
        (0x64, 0xff9b) => is_private_v4(inner(low, lowest)),
        // 6to4.
        (0x2002, _) => is_private_v4(inner(second, third)),
        // Protocols, Teredo among them; documentation twice.
        (0x2001, ..=0x01ff | 0x0db8) | (0x3fff, ..=0x0fff) => true,
        (0x2000..=0x3fff, _) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_hosts_pass() {
        for name in ["a.dev", "localhost.dev", "mylocal.org", "test.dev", "a.example"] {
            assert_eq!(fault(&Host::Domain(name)), None, "{name}");
        }
        for address in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "192.0.1.1", "168.63.129.17"] {
            assert!(address.parse().is_ok_and(|address| !is_private_v4(address)), "{address}");
        }
        for address in ["2606:4700::1", "2a00::1", "2002:808:808::1", "64:ff9b::8.8.8.8"] {
            assert!(address.parse().is_ok_and(|address| !is_private_v6(address)), "{address}");
        }
    }

    #[test]
    fn other_hosts_are_named() {
        for name in [
            "intranet",
            "printer.local",
            "db.internal",
            "a.home.arpa",
            "api.localhost",
            "x.corp",
            "y.test",
        ] {
            assert!(fault(&Host::Domain(name)).is_some(), "{name}");
        }
        for address in
            ["0.0.0.0", "100.64.0.1", "172.31.255.255", "198.19.0.1", "224.0.0.1", "168.63.129.16"]
        {
            assert!(address.parse().is_ok_and(is_private_v4), "{address}");
        }
        for address in [
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "2002:a00:1::",
            "64:ff9b::10.0.0.1",
            "::127.0.0.1",
            "3fff::1",
            "fec0::1",
        ] {
            assert!(address.parse().is_ok_and(is_private_v6), "{address}");
        }
    }
}
