//! Attributes of repositories, tags and manifests: the permissions to read, write, delete and list,
//! and the quarantine.
//!
//! A tag and its manifest have attributes of their own, as at ACR. A repository's attributes hold
//! for all of its content. A target without attributes is open.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// Attributes and tags kept at once.
const ENTRIES_MAX: usize = 65_536;

/// The target of attributes within a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Repository,
    Tag(String),
    Manifest(String),
}

impl Target {
    /// The target of a reference in a manifest's path.
    pub(crate) fn of(reference: &str) -> Self {
        if reference.contains(':') {
            Self::Manifest(reference.to_owned())
        } else {
            Self::Tag(reference.to_owned())
        }
    }
}

/// ACR's `changeableAttributes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the four words are ACR's")]
pub(crate) struct Attributes {
    delete_enabled: bool,
    write_enabled: bool,
    list_enabled: bool,
    read_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine_details: Option<String>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            delete_enabled: true,
            write_enabled: true,
            list_enabled: true,
            read_enabled: true,
            quarantine_state: None,
            quarantine_details: None,
        }
    }
}

/// The body of a PATCH: a missing attribute stays unchanged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Change {
    delete_enabled: Option<bool>,
    write_enabled: Option<bool>,
    list_enabled: Option<bool>,
    read_enabled: Option<bool>,
    quarantine_state: Option<String>,
    quarantine_details: Option<String>,
}

impl Attributes {
    fn apply(&mut self, change: Change) {
        self.delete_enabled = change.delete_enabled.unwrap_or(self.delete_enabled);
        self.write_enabled = change.write_enabled.unwrap_or(self.write_enabled);
        self.list_enabled = change.list_enabled.unwrap_or(self.list_enabled);
        self.read_enabled = change.read_enabled.unwrap_or(self.read_enabled);
        self.quarantine_state = change.quarantine_state.or(self.quarantine_state.take());
        self.quarantine_details = change.quarantine_details.or(self.quarantine_details.take());
    }

    /// Either lock keeps a thing from being deleted.
    fn allows(&self, act: Act) -> bool {
        match act {
            Act::Read => self.read_enabled,
            Act::Write => self.write_enabled,
            Act::Delete => self.write_enabled && self.delete_enabled,
            Act::List => self.list_enabled,
        }
    }

    fn is_quarantined(&self) -> bool {
        self.quarantine_state.as_deref().is_some_and(|state| state != "Passed")
    }
}

/// An act under the control of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Read,
    Write,
    Delete,
    List,
}

#[derive(Debug, Default)]
struct Entries {
    attributes: HashMap<(String, Target), Attributes>,
    /// The tags pushed into quarantine, and their manifests.
    tags: HashMap<(String, String), String>,
}

/// All attributes. Written by PATCH requests and, in quarantine, by pushes.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    entries: Mutex<Entries>,
}

impl Locks {
    pub(crate) fn attributes(&self, name: &str, target: &Target) -> Attributes {
        let key = (name.to_owned(), target.clone());
        self.with(|entries| entries.attributes.get(&key).cloned().unwrap_or_default())
    }

    pub(crate) fn change(&self, name: &str, target: Target, change: Change) -> Result<(), Refusal> {
        self.with(|entries| {
            let key = (name.to_owned(), target);
            if entries.attributes.len() >= ENTRIES_MAX && !entries.attributes.contains_key(&key) {
                return Err(Refusal::TooManyRequests { retry_after_s: 60 });
            }
            entries.attributes.entry(key).or_default().apply(change);
            Ok(())
        })
    }

    /// Whether this may be done to a repository and to the target in it.
    pub(crate) fn check(&self, name: &str, target: &Target, act: Act) -> Result<(), Refusal> {
        let allowed = self.attributes(name, &Target::Repository).allows(act)
            && self.attributes(name, target).allows(act);
        if allowed { Ok(()) } else { Err(Refusal::Disallowed) }
    }

    pub(crate) fn is_listed(&self, name: &str, target: &Target) -> bool {
        self.attributes(name, target).allows(Act::List)
    }

    /// Puts a pushed manifest into quarantine.
    pub(crate) fn quarantine(
        &self,
        name: &str,
        reference: &str,
        digest: &str,
    ) -> Result<(), Refusal> {
        let state = Some("Quarantined".to_owned());
        let change = Change { quarantine_state: state, ..Change::default() };
        self.change(name, Target::Manifest(digest.to_owned()), change)?;
        self.with(|entries| {
            if entries.tags.len() < ENTRIES_MAX {
                let key = (name.to_owned(), reference.to_owned());
                entries.tags.insert(key, digest.to_owned());
            }
        });
        Ok(())
    }

    /// By tag a quarantined manifest does not exist; by digest it may not be read.
    pub(crate) fn check_quarantine(&self, name: &str, reference: &str) -> Result<(), Refusal> {
        let key = (name.to_owned(), reference.to_owned());
        let named = self.with(|entries| entries.tags.get(&key).cloned());
        let by_tag = !reference.contains(':');
        let digest = named.unwrap_or_else(|| reference.to_owned());
        if !self.attributes(name, &Target::Manifest(digest)).is_quarantined() {
            return Ok(());
        }
        Err(if by_tag { Refusal::ManifestUnknown } else { Refusal::Disallowed })
    }

    /// Nothing panics half-way through a change, so a poisoned lock still guards whole attributes.
    fn with<T>(&self, act: impl FnOnce(&mut Entries) -> T) -> T {
        act(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn change(text: &str) -> Change {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn either_lock_blocks_deletion_and_only_one_blocks_writing() {
        let locks = Locks::default();
        let tag = Target::of("v1");
        locks.change("a", tag.clone(), change(r#"{"deleteEnabled":false}"#)).unwrap();
        assert!(locks.check("a", &tag, Act::Write).is_ok());
        assert_eq!(locks.check("a", &tag, Act::Delete), Err(Refusal::Disallowed));
        let back = r#"{"deleteEnabled":true,"writeEnabled":false}"#;
        locks.change("a", tag.clone(), change(back)).unwrap();
        assert_eq!(locks.check("a", &tag, Act::Write), Err(Refusal::Disallowed));
        assert_eq!(locks.check("a", &tag, Act::Delete), Err(Refusal::Disallowed));
        assert!(locks.check("a", &Target::of("sha256:0"), Act::Write).is_ok());
        assert!(locks.check("b", &tag, Act::Write).is_ok());
    }

    #[test]
    fn a_repository_locks_all_that_is_in_it() {
        let locks = Locks::default();
        let off = change(r#"{"readEnabled":false}"#);
        locks.change("a", Target::Repository, off).unwrap();
        assert_eq!(locks.check("a", &Target::of("v1"), Act::Read), Err(Refusal::Disallowed));
        assert!(locks.check("a", &Target::of("v1"), Act::Write).is_ok());
    }

    #[test]
    fn quarantine_hides_tags_refuses_digests_and_ends_when_passed() {
        let locks = Locks::default();
        locks.quarantine("a", "v1", "sha256:0").unwrap();
        assert_eq!(locks.check_quarantine("a", "v1"), Err(Refusal::ManifestUnknown));
        assert_eq!(locks.check_quarantine("a", "sha256:0"), Err(Refusal::Disallowed));
        let passed = change(r#"{"quarantineState":"Passed","quarantineDetails":"{}"}"#);
        locks.change("a", Target::of("sha256:0"), passed).unwrap();
        assert!(locks.check_quarantine("a", "v1").is_ok());
        assert!(locks.check_quarantine("a", "sha256:0").is_ok());
    }
}
