//! With whom a bound is shared: what one party takes of it leaves room for others.
//!
//! Invariant: a name is a party only once it is proven. Until then, and for whoever shows nothing, the
//! address is, so that claiming names without end buys nothing.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// One of those who share. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Party {
    /// This program: what it does on its own, for nobody in particular.
    Ourselves,
    /// Somebody whose name was proven.
    Caller(Arc<str>),
    /// Whoever is behind an address.
    Address(IpAddr),
}

impl Party {
    /// The party behind an address: a network of 64 bits is one, since whoever has it has all its
    /// addresses.
    #[must_use]
    pub(crate) fn behind(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ourselves => f.write_str("wharfd"),
            Self::Caller(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_of_64_bits_are_one_party() {
        let of = |text: &str| Party::behind(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }

    #[test]
    fn who_is_called_like_an_address_is_not_the_party_behind_it() {
        assert_ne!(Party::Caller("10.0.0.1".into()), Party::behind([10, 0, 0, 1].into()));
    }
}
