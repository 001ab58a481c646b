//! Addresses in a listing: whether a customer can follow them, and whether they lead to a public
//! place. No network: the address itself is judged, not the host's answer. It is read as browsers
//! read it (WHATWG, crate `url`), so a host in an odd notation is the host they would open.

use std::cell::RefCell;

use url::{Host, SyntaxViolation, Url};

use super::networks;
use crate::characters;
use crate::logins;
use crate::output::visible;

/// Longest address that is followed everywhere; some browsers and forms cut longer ones.
const ADDRESS_CHARS_MAX: usize = 2_048;
/// How much of an address a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 120;

/// Hosts in templates and examples.
const PLACEHOLDER_DOMAINS: [&str; 6] =
    ["example.com", "example.org", "example.net", "contoso.com", "fabrikam.com", "yourdomain.com"];

/// Schemes whose address is a program or a document of its own.
const SCHEMES_ACTIVE: [&str; 5] = ["javascript", "vbscript", "data", "blob", "livescript"];

/// Ports blocked by browsers (Fetch standard, "bad port").
const PORTS_BLOCKED: [u16; 82] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697,
];

/// The fault in an address for customers; `None` without one.
#[must_use]
pub fn fault(address: &str) -> Option<String> {
    let shown = shown(address);
    if address.chars().count() > ADDRESS_CHARS_MAX {
        return Some(format!("`{shown}` has more than {ADDRESS_CHARS_MAX} characters"));
    }
    if address.chars().any(characters::is_hidden) {
        return Some(format!("`{shown}` holds characters that nobody sees"));
    }
    let violations = RefCell::new(Vec::new());
    let note = |violation| violations.borrow_mut().push(violation);
    let url = match Url::options().syntax_violation_callback(Some(&note)).parse(address) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return Some(format!("`{shown}` does not start with http:// or https://"));
        }
        Err(error) => return Some(format!("`{shown}` is not an address: {error}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme();
        return Some(format!("`{shown}` starts with {scheme}:, not http: or https:"));
    }
    // A login in an address is unsafe, and [`unsafe_fault`] reports it.
    let mut violations = violations.into_inner().into_iter().filter(|violation| {
        !matches!(
            violation,
            SyntaxViolation::EmbeddedCredentials | SyntaxViolation::UnencodedAtSign
        )
    });
    if let Some(violation) = violations.next() {
        return Some(format!("`{shown}` is not written as it is read: {violation}"));
    }
    if let Some(Host::Ipv4(host)) = url.host()
        && !address.contains(&host.to_string())
    {
        return Some(format!("`{shown}` is a way to write {host} that few people read"));
    }
    if let Some(Host::Domain(host)) = url.host()
        && !is_host_name(host)
    {
        return Some(format!("`{shown}`: `{}` is no name of a host", visible(host)));
    }
    if let Some(port) = url.port().filter(|port| is_blocked(*port)) {
        return Some(format!("`{shown}`: browsers do not open port {port}"));
    }
    None
}

/// The danger in an address in a public text; `None` without one. An address unreadable for
/// browsers is left to [`fault`].
#[must_use]
pub fn unsafe_fault(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    if !url.username().is_empty() || url.password().is_some() {
        return Some("it holds a user name or a password".to_owned());
    }
    networks::fault(&url.host()?)
}

/// The secret among the parameters of an address.
#[must_use]
pub fn secret(address: &str) -> Option<String> {
    let name = logins::secret_parameters(address).next()?;
    Some(format!(
        "it holds a secret: the value of `{}`; whoever reads the address may use it",
        visible(&name)
    ))
}

/// Whether a browser runs or shows the address's own content.
#[must_use]
pub fn is_active(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| SCHEMES_ACTIVE.contains(&url.scheme()))
}

/// The fault in the address of a link within a text; a mail address is allowed.
#[must_use]
pub fn link_fault(address: &str) -> Option<String> {
    let mail = Url::parse(address).ok().filter(|url| url.scheme() == "mailto");
    match mail {
        Some(mail)
            if !mail.has_authority()
                && mail.path().split(',').all(is_mailbox)
                && !address.contains(|c: char| c.is_whitespace() || characters::is_hidden(c)) =>
        {
            None
        }
        Some(_) => Some(format!("`{}` has no mail address", shown(address))),
        None => unsafe_fault(address).or_else(|| fault(address)),
    }
}

/// Whether the host is one from templates.
#[must_use]
pub fn is_placeholder(address: &str) -> bool {
    let Some(host) = host(address) else { return false };
    let below = |domain: &str| host.strip_suffix(domain).is_some_and(|left| left.ends_with('.'));
    host.ends_with(".invalid")
        || host.ends_with(".example")
        || PLACEHOLDER_DOMAINS.iter().any(|domain| host == *domain || below(domain))
}

/// The host as browsers read it: lowercase, names in ASCII, no full stop at the end.
#[must_use]
pub fn host(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    Some(url.host_str()?.trim_end_matches('.').to_owned())
}

/// `NAME@HOST` (RFC 6068 §2).
fn is_mailbox(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    !name.is_empty() && !name.contains(['/', '@', ':']) && is_host_name(host)
}

/// Letters, digits and hyphens within (RFC 1123 §2.1), in nonempty parts.
fn is_host_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.split('.').all(|part| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    })
}

fn is_blocked(port: u16) -> bool {
    port == 10_080 || PORTS_BLOCKED.contains(&port)
}

/// The address as messages repeat it: without a login, on one line, and not all of a long one.
fn shown(address: &str) -> String {
    if logins::may_hold(address) {
        return logins::NOT_SHOWN.to_owned();
    }
    let address = &*logins::hide_in_address(address);
    let start: String = address.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if start.len() < address.len() { "…" } else { "" };
    format!("{}{more}", visible(&start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_that_customers_can_follow_pass() {
        for url in [
            "https://a.dev",
            "http://a.dev/x?y=z#f",
            "https://a.dev:8443/x",
            "https://a.dev/%20x",
            "https://bücher.dev/ü",
            "https://xn--bcher-kva.dev/",
            "https://8.8.8.8/x",
        ] {
            assert_eq!(fault(url), None, "{url}");
            assert_eq!(unsafe_fault(url), None, "{url}");
        }
    }

    #[test]
    fn addresses_that_are_read_otherwise_than_written_are_faults() {
        for url in [
            "",
            "a.dev",
            "/x",
            "ftp://a.dev",
            "mailto:a@b.c",
            "https://",
            " https://a.dev",
            "https://a.dev\n",
            "ht\ttps://a.dev",
            "https:\\\\a.dev",
            "https:a.dev",
            "https:///a.dev",
            "https://a b.dev",
            "https://a.dev/x y",
            "https://a.dev/%zz",
            "https://[::1",
            "https://a.dev:99999",
            "https://a.dev:22",
            "http://134744072/",
            "https://xn--a/",
            "https://a.dev/\u{202e}",
            "https://a..b/",
            "https://-a.dev/",
            "https://a_b.dev/",
        ] {
            assert!(fault(url).is_some(), "{url}");
        }
        assert!(fault(&format!("https://a.dev/{}", "x".repeat(3_000))).is_some());
    }

    #[test]
    fn private_and_secret_addresses_are_unsafe_in_any_notation() {
        for url in [
            "https://u:p@a.dev/",
            "https://u@a.dev/",
            "http://localhost:80/",
            "http://LOCALHOST./",
            "http://10.1.2.3/",
            "http://127.0.0.1/x",
            "http://127.1/x",
            "http://0x7f.0.0.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://127%2e0%2e0%2e1/",
            "http://127。0。0。1/",
            "http://①②⑦.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[fd00::1]/",
            "http://192.168.0.1",
            "http://169.254.169.254/",
            "http://printer.local/",
            "http:\\\\127.0.0.1\\",
            "http:/\t/127.0.0.1/",
        ] {
            assert!(unsafe_fault(url).is_some(), "{url}");
        }
    }

    #[test]
    fn schemes_are_read_as_browsers_do() {
        for url in [
            "javascript:x",
            " JavaScript:x",
            "java\nscript:x",
            "\u{1}javascript:x",
            "data:text/html,x",
        ] {
            assert!(is_active(url), "{url:?}");
        }
        for url in ["java script:x", "https://a.dev/javascript:x", "javascript", "mailto:a@b.c"] {
            assert!(!is_active(url), "{url:?}");
        }
    }

    #[test]
    fn links_within_texts_may_lead_to_a_mail_address() {
        for url in ["mailto:help@a.dev", "mailto:help@a.dev?subject=x", "https://a.dev"] {
            assert_eq!(link_fault(url), None, "{url}");
        }
        for url in ["mailto://u@127.0.0.1/x@a.dev", "mailto:@a.dev", "mailto:a@b@c.d"] {
            assert!(link_fault(url).is_some(), "{url}");
        }
        for url in ["mailto:x", "mailto:a b@c.d", "tel:1", "#top", "page.html", "//a.dev/x", ""] {
            assert!(link_fault(url).is_some(), "{url}");
        }
    }

    #[test]
    fn a_login_is_not_repeated() {
        let said = fault("https://bob:secret@a.dev/x y").unwrap_or_default();
        assert!(!said.is_empty() && !said.contains("secret"), "{said}");
    }

    #[test]
    fn hosts_of_templates_are_known() {
        assert!(is_placeholder("https://www.example.com/x"));
        assert!(is_placeholder("https://Contoso.com"));
        assert!(!is_placeholder("https://notexample.com"));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,40}") {
            let _ = (fault(&text), link_fault(&text), is_placeholder(&text));
        }

        #[test]
        fn every_private_ipv4_address_is_unsafe_as_a_number(low in 0_u32..=0x00ff_ffff) {
            for network in [10_u32, 127] {
                let number = (network << 24) | low;
                for address in [format!("http://{number}/"), format!("http://0x{number:x}/")] {
                    prop_assert!(unsafe_fault(&address).is_some());
                }
            }
        }
    }
}
