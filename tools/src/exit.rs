//! Exit codes, and the one table from errors to them. Scripts decide by these numbers: findings,
//! wrong input, missing rights and trouble on the way never share one.

use std::error::Error;
use std::io::ErrorKind;

use crate::credentials::CredentialsError;
use crate::deploy::DeployRefusal;
use crate::offer::OfferError;
use crate::push::PushError;
use crate::registry::RegistryError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything is as it should be.
    Ok = 0,
    /// Rules have findings that count, or `diff --exit-code` a difference.
    Findings = 1,
    /// The command line, a file or a setting is wrong.
    Usage = 2,
    /// Some items failed, others did not; or a tag with another target was left alone.
    Partial = 3,
    /// A registry wants other credentials.
    Credentials = 4,
    /// A registry or the network failed, also after retries.
    Network = 5,
    /// The user ended it.
    Interrupted = 130,
}

impl Exit {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The advice, when the error itself has none.
    #[must_use]
    pub const fn hint(self) -> Option<&'static str> {
        match self {
            Self::Credentials => {
                Some("give credentials in the offer, with --authfile or in Docker's config.json")
            }
            Self::Network => Some("nothing wrong was kept; run the command again"),
            Self::Ok | Self::Findings | Self::Usage | Self::Partial | Self::Interrupted => None,
        }
    }

    /// The same for an error; an error with its own advice needs no more.
    #[must_use]
    pub fn hint_for(self, error: &(dyn Error + 'static)) -> Option<&'static str> {
        let mut link = Some(error);
        while let Some(error) = link {
            if matches!(error.downcast_ref(), Some(RegistryError::Unreachable { .. })) {
                return None;
            }
            let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            if matches!(io, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) {
                return Some(
                    "make room on that disk, or write to another one; nothing half-written was left",
                );
            }
            link = error.source();
        }
        self.hint()
    }

    /// The exit code of an error: the first error of the chain with a line in this table decides.
    /// Any other is a wrong input or an unusable local file.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut link = Some(error);
        while let Some(error) = link {
            if let Some(exit) = known(error) {
                return exit;
            }
            link = error.source();
        }
        Self::Usage
    }
}

/// The table: one line per type of error.
fn known(error: &(dyn Error + 'static)) -> Option<Exit> {
    if error.is::<OfferError>() {
        return Some(Exit::Usage);
    }
    if error.is::<DeployRefusal>() {
        return Some(Exit::Findings);
    }
    if error.is::<CredentialsError>() {
        return Some(Exit::Credentials);
    }
    match error.downcast_ref::<PushError>() {
        Some(PushError::Faults { .. }) => return Some(Exit::Findings),
        Some(PushError::TagMoves { .. } | PushError::Lock(_)) => return Some(Exit::Partial),
        Some(PushError::Registry(error)) => return known(error),
        _ => {}
    }
    match error.downcast_ref::<RegistryError>()? {
        RegistryError::Unauthorized { .. } => Some(Exit::Credentials),
        RegistryError::Locked { .. } => Some(Exit::Partial),
        RegistryError::Source { .. } | RegistryError::Tls { .. } => Some(Exit::Usage),
        _ => Some(Exit::Network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_promised_ones() {
        let all = [
            Exit::Ok,
            Exit::Findings,
            Exit::Usage,
            Exit::Partial,
            Exit::Credentials,
            Exit::Network,
            Exit::Interrupted,
        ];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 5, 130]);
    }

    #[test]
    fn an_error_without_a_line_is_wrong_input() {
        assert_eq!(Exit::of(&std::io::Error::other("disk")), Exit::Usage);
    }
}
