//! The client's address behind balancers: `Forwarded` (RFC 7239) and `X-Forwarded-For`; and whether
//! the client came encrypted, for the address of tokens. Nothing else of a request is believed from
//! such headers, and none of them goes on to an upstream.
//!
//! Invariant: an address is taken from a header only as far to the left as every hop to the right
//! of it is trusted, and from a trusted peer; the client's own entries prove nothing.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::header::{FORWARDED, HeaderMap, HeaderName};
use wharf_client::runtime::party::Party;

use crate::limits::{FORWARDED_HOPS_MAX, UNTRUSTED_FORWARDERS_MAX};
use crate::settings::trusted_proxies::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl TrustedProxies {
    /// The client behind a peer. Two headers that disagree count as none: a balancer writes one of
    /// them, and the other may be the client's.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.has(peer) {
            return peer;
        }
        let by_standard = lines(headers, &FORWARDED).map(|text| self.walk(peer, forwarded(&text)));
        let by_custom = lines(headers, &X_FORWARDED_FOR)
            .map(|text| self.walk(peer, text.split(',').map(node).collect()));
        match (by_standard, by_custom) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => peer,
        }
    }

    /// Whether the client's connection is encrypted: this one, or the one to the proxy in front, by
    /// its header. "Encrypted" counts from any peer: a client that lies is itself sent to an
    /// address without an answer. "Not encrypted" counts from a trusted peer only, and two headers
    /// that disagree prove nothing.
    pub(crate) fn is_encrypted(&self, peer: IpAddr, is_this: bool, headers: &HeaderMap) -> bool {
        let is_trusted = self.has(peer.to_canonical());
        match said_scheme(headers) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => true,
            Some(_) if is_trusted => false,
            Some(_) | None => is_this,
        }
    }

    /// From the right, past all trusted hops, to the first untrusted one. A hidden name or a
    /// malformed address ends the walk at the hop that reported it.
    fn walk(&self, peer: IpAddr, hops: Vec<Option<IpAddr>>) -> IpAddr {
        let mut known = peer;
        for hop in hops.into_iter().rev().take(FORWARDED_HOPS_MAX) {
            let Some(address) = hop else { return known };
            known = address;
            if !self.has(address) {
                return known;
            }
        }
        known
    }
}

/// Peers that forward for clients and are not trusted. Such a peer is most often a balancer missing
/// in the configuration, and then all of its clients count as one.
#[derive(Default)]
pub(crate) struct UntrustedForwarders(Mutex<HashSet<Party>>);

impl UntrustedForwarders {
    /// A request of an untrusted peer. Each such peer is named in the log once, and only a few of
    /// them, since any client can send the header.
    pub(crate) fn hear(&self, peer: IpAddr, headers: &HeaderMap) {
        let speaks = headers.contains_key(&FORWARDED) || headers.contains_key(&X_FORWARDED_FOR);
        if speaks && self.is_new(peer) {
            tracing::warn!(
                %peer,
                "says whom its requests come from and is not in trusted_proxies, so all of them count as \
                 those of one client: in rates, shares, failed logins and the log; name it there if it \
                 is a balancer of yours"
            );
        }
    }

    fn is_new(&self, peer: IpAddr) -> bool {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        named.len() < UNTRUSTED_FORWARDERS_MAX && named.insert(Party::behind(peer))
    }
}

/// The scheme of the client's connection by the proxy in front: the rightmost word.
fn said_scheme(headers: &HeaderMap) -> Option<String> {
    let by_standard = lines(headers, &FORWARDED).and_then(|text| {
        let last = split_unquoted(&text, ',').last().copied().map(str::to_owned)?;
        pair(&last, "proto")
    });
    let by_custom = lines(headers, &X_FORWARDED_PROTO)
        .and_then(|text| Some(text.rsplit(',').next()?.trim().to_owned()));
    match (by_standard, by_custom) {
        (Some(one), Some(other)) if !one.eq_ignore_ascii_case(&other) => None,
        (Some(one), _) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

/// All lines of a header as one, equivalent by the grammar of HTTP; `None` without any.
fn lines(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|v| v.to_str().unwrap_or("_")).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// The `for` of each element.
fn forwarded(text: &str) -> Vec<Option<IpAddr>> {
    let element = |element| pair(element, "for").and_then(|value| node(&value));
    split_unquoted(text, ',').into_iter().map(element).collect()
}

/// The value of a name in one element.
fn pair(element: &str, wanted: &str) -> Option<String> {
    split_unquoted(element, ';').iter().find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| unquoted(value.trim()))
    })
}

/// Splits where the separator does not stand in quotes.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped, mut from) = (false, false, 0);
    let mut parts = Vec::new();
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if letter == separator && !quoted => {
                parts.extend(text.get(from..at));
                from = at + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(text.get(from..));
    parts
}

/// A value without its quotes and escapes.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let (mut plain, mut letters) = (String::new(), inner.chars());
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

/// An address, perhaps with a port: `1.2.3.4`, `1.2.3.4:5`, `[::1]`, `[::1]:5`, and the bare `::1`
/// of some proxies.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        let address: std::net::Ipv6Addr = address.parse().ok()?;
        return is_port.then_some(IpAddr::V6(address).to_canonical());
    }
    let address = match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => Some(address).filter(|_| is_port(port))?,
        _ => text,
    };
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// A port, or a name that stands for one.
fn is_port(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wharf_client::outbound::proxies::Network;

    fn trusted(networks: &[&str]) -> TrustedProxies {
        let parse = |text: &&str| Network::try_from((*text).to_owned()).unwrap();
        TrustedProxies(networks.iter().map(parse).collect())
    }

    fn client(peer: &str, headers: &[(&str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let trusted = trusted(&["10.0.0.0/8", "fd00::/8", "192.0.2.1"]);
        trusted.client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn that_a_client_came_encrypted_says_anybody_and_that_it_did_not_a_trusted_peer() {
        let said = |peer: &str, is_this, headers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
            trusted(&["10.0.0.0/8"]).is_encrypted(peer.parse().unwrap(), is_this, &map)
        };
        let custom = ("x-forwarded-proto", "http, https");
        assert!(said("10.0.0.1", false, &[custom]) && said("192.0.2.9", false, &[custom]));
        let standard = ("forwarded", "for=1.2.3.4;proto=http, for=10.1.1.1;Proto=\"HTTPS\"");
        assert!(
            said("10.0.0.1", false, &[standard]) && said("10.0.0.1", false, &[standard, custom])
        );
        let other = ("x-forwarded-proto", "http");
        assert!(!said("10.0.0.1", false, &[standard, other]));
        assert!(!said("10.0.0.1", true, &[other]) && said("192.0.2.9", true, &[other]));
        assert!(said("10.0.0.1", true, &[]) && !said("10.0.0.1", false, &[]));
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
        for header in [(XFF, "1.2.3.4"), ("forwarded", "for=1.2.3.4")] {
            assert_eq!(client("203.0.113.9", &[header]), "203.0.113.9");
            assert_eq!(client("192.0.2.2", &[header]), "192.0.2.2");
            assert_eq!(client("192.0.2.1", &[header]), "1.2.3.4");
            assert_eq!(client("::ffff:10.1.1.1", &[header]), "1.2.3.4");
        }
    }

    #[test]
    fn the_client_is_the_last_who_is_not_trusted() {
        let spoofed = "6.6.6.6, 1.2.3.4, 10.0.0.7:4711";
        assert_eq!(client("10.0.0.1", &[(XFF, spoofed)]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &[(XFF, "6.6.6.6"), (XFF, "1.2.3.4")]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &[(XFF, "10.0.0.9, 10.0.0.7")]), "10.0.0.9");
        assert_eq!(client("10.0.0.1", &[(XFF, "1.2.3.4, unknown, 10.0.0.7")]), "10.0.0.7");
        assert_eq!(client("10.0.0.1", &[(XFF, "nonsense")]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        let text = "for=6.6.6.6;by=x, For=\"[2001:db8::1]:80\";proto=https, for=10.1.2.3";
        assert_eq!(client("fd00::1", &[("forwarded", text)]), "2001:db8::1");
        let quoted = "for=\"1.2.3.4\";host=\"a,b;for=6.6.6.6\\\",for=7.7.7.7\"";
        assert_eq!(client("10.0.0.1", &[("forwarded", quoted)]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &[("forwarded", "for=_hidden")]), "10.0.0.1");
    }

    #[test]
    fn who_is_not_believed_is_named_once_and_so_are_a_few() {
        let unbelieved = UntrustedForwarders::default();
        assert!(
            unbelieved.is_new([10, 0, 0, 1].into()) && !unbelieved.is_new([10, 0, 0, 1].into())
        );
        let named = (2..250).filter(|last| unbelieved.is_new([10, 0, 0, *last].into()));
        assert_eq!(named.count(), UNTRUSTED_FORWARDERS_MAX - 1);
    }

    #[test]
    fn two_headers_count_only_when_they_agree() {
        let with = |standard| client("10.0.0.1", &[(XFF, "1.2.3.4"), ("forwarded", standard)]);
        assert_eq!(with("for=1.2.3.4:99"), "1.2.3.4");
        assert_eq!(with("for=6.6.6.6"), "10.0.0.1");
    }

    #[test]
    fn a_network_is_written_without_bits_past_its_length() {
        for wrong in ["10.0.0.1/8", "10.0.0.0/33", "::/129", "host", "", "10.0.0.0/", "1.2.3.4/-1"]
        {
            assert!(Network::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        let all = trusted(&["0.0.0.0/0"]);
        assert!(all.has("1.2.3.4".parse().unwrap()) && !all.has("::1".parse().unwrap()));
        assert!(trusted(&["::/0"]).has("::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn what_a_client_writes_before_the_balancer_never_counts(
            lie in "[ -~]{0,60}", client in any::<[u8; 4]>(), standard in any::<bool>(),
        ) {
            let honest = IpAddr::from(client);
            let trusted = trusted(&["10.0.0.0/8"]);
            prop_assume!(!trusted.has(honest));
            let (name, entry) = if standard {
                ("forwarded", format!("for=\"{honest}\""))
            } else {
                (XFF, honest.to_string())
            };
            // An open quote in the client's own line would take the rest with it: a balancer adds a
            // line, or refuses such a header.
            prop_assume!(!standard || !lie.contains('"'));
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_static(name), format!("{lie}, {entry}").parse().unwrap());
            let found = trusted.client("10.0.0.1".parse().unwrap(), &headers);
            prop_assert_eq!(found, honest);
        }

        #[test]
        fn an_address_is_read_in_every_form(address in any::<u128>(), port in any::<u16>(), v4 in any::<bool>()) {
            let address = if v4 {
                IpAddr::from(u32::try_from(address >> 96).unwrap().to_be_bytes())
            } else {
                IpAddr::from(address.to_be_bytes()).to_canonical()
            };
            let forms = match address {
                IpAddr::V4(a) => vec![a.to_string(), format!("{a}:{port}")],
                IpAddr::V6(a) => vec![a.to_string(), format!("[{a}]"), format!("[{a}]:{port}")],
            };
            for form in forms {
                prop_assert_eq!(node(&form), Some(address));
            }
        }

        #[test]
        fn any_header_is_read_without_panic(text in "\\PC{0,80}") {
            forwarded(&text);
            node(&text);
        }
    }
}
