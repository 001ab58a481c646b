//! With whom a bound is shared: what one party takes of it leaves room for others.
//!
//! Invariant: a name is a party only once it is proven. Until then, and for whoever shows nothing, the
//! address is, so that claiming names without end buys nothing.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;

/// One of those who share. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Party {
    /// This program: what it does on its own, for nobody in particular.
    Ourselves,
    /// Somebody whose name was proven.
    Caller(Arc<str>),
    /// Whoever is behind an address.
    Address(IpAddr),
    /// Whoever is behind an address from where somebody logged in lately, while they log in.
    Familiar(IpAddr),
}

task_local! {
    /// Who waits for what a task does.
    static AT_WORK: Party;
}

/// For whom this task works: this program, where nobody was said.
#[must_use]
pub(crate) fn at_work() -> Party {
    AT_WORK.try_with(Clone::clone).unwrap_or(Party::Ourselves)
}

/// Does work for somebody.
pub(crate) fn work_for<W: Future>(party: Party, work: W) -> TaskLocalFuture<Party, W> {
    AT_WORK.scope(party, work)
}

/// Work of a task of its own, for whoever this one works for.
pub(crate) fn hand_on<W: Future>(work: W) -> TaskLocalFuture<Party, W> {
    work_for(at_work(), work)
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

    /// Whether this may be anybody: addresses are to be had without end.
    #[must_use]
    pub(crate) const fn is_stranger(&self) -> bool {
        matches!(self, Self::Address(_))
    }

    /// The same behind an address that is familiar.
    #[must_use]
    pub(crate) fn familiar(self) -> Self {
        match self {
            Self::Address(address) => Self::Familiar(address),
            other => other,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ourselves => f.write_str("wharfd"),
            Self::Caller(name) => f.write_str(name),
            Self::Address(address) | Self::Familiar(address) => address.fmt(f),
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
