//! The grants of a token, as clients ask for them (`scope=repository:NAME:pull,push`) and as our
//! tokens hold them.
//!
//! Invariant: an unreadable scope grants nothing.

use serde::{Deserialize, Serialize};
use wharf_oci::RepoName;

use super::permission::Action;
use crate::limits::TOKEN_SCOPES_MAX;

/// A set of actions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Actions(u8);

impl Actions {
    const ALL: Self = Self(0b1111);
    /// Every action a token can hold; the right to administer comes from the rules alone.
    const IN_TOKENS: Self = Self(0b0111);

    const fn bit(action: Action) -> u8 {
        match action {
            Action::Pull => 1,
            Action::Push => 2,
            Action::Delete => 4,
            Action::Admin => 8,
        }
    }

    /// Adds an action. An administrator may do everything.
    #[must_use]
    pub(crate) const fn with(self, action: Action) -> Self {
        match action {
            Action::Admin => Self::ALL,
            _ => Self(self.0 | Self::bit(action)),
        }
    }

    /// Whether the set has this action.
    #[must_use]
    pub(crate) const fn has(self, action: Action) -> bool {
        self.0 & Self::bit(action) != 0
    }

    /// The union of two sets.
    #[must_use]
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions' names in a scope.
    fn names(self) -> Vec<String> {
        let named = [Action::Pull, Action::Push, Action::Delete];
        let named = named.into_iter().filter(|action| self.has(*action));
        named.map(|action| action.as_str().to_owned()).collect()
    }

    fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        names.fold(Self::default(), |actions, name| match name {
            "*" => Self::IN_TOKENS,
            "pull" => actions.with(Action::Pull),
            "push" => actions.with(Action::Push),
            "delete" => actions.with(Action::Delete),
            _ => actions,
        })
    }
}

/// The grants of one token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Grants {
    repos: Vec<(RepoName, Actions)>,
    catalog: bool,
}

/// An entry of `access` in a token (Docker's token specification).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    r#type: String,
    name: String,
    actions: Vec<String>,
}

const REPOSITORY: &str = "repository";
const REGISTRY: &str = "registry";
const CATALOG: &str = "catalog";

impl Grants {
    /// The grants a client asks for. Each text may hold several scopes; unknown scopes are left
    /// out.
    #[must_use]
    pub(crate) fn asked<'a>(scopes: impl Iterator<Item = &'a str>) -> Self {
        let mut grants = Self::default();
        for scope in scopes.flat_map(|text| text.split([' ', '+'])).take(TOKEN_SCOPES_MAX) {
            grants.add(scope);
        }
        grants
    }

    fn add(&mut self, scope: &str) -> Option<()> {
        let (of, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions = Actions::parse(actions.split(','));
        match of.split_once('(').map_or(of, |(of, _class)| of) {
            REPOSITORY => self.grant(name.parse().ok()?, actions),
            REGISTRY if name == CATALOG => self.catalog |= !actions.is_empty(),
            _ => {}
        }
        Some(())
    }

    fn grant(&mut self, repo: RepoName, actions: Actions) {
        match self.repos.iter_mut().find(|(known, _)| *known == repo) {
            Some((_, known)) => *known = known.or(actions),
            None => self.repos.push((repo, actions)),
        }
    }

    /// Maps repositories to their names here; a repository without a name here is left out.
    #[must_use]
    pub(crate) fn renamed(self, name: impl Fn(&RepoName) -> Option<RepoName>) -> Self {
        let mut renamed = Self { catalog: self.catalog, ..Self::default() };
        for (repo, actions) in self.repos {
            if let Some(repo) = name(&repo) {
                renamed.grant(repo, actions);
            }
        }
        renamed
    }

    /// The allowed part of the grants.
    #[must_use]
    pub(super) fn within(self, allowed: impl Fn(&RepoName) -> Actions) -> Self {
        let repos = self.repos.into_iter().map(|(repo, asked)| {
            let actions = asked.and(allowed(&repo));
            (repo, actions)
        });
        let repos = repos.filter(|(_, actions)| !actions.is_empty()).collect();
        Self { repos, catalog: self.catalog }
    }

    /// Whether the grants allow this action on this repository.
    #[must_use]
    pub(super) fn has(&self, repo: &RepoName, action: Action) -> bool {
        self.repos.iter().any(|(of, actions)| of == repo && actions.has(action))
    }

    /// Whether the grants allow the list of repositories.
    #[must_use]
    pub(super) const fn has_catalog(&self) -> bool {
        self.catalog
    }

    /// The entries of a token.
    #[must_use]
    pub(super) fn entries(&self) -> Vec<Entry> {
        let repo = |(repo, actions): &(RepoName, Actions)| Entry {
            r#type: REPOSITORY.to_owned(),
            name: repo.to_string(),
            actions: actions.names(),
        };
        let catalog = || Entry {
            r#type: REGISTRY.to_owned(),
            name: CATALOG.to_owned(),
            actions: vec!["*".to_owned()],
        };
        self.repos.iter().map(repo).chain(self.catalog.then(catalog)).collect()
    }

    /// The grants in the entries of a token.
    #[must_use]
    pub(super) fn of_entries(entries: &[Entry]) -> Self {
        let mut grants = Self::default();
        for Entry { r#type, name, actions } in entries {
            let actions = Actions::parse(actions.iter().map(String::as_str));
            match (r#type.as_str(), name.parse()) {
                (REPOSITORY, Ok(repo)) => grants.grant(repo, actions),
                (REGISTRY, _) if name == CATALOG => grants.catalog = true,
                _ => {}
            }
        }
        grants
    }

    /// The grants as a client would ask for them.
    #[must_use]
    pub(crate) fn scope(&self) -> String {
        let scope =
            |entry: Entry| format!("{}:{}:{}", entry.r#type, entry.name, entry.actions.join(","));
        self.entries().into_iter().map(scope).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(text: &str) -> Grants {
        Grants::asked([text].into_iter())
    }

    fn repo(name: &str) -> RepoName {
        name.parse().unwrap()
    }

    #[test]
    fn scopes_are_read_as_clients_write_them() {
        let grants = asked("repository:a/b:pull,push repository(plugin):c:pull registry:catalog:*");
        assert!(grants.has(&repo("a/b"), Action::Push) && grants.has(&repo("c"), Action::Pull));
        assert!(!grants.has(&repo("a/b"), Action::Delete) && grants.has_catalog());
        assert!(asked("repository:a:*").has(&repo("a"), Action::Delete));
        for nothing in ["", "repository", "repository:A:pull", "a:b:c", "repository:a:", "::"] {
            assert!(!asked(nothing).has(&repo("a"), Action::Pull), "{nothing}");
        }
    }

    #[test]
    fn what_is_granted_is_what_was_asked_and_is_allowed() {
        let allowed = |of: &RepoName| match of.as_str() {
            "a" => Actions::default().with(Action::Pull),
            _ => Actions::default(),
        };
        let granted = asked("repository:a:pull,push repository:b:pull").within(allowed);
        assert_eq!(granted.scope(), "repository:a:pull");
    }

    #[test]
    fn no_more_scopes_are_read_than_the_bound() {
        let many: Vec<_> = (0..1_000).map(|n| format!("repository:r{n}:pull")).collect();
        assert_eq!(asked(&many.join(" ")).repos.len(), TOKEN_SCOPES_MAX);
    }

    proptest! {
        #[test]
        fn a_token_allows_what_it_was_made_with(
            names in proptest::collection::vec("[a-z]{1,3}(/[a-z]{1,2})?", 0..5),
            words in proptest::collection::vec(0..4_usize, 5),
        ) {
            let actions = ["pull", "push", "pull,push", "delete"];
            let scopes: Vec<String> = names.iter().zip(&words)
                .map(|(name, word)| format!("repository:{name}:{}", actions[*word])).collect();
            let grants = Grants::asked(scopes.iter().map(String::as_str));
            prop_assert_eq!(Grants::of_entries(&grants.entries()), grants);
        }

        #[test]
        fn any_scope_is_read_without_panic(text in "\\PC{0,80}") {
            let _ = asked(&text).scope();
        }
    }
}
