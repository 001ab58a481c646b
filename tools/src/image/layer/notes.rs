//! Remarks for a person about a layer: none of them keeps it from being made.

use crate::image::files::shown;

/// How many paths a note names.
const NAMED_MAX: usize = 3;

/// A remark for a person about a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The input, as the offer writes its path.
    pub input: String,
    pub message: String,
}

/// Paths of one kind; only some of them are named.
#[derive(Debug, Default)]
pub(super) struct Tally {
    count: u64,
    first: Vec<String>,
}

impl Tally {
    /// Counts a path.
    pub(super) fn add(&mut self, path: &[u8]) {
        self.add_text(|| format!("`{}`", shown(path)));
    }

    /// Counts a case with a text in the place of a path.
    pub(super) fn add_text(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(text());
        }
    }

    /// `3 paths (`a`, `b`, …)`; `None` when nothing was counted.
    pub(super) fn told(&self) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let plural = if self.count == 1 { "path" } else { "paths" };
        let more = if self.count > self.first.len() as u64 { ", …" } else { "" };
        Some(format!("{} {plural} ({}{more})", self.count, self.first.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_names_the_first_and_counts_all() {
        let mut tally = Tally::default();
        assert_eq!(tally.told(), None);
        tally.add(b"a\xff");
        assert_eq!(tally.told().as_deref(), Some("1 path (`a\\xff`)"));
        for name in [b"b", b"c", b"d"] {
            tally.add(name);
        }
        assert_eq!(tally.told().as_deref(), Some("4 paths (`a\\xff`, `b`, `c`, …)"));
    }
}
