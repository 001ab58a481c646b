//! Checks whether the server may listen on addresses open to other machines: access there,
//! and eavesdropping.

use crate::settings::error::ConfigError;
use crate::settings::listen::Listen;

/// The risks of an address that other machines can reach, and the risks that the configuration
/// accepts.
pub(super) struct Exposure {
    pub(super) everyone: Everyone,
    pub(super) is_encrypted: bool,
    pub(super) may_be_plain: bool,
}

/// The rights of every client that reaches the registry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Everyone {
    /// All rights, without the configuration's consent.
    Could,
    /// All rights, with the configuration's consent.
    MayPush,
    /// Nothing without a login.
    MustLogIn,
}

impl Exposure {
    /// An address off this machine needs two decisions: on access without a login, and on plain
    /// traffic. Where the configuration lets every client do everything, no secret is left to read.
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
        // Metrics are plain HTTP, also when clients get TLS.
        assert!(said(MustLogIn, true, false, "0.0.0.0:5001").contains("--admin"));
    }
}
