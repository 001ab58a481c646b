//! The authenticated caller of a request, and its address.
//!
//! Invariants: only `access` makes a caller, from checked credentials; its name is safe to log. For
//! a login that an upstream has to check, the name counts from the moment the upstream knows the
//! login: until then the caller is anonymous, with an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use wharf_client::caller_login::CallerLogin;
use wharf_client::runtime::party::Party;

use super::grants::Grants;
use crate::limits::CALLER_NAME_CHARS_MAX;

/// The caller of a request. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Caller {
    proven: Arc<Proven>,
    /// The client's address; `access` sets it before any other module sees the caller.
    client: IpAddr,
}

struct Proven {
    name: String,
    kind: CallerKind,
    /// The most a token of this proxy allows; none for a caller with credentials.
    grants: Option<Grants>,
    /// Sent to upstreams in the caller's name, where access is `passthrough`.
    login: Option<Arc<CallerLogin>>,
}

/// How the caller authenticated: a closed set, also the labels of metrics and of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CallerKind {
    /// No credentials.
    Anonymous,
    /// A user name and password.
    Password,
    /// A long-lived token of ours.
    Token,
    /// A short-lived token issued by this proxy.
    Issued,
    /// A token of an OIDC issuer.
    Issuer,
    /// A login passed through to the upstream.
    Passthrough,
}

impl CallerKind {
    /// The label in logs and metrics.
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

/// The name of an anonymous caller.
const NOBODY: &str = "-";

static ANONYMOUS: LazyLock<Caller> =
    LazyLock::new(|| Caller::new(NOBODY, CallerKind::Anonymous, None));

impl Caller {
    /// The anonymous caller.
    #[must_use]
    pub(crate) fn anonymous() -> Self {
        ANONYMOUS.clone()
    }

    /// A caller with checked credentials.
    #[must_use]
    pub(super) fn proven(name: &str, kind: CallerKind) -> Self {
        Self::new(name, kind, None)
    }

    /// A caller with a token issued by this proxy; anonymous without a name.
    #[must_use]
    pub(super) fn with_token(name: Option<&str>, grants: Grants) -> Self {
        Self::new(name.unwrap_or(NOBODY), CallerKind::Issued, Some(grants))
    }

    /// A caller with its own login for upstreams. Its name counts once an upstream knows the login.
    #[must_use]
    pub(super) fn with_login(name: &str, login: Arc<CallerLogin>) -> Self {
        let (name, kind) = (safe(name), CallerKind::Passthrough);
        Self::of(Proven { name, kind, grants: None, login: Some(login) })
    }

    /// The caller's login for upstreams; none when upstreams get this proxy's own login.
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

    /// The same caller with this address.
    #[must_use]
    pub(crate) fn at(self, client: IpAddr) -> Self {
        Self { client, ..self }
    }

    /// The claimed name, proven or not: for counting failures, never for a log.
    #[must_use]
    pub(super) fn claimed(&self) -> &str {
        &self.proven.name
    }

    /// The client's address.
    #[must_use]
    pub(super) const fn client(&self) -> IpAddr {
        self.client
    }

    /// The party of the caller's shares: its name if it has one, else its address.
    #[must_use]
    pub(crate) fn party(&self) -> Party {
        match self.somebody() {
            // Registries compare names without regard to case.
            Some(name) if self.kind() == CallerKind::Passthrough => {
                Party::Caller(name.to_lowercase().into())
            }
            Some(name) => Party::Caller(name.into()),
            None => Party::behind(self.client),
        }
    }

    /// The name for logs and limits, as far as it is proven at this moment.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        match &self.proven.login {
            Some(login) if !login.is_known() => NOBODY,
            _ => &self.proven.name,
        }
    }

    /// How the caller authenticated.
    #[must_use]
    pub(crate) fn kind(&self) -> CallerKind {
        self.proven.kind
    }

    /// The name of a caller that is not anonymous.
    #[must_use]
    pub(crate) fn somebody(&self) -> Option<&str> {
        Some(self.name()).filter(|name| *name != NOBODY)
    }

    /// The most its token allows.
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

/// A name without characters that could forge a log field, cut to a safe length.
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
        let login =
            Arc::new(wharf_client::caller_login::Fingerprints::random().login("alice", "secret"));
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
            // The name no longer counts once the upstream refuses the login.
            login.set_known(false);
        }
    }
}
