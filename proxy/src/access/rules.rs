//! Access rules: who may do what with which repositories. Independent of credentials.
//!
//! Invariant: an action without an allowing rule is forbidden, and a rule only ever allows.

use serde::Deserialize;
use wharf_oci::RepoName;

use super::caller::Caller;
use super::grants::Actions;
use super::permission::Action;
use crate::settings::patterns::{RepoPattern, fits};

/// One rule: every named subject may do all these actions with all these repositories.
#[derive(Debug, Clone)]
pub(crate) struct AccessRule {
    pub(crate) who: Vec<RuleSubject>,
    pub(crate) repositories: Vec<RepoPattern>,
    pub(crate) actions: Actions,
}

/// The subject of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum RuleSubject {
    /// `anonymous`: callers without credentials, and so every caller.
    Anonymous,
    /// `*`: every caller with a login.
    Anyone,
    /// A user's name, with `*` as wildcard.
    Name(String),
    /// A caller of an issuer: `ISSUER:SUBJECT`, each with `*` as wildcard.
    Of(String, String),
}

/// The keyword for callers without credentials.
pub(crate) const ANONYMOUS: &str = "anonymous";

impl TryFrom<String> for RuleSubject {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(
                "write a name such as \"alice\", \"ci-*\" or \"github:contoso/*\", \"*\" for \
                        whoever logged in, or \"anonymous\"",
            );
        }
        Ok(match text.split_once(':') {
            _ if text == ANONYMOUS => Self::Anonymous,
            _ if text == "*" => Self::Anyone,
            None => Self::Name(text),
            Some((issuer, subject)) => Self::Of(issuer.to_owned(), subject.to_owned()),
        })
    }
}

impl RuleSubject {
    /// A subject without an issuer never matches a caller of an issuer: `*bot` does not.
    fn is(&self, caller: &Caller) -> bool {
        let Some(name) = caller.somebody() else { return *self == Self::Anonymous };
        match self {
            Self::Anonymous | Self::Anyone => true,
            Self::Name(pattern) => !name.contains(':') && fits(pattern, name),
            Self::Of(issuer, subject) => name
                .split_once(':')
                .is_some_and(|(of, name)| fits(issuer, of) && fits(subject, name)),
        }
    }
}

/// All access rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessRules(pub(crate) Vec<AccessRule>);

impl AccessRules {
    /// The actions allowed to a caller on a repository.
    #[must_use]
    pub(super) fn actions(&self, caller: &Caller, repo: &RepoName) -> Actions {
        let fitting = self.0.iter().filter(|rule| {
            rule.repositories.iter().any(|pattern| pattern.fits(repo))
                && rule.who.iter().any(|who| who.is(caller))
        });
        fitting.fold(Actions::default(), |actions, rule| actions.or(rule.actions))
    }

    /// Whether the rules allow a caller this action.
    #[must_use]
    pub(super) fn allow(&self, caller: &Caller, repo: &RepoName, action: Action) -> bool {
        self.actions(caller, repo).has(action)
    }

    /// Whether any rule allows something to anonymous callers.
    #[must_use]
    pub(super) fn know_anonymous(&self) -> bool {
        self.0.iter().any(|rule| rule.who.contains(&RuleSubject::Anonymous))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::caller::CallerKind;

    fn rule(who: &[&str], repositories: &[&str], actions: &[Action]) -> AccessRule {
        let text = |text: &&str| (*text).to_owned();
        AccessRule {
            who: who.iter().map(|who| text(who).try_into().unwrap()).collect(),
            repositories: repositories.iter().map(|r| text(r).try_into().unwrap()).collect(),
            actions: actions.iter().fold(Actions::default(), |all, action| all.with(*action)),
        }
    }

    fn may(rules: &AccessRules, name: &str, repo: &str, action: Action) -> bool {
        let caller = match name {
            "" => Caller::anonymous(),
            name => Caller::proven(name, CallerKind::Password),
        };
        rules.allow(&caller, &repo.parse().unwrap(), action)
    }

    #[test]
    fn what_no_rule_allows_is_forbidden() {
        let rules = AccessRules(vec![
            rule(&["alice", "ci-*"], &["team/*"], &[Action::Pull, Action::Push]),
            rule(&["*"], &["base"], &[Action::Pull]),
            rule(&["root"], &["*"], &[Action::Admin]),
        ]);
        assert!(may(&rules, "alice", "team/a/b", Action::Push));
        assert!(may(&rules, "ci-7", "team/a", Action::Pull));
        assert!(!may(&rules, "alice", "team/a", Action::Delete));
        assert!(!may(&rules, "alice", "team", Action::Pull));
        assert!(!may(&rules, "ci", "team/a", Action::Pull));
        assert!(may(&rules, "bob", "base", Action::Pull) && !may(&rules, "", "base", Action::Pull));
        assert!(!may(&rules, "bob", "base2", Action::Pull));
        for action in [Action::Pull, Action::Push, Action::Delete, Action::Admin] {
            assert!(may(&rules, "root", "any/thing", action));
        }
        assert!(!may(&AccessRules::default(), "root", "a", Action::Pull));
    }

    #[test]
    fn what_everyone_may_those_who_logged_in_may_too() {
        let rules = AccessRules(vec![rule(&["anonymous"], &["open/*"], &[Action::Pull])]);
        assert!(
            may(&rules, "", "open/a", Action::Pull) && may(&rules, "eve", "open/a", Action::Pull)
        );
        assert!(!may(&rules, "", "open/a", Action::Push) && !may(&rules, "", "a", Action::Pull));
    }

    #[test]
    fn a_name_of_ours_is_nobody_of_an_issuer() {
        let ours = AccessRules(vec![rule(&["*bot"], &["*"], &[Action::Push])]);
        assert!(may(&ours, "bot", "a", Action::Push));
        assert!(!may(&ours, "github:evil/bot", "a", Action::Push));
        let theirs = AccessRules(vec![rule(&["github:contoso/*"], &["*"], &[Action::Push])]);
        assert!(may(&theirs, "github:contoso/app", "a", Action::Push));
        assert!(!may(&theirs, "gitlab:contoso/app", "a", Action::Push));
        assert!(!may(&theirs, "github:evil/contoso/app", "a", Action::Push));
        assert!(!may(&theirs, "githubcontoso", "a", Action::Push));
    }
}
