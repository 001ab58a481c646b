//! Lists with an end.

use serde::Serialize;

/// How many entries of a list are kept: enough to see what a release changed, in a page or two.
pub const LISTED_MAX: usize = 50;

/// How much is listed.
#[derive(Debug, Clone, Copy)]
pub struct ListBounds {
    /// How many entries each list has at most.
    pub listed_max: usize,
}

impl Default for ListBounds {
    fn default() -> Self {
        Self { listed_max: LISTED_MAX }
    }
}

impl ListBounds {
    /// Everything is listed; what was read is bounded itself.
    pub const ALL: Self = Self { listed_max: usize::MAX };
}

/// A list with an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundedList<T> {
    /// The first ones.
    pub items: Vec<T>,
    /// How many more there are.
    pub left_out: usize,
}

impl<T> Default for BoundedList<T> {
    fn default() -> Self {
        Self { items: Vec::new(), left_out: 0 }
    }
}

impl<T> BoundedList<T> {
    /// How many there are, listed or not.
    #[must_use]
    pub fn total(&self) -> usize {
        self.items.len().saturating_add(self.left_out)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// Adds one more, which is made only when it is listed.
    pub(super) fn push(&mut self, bounds: ListBounds, item: impl FnOnce() -> T) {
        if self.items.len() < bounds.listed_max {
            self.items.push(item());
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }
}
