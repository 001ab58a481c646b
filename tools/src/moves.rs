//! May a tag be pointed at something else? One answer for every command that writes tags.
//!
//! `latest` moves with every release. Any other tag that is there may be what customers pinned, so it
//! moves only where somebody said so.

use wharf_oci::{Digest, Tag};

/// The tag every release moves, so its move is never a surprise.
pub const FLOATING_TAG: &str = "latest";

/// A tag that would be written.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    pub tag: &'a Tag,
    pub before: Option<Digest>,
    /// What it is to point at.
    pub after: Digest,
}

impl Write<'_> {
    /// Whether it takes a tag away from something.
    #[must_use]
    pub fn is_move(&self) -> bool {
        self.before.is_some_and(|before| before != self.after)
    }

    /// Why it may not be done, with what to do; `place` is `REGISTRY/REPOSITORY`.
    #[must_use]
    pub fn refusal(&self, place: &str, allow_tag_move: bool) -> Option<String> {
        let before = self.before.filter(|_| self.is_move())?;
        if allow_tag_move || self.tag.as_str() == FLOATING_TAG {
            return None;
        }
        let Self { tag, after, .. } = self;
        Some(format!(
            "{place}:{tag} points at {before}, not at {after}; publish another version, or allow \
             the move with --allow-tag-move"
        ))
    }
}
