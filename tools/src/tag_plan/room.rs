//! The places of a list of tags, and their tags.

use std::collections::BTreeMap;

use wharf_oci::Tag;

use super::LeftOutReason;
use crate::offer::tag_forms::TAGS_MAX;
use crate::offer::tags::ExpandedTag;

/// Sixteen places.
///
/// - No two tags in it differ in case only.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: BTreeMap<String, Tag>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn free(&self) -> usize {
        TAGS_MAX.saturating_sub(self.taken.len())
    }

    /// Gives all of these a place, or none.
    pub(super) fn take(&mut self, tags: &[ExpandedTag]) -> Result<(), LeftOutReason> {
        self.take_tags(&tags.iter().map(|item| item.tag.clone()).collect::<Vec<_>>())
    }

    /// The same for tags with only a text.
    pub(super) fn take_tags(&mut self, tags: &[Tag]) -> Result<(), LeftOutReason> {
        let mut new = BTreeMap::new();
        for tag in tags {
            let folded = tag.as_str().to_ascii_lowercase();
            if let Some(other) = self.taken.get(&folded).or_else(|| new.get(&folded)) {
                return Err(LeftOutReason::Twice(other.clone()));
            }
            new.insert(folded, tag.clone());
        }
        let (needed, free) = (new.len(), self.free());
        if needed > free {
            return Err(LeftOutReason::NoRoom { needed, free });
        }
        self.taken.append(&mut new);
        Ok(())
    }
}
