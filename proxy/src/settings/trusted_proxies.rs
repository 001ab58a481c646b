//! `trusted_proxies`: the proxies that may report the addresses of clients, and ranges of
//! addresses.

use std::net::IpAddr;

use serde::Deserialize;

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network {
    /// The first address as a number, in the upper bits of an IPv4 address' 32.
    first: u128,
    bits: u8,
    is_v4: bool,
}

/// The address as a number of 128 bits, left-aligned, and whether it has 32 only.
fn number(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
        IpAddr::V6(address) => (address.to_bits(), false),
    }
}

/// The first `bits` bits.
fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (address, bits) = text.split_once('/').map_or((&*text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr =
            address.parse().map_err(|_| "write an address or a network such as 10.0.0.0/8")?;
        let (first, is_v4) = number(address);
        let width = if is_v4 { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse);
        let bits = bits.ok().filter(|bits| *bits <= width).ok_or("no such length of a network")?;
        if first & !mask(bits) != 0 {
            return Err("the address has bits beyond the length of its network");
        }
        Ok(Self { first, bits, is_v4 })
    }
}

impl Network {
    /// The network around an address; address bits beyond the network's length are ignored.
    pub(crate) fn around(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let (number, is_v4) = number(address.parse().ok()?);
        let width = if is_v4 { 32 } else { 128 };
        let bits = if text.contains('/') { bits.parse().ok()? } else { width };
        (bits <= width).then(|| Self { first: number & mask(bits), bits, is_v4 })
    }

    /// Whether an address is in it.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let (number, is_v4) = number(address);
        is_v4 == self.is_v4 && number & mask(self.bits) == self.first
    }
}

/// The trusted proxies' addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct TrustedProxies(pub(crate) Vec<Network>);

impl TrustedProxies {
    /// Whether an address is a trusted proxy's.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.has(address))
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a peer is a trusted proxy.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.has(peer.to_canonical())
    }
}
