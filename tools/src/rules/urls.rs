//! Addresses in a listing: whether they can be followed by a customer. No network: what an address
//! says is judged, not what answers there.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

/// Hosts that stand in templates and examples.
const PLACEHOLDER_DOMAINS: [&str; 6] =
    ["example.com", "example.org", "example.net", "contoso.com", "fabrikam.com", "yourdomain.com"];

/// What is wrong with an address that customers should follow; `None` when nothing is.
#[must_use]
pub fn fault(url: &str) -> Option<String> {
    let uri: Uri = match url.trim().parse() {
        Ok(uri) if url.trim() == url => uri,
        _ => return Some(format!("`{url}` is not an address")),
    };
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(scheme) => return Some(format!("`{url}` starts with {scheme}:, not http: or https:")),
        None => return Some(format!("`{url}` does not start with http:// or https://")),
    }
    if host(&uri).is_none_or(str::is_empty) {
        return Some(format!("`{url}` has no host"));
    }
    None
}

/// What is unsafe about an address in a public text; `None` when nothing is. Addresses that are no
/// addresses are left to [`fault`].
#[must_use]
pub fn unsafe_fault(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    if authority.contains('@') {
        return Some("it holds a user name or a password".to_owned());
    }
    let host = host(&uri)?.to_ascii_lowercase();
    let zone = host.rsplit('.').next().unwrap_or_default();
    if matches!(zone, "localhost" | "local") {
        return Some(format!("`{host}` is a name of the machine that reads it"));
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let private = bare.parse::<Ipv4Addr>().is_ok_and(is_private_v4)
        || bare.parse::<Ipv6Addr>().is_ok_and(is_private_v6);
    private.then(|| format!("`{host}` is a private address"))
}

/// Whether the host is one of those that stand in templates.
#[must_use]
pub fn is_placeholder(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(host) = host(&uri).map(str::to_ascii_lowercase) else { return false };
    let below = |domain: &str| host.strip_suffix(domain).is_some_and(|left| left.ends_with('.'));
    host.ends_with(".invalid")
        || host.ends_with(".example")
        || PLACEHOLDER_DOMAINS.iter().any(|domain| host == *domain || below(domain))
}

/// The host without user information and port, lowercase letters or not.
#[must_use]
pub fn host(uri: &Uri) -> Option<&str> {
    uri.host()
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some_and(is_private_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_customers_can_follow_pass() {
        for url in ["https://a.dev", "http://a.dev/x?y=z#f", "https://a.dev:8443/x"] {
            assert_eq!(fault(url), None, "{url}");
            assert_eq!(unsafe_fault(url), None, "{url}");
        }
    }

    #[test]
    fn addresses_without_scheme_or_host_are_faults() {
        for url in ["", "a.dev", "/x", "ftp://a.dev", "mailto:a@b.c", "https://", " https://a.dev"]
        {
            assert!(fault(url).is_some(), "{url}");
        }
    }

    #[test]
    fn private_and_secret_addresses_are_unsafe() {
        for url in [
            "https://u:p@a.dev/",
            "http://localhost:80/",
            "http://10.1.2.3/",
            "http://127.0.0.1/x",
            "http://[::1]/",
            "http://[fd00::1]/",
            "http://192.168.0.1",
            "http://printer.local/",
        ] {
            assert!(unsafe_fault(url).is_some(), "{url}");
        }
    }

    #[test]
    fn hosts_of_templates_are_known() {
        assert!(is_placeholder("https://www.example.com/x"));
        assert!(is_placeholder("https://Contoso.com"));
        assert!(!is_placeholder("https://notexample.com"));
    }
}
