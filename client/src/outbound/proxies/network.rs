//! Ranges of addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

/// An address with the length of its network, or all of its bits. An IPv4 address that is written as one of
/// IPv6 is an IPv4 address.
fn parse(text: &str) -> Result<IpNet, &'static str> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr =
        address.parse().map_err(|_| "write an address or a network such as 10.0.0.0/8")?;
    let address = address.to_canonical();
    let Some(bits) = bits else { return Ok(address.into()) };
    let network = bits.parse().ok().and_then(|bits| IpNet::new(address, bits).ok());
    network.ok_or("no such length of a network")
}

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let network = parse(&text)?;
        if network != network.trunc() {
            return Err("the address has bits beyond the length of its network");
        }
        Ok(Self(network))
    }
}

impl Network {
    /// The network around an address; address bits beyond the network's length are ignored.
    #[must_use]
    pub fn around(text: &str) -> Option<Self> {
        parse(text).ok().map(|network| Self(network.trunc()))
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}
