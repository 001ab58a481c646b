//! Scopes of access tokens: actions on a resource, as text and as JSON.
//!
//! The text form is `TYPE:NAME:ACTION,ACTION`; an action this double does not know is never granted.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An action of a token or an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Action {
    /// Read manifests, blobs and tags.
    #[serde(rename = "pull")]
    Pull,
    /// Write manifests and blobs.
    #[serde(rename = "push")]
    Push,
    /// Remove manifests and blobs.
    #[serde(rename = "delete")]
    Delete,
    #[serde(rename = "metadata_read")]
    MetadataRead,
    #[serde(rename = "metadata_write")]
    MetadataWrite,
    /// Everything, the catalog included.
    #[serde(rename = "*")]
    All,
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "pull" => Some(Self::Pull),
            "push" => Some(Self::Push),
            "delete" => Some(Self::Delete),
            "metadata_read" => Some(Self::MetadataRead),
            "metadata_write" => Some(Self::MetadataWrite),
            "*" => Some(Self::All),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::MetadataRead => "metadata_read",
            Self::MetadataWrite => "metadata_write",
            Self::All => "*",
        }
    }
}

/// A set of actions; [`Action::All`] in it covers every other one.
pub(crate) type Actions = BTreeSet<Action>;

/// The most rights of a caller, and the repositories for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rights {
    actions: Actions,
    /// The only repositories; all when absent.
    repositories: Option<BTreeSet<String>>,
}

impl Rights {
    pub(crate) fn everywhere(actions: &[Action]) -> Self {
        Self { actions: actions.iter().copied().collect(), repositories: None }
    }

    pub(crate) fn only(self, repositories: BTreeSet<String>) -> Self {
        Self { repositories: Some(repositories), ..self }
    }

    fn reaches(&self, repository: &str) -> bool {
        self.repositories.as_ref().is_none_or(|only| only.contains(repository))
    }
}

fn covers(actions: &Actions, action: Action) -> bool {
    actions.contains(&Action::All) || actions.contains(&action)
}

/// One resource and the actions on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Scope {
    #[serde(rename = "Type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Actions,
}

impl Scope {
    pub(crate) fn repository(name: &str, actions: &[Action]) -> Self {
        let actions = actions.iter().copied().collect();
        Self { kind: "repository".to_owned(), name: name.to_owned(), actions }
    }

    pub(crate) fn catalog() -> Self {
        let actions = Actions::from([Action::All]);
        Self { kind: "registry".to_owned(), name: "catalog".to_owned(), actions }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        if kind.is_empty() || name.is_empty() {
            return None;
        }
        let actions = actions.split(',').filter_map(Action::parse).collect();
        Some(Self { kind: kind.to_owned(), name: name.to_owned(), actions })
    }

    /// The part of this scope within these rights.
    pub(crate) fn within(&self, rights: &Rights) -> Self {
        let allowed = &rights.actions;
        let everything = allowed.contains(&Action::All) && rights.repositories.is_none();
        let actions = match self.kind.as_str() {
            "repository" if rights.reaches(&self.name) => {
                self.actions.iter().copied().filter(|action| covers(allowed, *action)).collect()
            }
            _ if everything => self.actions.clone(),
            _ => Actions::new(),
        };
        Self { kind: self.kind.clone(), name: self.name.clone(), actions }
    }

    /// Whether these grants together allow the whole scope.
    pub(crate) fn is_granted_by(&self, grants: &[Self]) -> bool {
        self.actions.iter().all(|action| {
            grants.iter().any(|grant| {
                grant.kind == self.kind
                    && grant.name == self.name
                    && covers(&grant.actions, *action)
            })
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<&str> = self.actions.iter().map(|action| action.as_str()).collect();
        write!(formatter, "{}:{}:{}", self.kind, self.name, actions.join(","))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for text in ["repository:acme/web:pull,push", "registry:catalog:*", "repository:a:delete"] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_scope_is_refused() {
        for text in ["", "repository", "repository:", "repository::pull", ":a:pull"] {
            assert_eq!(Scope::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_reader_gets_only_the_pull_of_what_it_asks_for() {
        let asked = Scope::parse("repository:acme/web:pull,push,delete").unwrap();
        let granted = asked.within(&Rights::everywhere(&[Action::Pull]));
        assert_eq!(granted.to_string(), "repository:acme/web:pull");
        let catalog = Scope::catalog().within(&Rights::everywhere(&[Action::Pull]));
        assert!(catalog.actions.is_empty());
    }

    #[test]
    fn rights_to_some_repositories_reach_no_other_and_no_catalog() {
        let rights = Rights::everywhere(&[Action::All]).only(BTreeSet::from(["a".to_owned()]));
        let within = |text| Scope::parse(text).unwrap().within(&rights).to_string();
        assert_eq!(within("repository:a:pull"), "repository:a:pull");
        assert_eq!(within("repository:b:pull"), "repository:b:");
        assert_eq!(within("registry:catalog:*"), "registry:catalog:");
    }

    #[test]
    fn a_grant_holds_for_its_own_repository_only() {
        let grants = [Scope::repository("acme/web", &[Action::Pull, Action::Push])];
        assert!(Scope::repository("acme/web", &[Action::Pull]).is_granted_by(&grants));
        assert!(!Scope::repository("acme/we", &[Action::Pull]).is_granted_by(&grants));
        assert!(!Scope::repository("acme/web", &[Action::Delete]).is_granted_by(&grants));
        assert!(!Scope::catalog().is_granted_by(&grants));
    }
}
