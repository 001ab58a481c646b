//! `NO_PROXY`: hosts that are reached directly although there is a proxy.
//!
//! Names are compared as text, without resolving them.

use std::fmt;
use std::net::IpAddr;

use super::network::Network;

/// A list of hosts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    entries: Vec<Entry>,
    ignored: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    whom: Whom,
    port: Option<u16>,
    /// As it was written.
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Whom {
    /// `*`: every host.
    Everybody,
    /// `10.0.0.0/8`, `::1`: targets given as addresses.
    Network(Network),
    /// `.example.com`, `*.example.com`: all names below.
    Below(String),
    /// `example.com`: the name, and all below.
    Name(String),
}

impl Exceptions {
    /// Entries are separated by commas or white space.
    pub(crate) fn parse(text: &str) -> Self {
        let mut list = Self::default();
        let texts = text.split(|c: char| c == ',' || c.is_whitespace());
        for (index, text) in texts.filter(|text| !text.is_empty()).enumerate() {
            match Entry::parse(text) {
                Some(entry) => list.entries.push(entry),
                None => list.ignored.push(index + 1),
            }
        }
        list
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The numbers of unreadable entries, from 1. Their text may be an address with a login.
    pub(crate) fn ignored(&self) -> &[usize] {
        &self.ignored
    }

    pub(crate) fn has_address(&self, address: IpAddr, port: u16) -> bool {
        self.any(port, |whom| match whom {
            Whom::Everybody => true,
            Whom::Network(network) => network.has(address),
            Whom::Below(_) | Whom::Name(_) => false,
        })
    }

    /// `name` in lower case.
    pub(crate) fn has_name(&self, name: &str, port: u16) -> bool {
        let is_below = |suffix: &str| {
            name.strip_suffix(suffix)
                .is_some_and(|before| before.len() > 1 && before.ends_with('.'))
        };
        self.any(port, |whom| match whom {
            Whom::Everybody => true,
            Whom::Network(_) => false,
            Whom::Below(suffix) => is_below(suffix),
            Whom::Name(known) => known == name || is_below(known),
        })
    }

    fn any(&self, port: u16, fits: impl Fn(&Whom) -> bool) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.port.is_none_or(|only| only == port) && fits(&entry.whom))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let entry = |whom, port| Some(Self { whom, port, text: text.to_owned() });
        if text == "*" {
            return entry(Whom::Everybody, None);
        }
        if let Some(network) = Network::around(text) {
            return entry(Whom::Network(network), None);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Some(network) = Network::around(bare).filter(|_| !bare.contains('/')) {
            return entry(Whom::Network(network), port);
        }
        let name = bare.trim_end_matches('.').to_ascii_lowercase();
        let below = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
        let known = below.unwrap_or(&name);
        let allowed = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if known.is_empty() || !known.chars().all(allowed) {
            return None;
        }
        let known = known.to_owned();
        entry(if below.is_some() { Whom::Below(known) } else { Whom::Name(known) }, port)
    }
}

impl fmt::Display for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.entries.iter().map(|entry| entry.text.as_str()).collect();
        f.write_str(&texts.join(","))
    }
}
