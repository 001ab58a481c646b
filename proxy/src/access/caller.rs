//! Who asks, once that is proven, and from where.
//!
//! Invariants: a caller is made by `access` only, from what was checked; its name is safe to log. Of a login
//! that an upstream has to check, the name counts from the moment on that the upstream knows it: until then
//! this is nobody, from an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use super::grants::Grants;
use crate::client::CallerLogin;
use crate::limits::CALLER_NAME_CHARS_MAX;
use crate::runtime::party::Party;

/// Who asks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Caller {
    proven: Arc<Proven>,
    /// From where; `access` fills it in before anybody else sees this.
    client: IpAddr,
}

struct Proven {
    name: String,
    kind: CallerKind,
    /// What a token of ours allows at most; none for who showed credentials.
    grants: Option<Grants>,
    /// Shown to upstreams in their name, where access is `passthrough`.
    login: Option<Arc<CallerLogin>>,
}

/// How it was proven: a closed set, also the labels of metrics and of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CallerKind {
    /// Nothing was shown.
    Anonymous,
    /// A password.
    Password,
    /// A long-lived token of ours.
    Token,
    /// A short-lived token that we gave out.
    Issued,
    /// A token of somebody else's.
    Issuer,
    /// A login that the upstream is shown.
    Passthrough,
}

impl CallerKind {
    /// As logs and metrics write it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Password => "password",
            Self::Token => "token",
            Self::Issued => "issued",
            Self::Issuer => "issuer",
            Self::Passthrough => "passthrough",
        }
    }
}

/// The name of whoever shows nothing.
const NOBODY: &str = "-";

static ANONYMOUS: LazyLock<Caller> =
    LazyLock::new(|| Caller::new(NOBODY, CallerKind::Anonymous, None));

impl Caller {
    /// Nobody in particular.
    #[must_use]
    pub(crate) fn anonymous() -> Self {
        ANONYMOUS.clone()
    }

    /// Somebody who showed their credentials.
    #[must_use]
    pub(super) fn proven(name: &str, kind: CallerKind) -> Self {
        Self::new(name, kind, None)
    }

    /// Somebody with a token that we gave out; without a name, to nobody in particular.
    #[must_use]
    pub(super) fn with_token(name: Option<&str>, grants: Grants) -> Self {
        Self::new(name.unwrap_or(NOBODY), CallerKind::Issued, Some(grants))
    }

    /// Somebody with a login of their own for upstreams, called so once those know it.
    #[must_use]
    pub(super) fn with_login(name: &str, login: Arc<CallerLogin>) -> Self {
        let (name, kind) = (safe(name), CallerKind::Passthrough);
        Self::of(Proven { name, kind, grants: None, login: Some(login) })
    }

    /// The login to show to upstreams; none when they are shown this proxy's own.
    #[must_use]
    pub(crate) fn login(&self) -> Option<&CallerLogin> {
        self.proven.login.as_deref()
    }

    fn new(name: &str, kind: CallerKind, grants: Option<Grants>) -> Self {
        Self::of(Proven { name: safe(name), kind, grants, login: None })
    }

    fn of(proven: Proven) -> Self {
        Self { proven: Arc::new(proven), client: Ipv4Addr::UNSPECIFIED.into() }
    }

    /// The same, asking from this address.
    #[must_use]
    pub(crate) fn at(self, client: IpAddr) -> Self {
        Self { client, ..self }
    }

    /// What they call themselves, proven or not: for counting failures, and for nothing that is written
    /// down.
    #[must_use]
    pub(super) fn claimed(&self) -> &str {
        &self.proven.name
    }

    /// From where.
    #[must_use]
    pub(super) const fn client(&self) -> IpAddr {
        self.client
    }

    /// With whom bounds are shared: the name where there is one, else the address.
    #[must_use]
    pub(crate) fn party(&self) -> Party {
        match self.somebody() {
            // Registries take a name in any case for the same.
            Some(name) if self.kind() == CallerKind::Passthrough => {
                Party::Caller(name.to_lowercase().into())
            }
            Some(name) => Party::Caller(name.into()),
            None => Party::behind(self.client),
        }
    }

    /// The name, as logs and limits have it: as it is proven at this moment.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        match &self.proven.login {
            Some(login) if !login.is_known() => NOBODY,
            _ => &self.proven.name,
        }
    }

    /// How it was proven.
    #[must_use]
    pub(crate) fn kind(&self) -> CallerKind {
        self.proven.kind
    }

    /// The name of somebody in particular.
    #[must_use]
    pub(crate) fn somebody(&self) -> Option<&str> {
        Some(self.name()).filter(|name| *name != NOBODY)
    }

    /// What its token allows at most.
    #[must_use]
    pub(super) fn grants(&self) -> Option<&Grants> {
        self.proven.grants.as_ref()
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({}, {})", self.name(), self.kind().as_str())
    }
}

/// A name without what could be taken for something else in a log, and not longer than it should be.
fn safe(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_graphic() && !"\"'\\=".contains(c) { c } else { '?' };
    name.chars().take(CALLER_NAME_CHARS_MAX).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_write_a_line_of_the_log() {
        let caller = Caller::proven("github:a\nb \u{202e}c\" d=\"e", CallerKind::Issuer);
        assert_eq!(caller.name(), "github:a?b??c??d??e");
        let long = Caller::proven(&"x".repeat(10_000), CallerKind::Issuer);
        assert_eq!(long.name().len(), CALLER_NAME_CHARS_MAX);
    }

    #[test]
    fn nobody_in_particular_is_nobody() {
        assert_eq!(Caller::anonymous().somebody(), None);
        assert_eq!(Caller::with_token(None, Grants::default()).somebody(), None);
        assert_eq!(Caller::proven("alice", CallerKind::Password).somebody(), Some("alice"));
    }

    #[test]
    fn a_claimed_name_is_nobody_s_until_the_upstream_knows_its_login() {
        let client: IpAddr = [192, 0, 2, 1].into();
        let login = Arc::new(crate::client::Fingerprints::new().login("alice", "secret"));
        let caller = Caller::with_login("alice", Arc::clone(&login)).at(client);
        let noted = caller.clone();
        for _ in 0..2 {
            assert_eq!((caller.name(), caller.somebody()), ("-", None));
            assert_eq!(caller.party(), Party::behind(client));
            assert!(!format!("{caller} {caller:?}").contains("alice"));
            login.set_known(true);
            assert_eq!((noted.name(), noted.somebody()), ("alice", Some("alice")));
            assert_eq!(noted.party(), Party::Caller("alice".into()));
            let upper = Caller::with_login("ALICE", Arc::clone(&login));
            assert_eq!((upper.name(), upper.party()), ("ALICE", noted.party()));
            // And not any more, once it says so.
            login.set_known(false);
        }
    }
}
