//! Added, removed and changed packages.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use super::listed::{BoundedList, ListBounds};
use crate::image::packages::{Manager, Package};

/// A different package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageChange {
    pub manager: Manager,
    /// Its name; with its architecture (`libc6:i386`) when the image has it for several.
    pub name: String,
    pub change: PackageChangeKind,
    /// The version it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The version it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The change of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PackageChangeKind {
    /// Only the second image has it.
    Added,
    /// Only the first image has it.
    Removed,
    /// It is newer, by its manager's order.
    Upgraded,
    /// It is older.
    Downgraded,
    /// It has another version, equal by its manager's order.
    Changed,
}

impl PackageChangeKind {
    /// Its name for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::Changed => "changed",
        }
    }
}

/// The versions of each package, by manager and name.
type Versions = BTreeMap<(Manager, String), String>;

/// Compares two lists of packages.
pub(super) fn compare(
    before: &[Package],
    after: &[Package],
    bounds: ListBounds,
) -> BoundedList<PackageChange> {
    let (before, mut after) = (versions(before), versions(after));
    let mut changes = BTreeMap::new();
    for (key, version) in before {
        let now = after.remove(&key);
        if now.as_ref() != Some(&version) {
            changes.insert(key, (Some(version), now));
        }
    }
    changes.extend(after.into_iter().map(|(key, version)| (key, (None, Some(version)))));
    let mut listed = BoundedList::default();
    for ((manager, name), (before, after)) in changes {
        let change = kind(manager, before.as_deref(), after.as_deref());
        listed.push(bounds, || PackageChange { manager, name, change, before, after });
    }
    listed
}

fn kind(manager: Manager, before: Option<&str>, after: Option<&str>) -> PackageChangeKind {
    match (before, after) {
        (None, _) => PackageChangeKind::Added,
        (_, None) => PackageChangeKind::Removed,
        (Some(before), Some(after)) => match manager.compare(before, after) {
            Ordering::Less => PackageChangeKind::Upgraded,
            Ordering::Greater => PackageChangeKind::Downgraded,
            Ordering::Equal => PackageChangeKind::Changed,
        },
    }
}

/// The versions of packages with one name; several architectures are told apart by their own names.
fn versions(packages: &[Package]) -> Versions {
    let mut count: BTreeMap<(Manager, &str), usize> = BTreeMap::new();
    for package in packages {
        *count.entry((package.manager, &package.name)).or_default() += 1;
    }
    let mut versions = Versions::new();
    for package in packages {
        let several = count.get(&(package.manager, package.name.as_str())) > Some(&1);
        let name = match package.architecture.as_str() {
            architecture if several && !architecture.is_empty() => {
                format!("{}:{architecture}", package.name)
            }
            _ => package.name.clone(),
        };
        versions.insert((package.manager, name), package.version.clone());
    }
    versions
}
