//! Whether addresses off this machine may be listened on: who may do what there, and who reads along.

use crate::settings::error::ConfigError;
use crate::settings::listen::Listen;

/// What others could do and see who reach the addresses, and what of that is allowed.
pub(super) struct Exposure {
    pub(super) everyone: Everyone,
    pub(super) is_encrypted: bool,
    pub(super) may_be_plain: bool,
}

/// What everyone may do who reaches the registry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Everyone {
    /// Everything, although nobody said that this is right.
    Could,
    /// Everything, as was said.
    MayPush,
    /// Nothing without a login.
    MustLogIn,
}

impl Exposure {
    /// An address off this machine wants an answer to two questions: who may, and who can read along.
    /// Where everyone may do everything anyway, as was said, there is nothing to read along.
    pub(super) fn check(&self, listen: &Listen, admin: Option<&Listen>) -> Result<(), ConfigError> {
        let may_be_plain = self.may_be_plain || self.everyone == Everyone::MayPush;
        if let Some(address) = listen.elsewhere() {
            if self.everyone == Everyone::Could {
                return Err(ConfigError::OpenToOthers(address));
            }
            if !self.is_encrypted && !may_be_plain {
                return Err(ConfigError::PlainToOthers(address));
            }
        }
        match admin.and_then(Listen::elsewhere) {
            Some(admin) if !may_be_plain => Err(ConfigError::AdminToOthers(admin)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_and_who_can_read_along_are_two_questions() {
        use Everyone::{Could, MayPush, MustLogIn};
        let said = |everyone, is_encrypted, may_be_plain, admin: &str| {
            let exposure = Exposure { everyone, is_encrypted, may_be_plain };
            let checked =
                exposure.check(&"0.0.0.0:5000".parse().unwrap(), admin.parse().ok().as_ref());
            checked.err().map_or_else(String::new, |error| error.to_string())
        };
        // Open: the one flag allows it, encrypted or not, and no other does.
        assert!(said(Could, false, true, "").contains("--insecure-open"));
        assert!(said(Could, true, true, "").contains("--insecure-open"));
        assert_eq!(said(MayPush, false, false, "0.0.0.0:5001"), "");
        // With logins: encrypted, or the other flag.
        assert!(said(MustLogIn, false, false, "").contains("--insecure-http"));
        assert_eq!(said(MustLogIn, false, true, "0.0.0.0:5001"), "");
        assert_eq!(said(MustLogIn, true, false, "127.0.0.1:5001"), "");
        // Metrics are plain, whatever clients are shown.
        assert!(said(MustLogIn, true, false, "0.0.0.0:5001").contains("--admin"));
    }
}
