//! The names of the resources of a payload, and what many of them repeat.

use std::collections::BTreeSet;

use crate::marketplace::model::{Reference, ResourceAudience};

pub(super) const PRODUCT: &str = "product";
pub(super) const KIND: &str = "azureContainer";

/// Longest `resourceName`.
const RESOURCE_NAME_CHARS_MAX: usize = 50;

pub(super) fn product() -> Reference {
    Reference { resource_name: PRODUCT.to_owned() }
}

/// The names of the resources of a payload.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name, cut to the schema's length and kept apart by a number where the cut made two equal.
    pub(super) fn take(&mut self, whole: &str) -> String {
        let cut: String = whole.chars().take(RESOURCE_NAME_CHARS_MAX).collect();
        let numbered = (2..).map(|number: u32| {
            let number = format!("-{number}");
            let kept = RESOURCE_NAME_CHARS_MAX - number.len();
            format!("{}{number}", cut.chars().take(kept).collect::<String>())
        });
        let name = std::iter::once(cut.clone())
            .chain(numbered)
            .find(|name| !self.0.contains(name))
            .unwrap_or_default();
        self.0.insert(name.clone());
        name
    }
}

/// Someone in an audience.
pub(super) fn audience(kind: &'static str, id: &str, label: &str) -> ResourceAudience {
    ResourceAudience { kind, id: id.to_owned(), label: label.to_owned() }
}
