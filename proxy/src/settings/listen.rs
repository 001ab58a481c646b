//! Addresses to listen on: `IP:PORT`, or `NAME:PORT` for every address of a name.
//!
//! A name is resolved when it is read, so that its addresses are checked before a port is bound.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use serde::Deserialize;

use super::address::repeatable;

/// One address or more, all with the same port; never none.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen {
    text: String,
    addresses: Vec<SocketAddr>,
}

/// The reason why a text is not a [`Listen`], and the expected form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ListenError(String);

impl Listen {
    /// Each once, in the order of the resolver.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The name in the configured text, if it is not an address.
    pub(crate) fn name(&self) -> Option<String> {
        let (host, _) = self.text.rsplit_once(':')?;
        self.text.parse::<SocketAddr>().is_err().then(|| host.to_owned())
    }

    /// The first address that other machines can reach.
    pub(crate) fn elsewhere(&self) -> Option<SocketAddr> {
        self.addresses.iter().copied().find(|address| !address.ip().to_canonical().is_loopback())
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if let Ok(address) = text.parse() {
            return Ok(Self { text: text.to_owned(), addresses: vec![address] });
        }
        let refuse = |reason: String| {
            ListenError(format!("{reason}; write IP:PORT or NAME:PORT, such as 127.0.0.1:5000"))
        };
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(refuse("there is no port".to_owned()));
        };
        let port: u16 = port.parse().map_err(|_| refuse("the port is no number".to_owned()))?;
        if host.is_empty() {
            return Err(refuse(format!(
                "there is no host, and every interface would be 0.0.0.0:{port} or [::]:{port}"
            )));
        }
        if host.contains(['/', '@', '[', ']', ':']) {
            return Err(refuse("this is no address to listen on".to_owned()));
        }
        let found = (host, port).to_socket_addrs();
        let found = found.map_err(|error| refuse(format!("{host} does not resolve: {error}")))?;
        let mut addresses = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(refuse(format!("{host} has no address")));
        }
        Ok(Self { text: text.to_owned(), addresses })
    }
}

impl TryFrom<String> for Listen {
    type Error = ListenError;

    fn try_from(text: String) -> Result<Self, ListenError> {
        text.parse()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(repeatable(&self.text))
    }
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_a_name_is_where_to_listen() {
        let one: Listen = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(one.addresses(), ["127.0.0.1:5000".parse().unwrap()]);
        assert_eq!("[::1]:5000".parse::<Listen>().unwrap().elsewhere(), None);
        let all: Listen = "0.0.0.0:5000".parse().unwrap();
        assert_eq!(all.elsewhere(), Some("0.0.0.0:5000".parse().unwrap()));
        assert_eq!((one.name(), all.name()), (None, None));
        let named: Listen = "localhost:5000".parse().unwrap();
        assert_eq!(named.name().as_deref(), Some("localhost"));
        assert!(named.elsewhere().is_none() && named.addresses().iter().all(|a| a.port() == 5000));
        let v4 = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(named.addresses().iter().filter(|address| **address == v4).count(), 1);
    }

    #[test]
    fn what_is_not_says_how_to_write_it() {
        for (text, words) in [
            ("5000", "there is no port"),
            (":5000", "0.0.0.0:5000"),
            ("localhost", "there is no port"),
            ("localhost:https", "no number"),
            ("localhost:99999", "no number"),
            ("http://localhost:5000", "no address"),
            ("u:hunter2@localhost:5000", "no address"),
            ("nobody.invalid:5000", "does not resolve"),
        ] {
            let error = text.parse::<Listen>().unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("NAME:PORT"), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
