//! A party is the unit of fairness: what one party takes of a bound leaves room for others.
//!
//! Invariant: a name is a party only once it is verified. Until then, and for requests without
//! credentials, the address is the party, so that claiming names without end buys nothing.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;

/// The owner of a share. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// This program: work of its own, for no caller in particular.
    Ourselves,
    /// A caller with a verified name.
    Caller(Arc<str>),
    /// All callers behind an address.
    Address(IpAddr),
    /// All callers behind an address with a recent login, during their login.
    Familiar(IpAddr),
}

task_local! {
    /// The party of the current task.
    static AT_WORK: Party;
}

/// The party of this task: this program, where none was set.
#[must_use]
pub fn at_work() -> Party {
    AT_WORK.try_with(Clone::clone).unwrap_or(Party::Ourselves)
}

/// Runs work for a party.
pub fn work_for<W: Future>(party: Party, work: W) -> TaskLocalFuture<Party, W> {
    AT_WORK.scope(party, work)
}

/// Runs work of a new task for the party of this one.
pub fn hand_on<W: Future>(work: W) -> TaskLocalFuture<Party, W> {
    work_for(at_work(), work)
}

impl Party {
    /// The party behind an address: a network of 64 bits is one party, since its owner has all its
    /// addresses.
    #[must_use]
    pub fn behind(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        })
    }

    /// Whether the caller is unknown: addresses are to be had without end.
    #[must_use]
    pub const fn is_stranger(&self) -> bool {
        matches!(self, Self::Address(_))
    }

    /// The same party, behind a familiar address.
    #[must_use]
    pub fn familiar(self) -> Self {
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
