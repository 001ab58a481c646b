//! A release in Markdown, for a pull request or a ticket: what goes where, what became of it, and
//! how to take it back.
//!
//! Invariant: foreign texts make no markup; the page is no longer than its reader takes, and a page
//! that was cut says so.

use std::fmt::Write as _;

use wharf_oci::{Digest, Tag};

use super::markdown::inert;
use crate::rules::image::size;
use crate::transfer::TransferBytes;

/// The reserve for the lines after the tables.
const ENDING_BYTES: usize = 4 * 1024;

/// A release, before or after it was applied.
#[derive(Debug, Clone)]
pub struct Release {
    /// The ID of the offer.
    pub offer: String,
    /// The names of both registries, with their addresses.
    pub from: String,
    pub to: String,
    pub plan_digest: Digest,
    pub images: Vec<ReleasedImage>,
    /// The commands that come next, with their purpose.
    pub next: Vec<(&'static str, String)>,
}

/// An image of a release.
#[derive(Debug, Clone)]
pub struct ReleasedImage {
    /// The plan of the offer.
    pub plan: String,
    pub source: String,
    pub destination: String,
    /// The digest of the last tag.
    pub digest: Option<Digest>,
    pub tags: Vec<ReleasedTag>,
    /// In one word, with its mark.
    pub state: (Mark, &'static str),
    /// Why, unless it is done.
    pub reason: String,
    pub moved: ReleasedBytes,
    /// Signatures and the like, a line each.
    pub companions: Vec<String>,
    /// What stayed behind, a line each.
    pub left_behind: Vec<String>,
    /// Records and locks, a line each.
    pub sealed: Vec<String>,
}

/// How much of an image is to move, or moved.
#[derive(Debug, Clone, Copy)]
pub enum ReleasedBytes {
    /// All blobs of the image, before it is known which are there.
    Planned {
        size_bytes: u64,
    },
    Moved(TransferBytes),
}

/// A tag, and where it pointed before if it moves.
#[derive(Debug, Clone)]
pub struct ReleasedTag {
    pub tag: Tag,
    pub moved_from: Option<Digest>,
}

/// How an image stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Good,
    Waiting,
    Bad,
}

impl Mark {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "✅",
            Self::Waiting => "⏳",
            Self::Bad => "❌",
        }
    }
}

impl Release {
    /// The page, of at most so many bytes.
    #[must_use]
    pub fn markdown(&self, bytes_max: usize) -> String {
        let mut text = self.heading();
        let room = bytes_max.saturating_sub(ENDING_BYTES);
        let mut left = self.images.len();
        text.push_str(TABLE_HEAD);
        for image in &self.images {
            let row = image.row();
            if text.len() + row.len() > room {
                break;
            }
            text.push_str(&row);
            left -= 1;
        }
        if left > 0 {
            let _ = writeln!(text, "\n{left} more images did not fit here.");
        }
        for image in &self.images {
            let details = image.details();
            if text.len() + details.len() > room {
                text.push_str("\nMore details did not fit here.\n");
                break;
            }
            text.push_str(&details);
        }
        for (purpose, command) in &self.next {
            let _ = write!(text, "\n{purpose}\n\n```sh\n{}\n```\n", command.replace("```", ""));
        }
        text.truncate(text.floor_char_boundary(bytes_max));
        text
    }

    fn heading(&self) -> String {
        let worst = |mark| self.images.iter().any(|image| image.state.0 == mark);
        let mark = [Mark::Bad, Mark::Waiting].into_iter().find(|mark| worst(*mark));
        format!(
            "## {} {}: {} → {}\n\nPlan `{}`, {} images.\n",
            mark.unwrap_or(Mark::Good).as_str(),
            inert(&self.offer),
            inert(&self.from),
            inert(&self.to),
            self.plan_digest,
            self.images.len(),
        )
    }
}

const TABLE_HEAD: &str = "\n| plan | source | destination | digest | tags | state | bytes | with it |\n\
                          |---|---|---|---|---|---|--:|--:|\n";

impl ReleasedImage {
    fn row(&self) -> String {
        let digest = self.digest.map_or_else(|| "-".to_owned(), |digest| format!("`{digest}`"));
        let tags: Vec<String> = self.tags.iter().map(|tag| inert(tag.tag.as_str())).collect();
        let (mark, state) = self.state;
        let bytes = match self.moved {
            ReleasedBytes::Planned { size_bytes } => size(size_bytes),
            ReleasedBytes::Moved(moved) => format!(
                "{} sent<br>{} mounted<br>{} there",
                size(moved.sent_bytes),
                size(moved.mounted_bytes),
                size(moved.skipped_bytes)
            ),
        };
        format!(
            "| {} | {} | {} | {digest} | {} | {} {state} | {bytes} | {} |\n",
            inert(&self.plan),
            inert(&self.source),
            inert(&self.destination),
            tags.join("<br>"),
            mark.as_str(),
            self.companions.len(),
        )
    }

    /// What does not fit into a row: reasons, moved tags, companions, what stayed behind.
    fn details(&self) -> String {
        let mut lines = Vec::new();
        if !self.reason.is_empty() {
            lines.push(format!("**{}:** {}", self.state.1, inert(&self.reason)));
        }
        for ReleasedTag { tag, moved_from } in &self.tags {
            if let Some(before) = moved_from {
                lines.push(format!("tag {} moves away from `{before}`", inert(tag.as_str())));
            }
        }
        lines.extend(self.companions.iter().map(|line| format!("with {}", inert(line))));
        let behind = self.left_behind.iter();
        lines.extend(behind.map(|line| format!("**left behind:** {}", inert(line))));
        lines.extend(self.sealed.iter().map(|line| inert(line)));
        if lines.is_empty() {
            return String::new();
        }
        let mut text = format!("\n### {}\n\n", inert(&self.plan));
        for line in lines {
            let _ = writeln!(text, "- {line}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn image(plan: &str, state: (Mark, &'static str)) -> ReleasedImage {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let tag = |name: &str, moved_from| ReleasedTag { tag: name.parse().unwrap(), moved_from };
        ReleasedImage {
            plan: plan.to_owned(),
            source: "s.example/a".to_owned(),
            destination: "p.example/a".to_owned(),
            digest: Some(digest),
            tags: vec![tag("1.0", None), tag("latest", Some(digest))],
            state,
            reason: String::new(),
            moved: ReleasedBytes::Moved(TransferBytes { sent_bytes: 1, ..Default::default() }),
            companions: vec!["x, which refers to y: copied".to_owned()],
            left_behind: Vec::new(),
            sealed: Vec::new(),
        }
    }

    fn release(images: Vec<ReleasedImage>) -> Release {
        Release {
            offer: "tide".to_owned(),
            from: "staging".to_owned(),
            to: "production".to_owned(),
            plan_digest: format!("sha256:{}", "b".repeat(64)).parse().unwrap(),
            images,
            next: vec![("To take it back:", "wharf promote undo x".to_owned())],
        }
    }

    #[test]
    fn the_worst_image_marks_the_page_and_its_reason_is_told() {
        let mut bad = image("b|<b>", (Mark::Bad, "refused"));
        bad.reason = "p.example/a:1.0 points at [other](http://x)".to_owned();
        bad.left_behind.push("sha256-x.sig: left".to_owned());
        let text = release(vec![image("a", (Mark::Good, "promoted")), bad]).markdown(1 << 20);
        assert!(text.starts_with("## ❌ tide: staging → production"), "{text}");
        assert!(text.contains("| ✅ promoted |") && text.contains("| ❌ refused |"), "{text}");
        assert!(text.contains("### b&#124;&lt;b&gt;\n\n- **refused:** "), "{text}");
        assert!(text.contains("**left behind:** sha256-x.sig\\: left"), "{text}");
        assert!(text.contains("tag latest moves away from `sha256:aaaa"), "{text}");
        assert!(text.ends_with("To take it back:\n\n```sh\nwharf promote undo x\n```\n"), "{text}");
        assert!(!text.contains("](http"), "{text}");
    }

    #[test]
    fn a_page_that_is_too_long_says_what_is_missing() {
        let images = (0..1000).map(|at| image(&at.to_string(), (Mark::Good, "promoted")));
        let text = release(images.collect()).markdown(64 * 1024);
        assert!(text.len() <= 64 * 1024);
        assert!(text.contains("more images did not fit here."), "{text}");
        assert!(text.contains("wharf promote undo x"));
    }
}
