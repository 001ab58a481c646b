//! May a tag move to another digest? One answer for every command with tags to write.
//!
//! `latest` moves with every release. Any other existing tag may be pinned by customers, so it
//! moves only by an explicit option.

use wharf_oci::{Digest, Tag};

/// The tag every release moves, so its move is never a surprise.
pub const FLOATING_TAG: &str = "latest";

/// A tag to be written.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    pub tag: &'a Tag,
    pub before: Option<Digest>,
    /// The new target.
    pub after: Digest,
}

impl Write<'_> {
    /// Whether it takes a tag away from another digest.
    #[must_use]
    pub fn is_move(&self) -> bool {
        self.before.is_some_and(|before| before != self.after)
    }

    /// The refusal of the move, with the fix; `place` is `REGISTRY/REPOSITORY`.
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
