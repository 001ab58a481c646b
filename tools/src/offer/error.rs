//! The errors of an offer file, in a common form: file, line and column, the line itself with a
//! mark under the fault, and the fix.

use std::fmt;
use std::path::{Path, PathBuf};

use super::excerpt::Excerpt;
use super::source_map::Spot;
use crate::logins;

/// Largest offer file, in bytes.
pub const OFFER_SIZE_BYTES_MAX: u64 = 1024 * 1024;
/// Most faults in full; the others are counted.
pub(super) const FAULTS_MAX: usize = 100;

/// Why an offer file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// It cannot be read.
    #[error("cannot read the offer {}", path.display())]
    Read {
        /// The offer file.
        path: PathBuf,
        source: std::io::Error,
    },
    /// It is larger than an offer may be.
    #[error("the offer {} has more than {OFFER_SIZE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// It is not UTF-8.
    #[error("{}:{line}: the offer is not UTF-8; save it as that", path.display())]
    NotUtf8 {
        path: PathBuf,
        /// The line of the first wrong byte.
        line: usize,
    },
    /// It is in an encoding of two bytes for each letter.
    #[error("{}:1: the offer is UTF-16; save it as UTF-8", .0.display())]
    Utf16(PathBuf),
    /// The file has faults: all of them, in the order of the file.
    #[error("{}", Joined(.0))]
    Invalid(Vec<Diagnostic>),
    /// The requested registry is missing from the offer.
    #[error("the offer {} has no registry `{name}`; it has: {known}", path.display())]
    NoSuchRegistry {
        /// The offer file.
        path: PathBuf,
        name: String,
        /// Those it has.
        known: String,
    },
    /// The requested plan is missing from the offer.
    #[error("the offer {} has no plan `{id}`; it has: {known}", path.display())]
    NoSuchPlan {
        /// The offer file.
        path: PathBuf,
        id: String,
        /// Those it has.
        known: String,
    },
    /// The variable for a login server does not hold one.
    #[error("the environment variable {variable} cannot replace the login server of `{name}`")]
    Variable {
        variable: String,
        /// The registry of the login server.
        name: String,
        source: super::values::ValueError,
    },
}

/// One fault of a file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub file: PathBuf,
    /// Where in it.
    pub spot: Spot,
    /// The line as it stands there.
    pub line: String,
    pub message: String,
    /// The fix.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A fault at this place of this text.
    #[must_use]
    pub fn new(file: &Path, text: &str, spot: Spot, message: impl Into<String>) -> Self {
        let line = text.lines().nth(spot.line.saturating_sub(1)).unwrap_or_default();
        Self::of_line(file, line, spot, message)
    }

    /// The same for a caller with the line at hand.
    pub(super) fn of_line(file: &Path, line: &str, spot: Spot, message: impl Into<String>) -> Self {
        let shown = logins::cut_line(line);
        let mut spot = spot;
        if shown != line && spot.column > shown.chars().count() {
            // A mark far behind the end of the excerpt would point at an empty place.
            spot = Spot { column: shown.chars().count().max(1), width: 1, ..spot };
        }
        Self {
            file: file.to_owned(),
            spot,
            line: shown.into_owned(),
            message: logins::hide(&message.into()).into_owned(),
            help: None,
        }
    }

    /// The same with the line cut at the place: a secret follows.
    #[must_use]
    pub fn hide(mut self) -> Self {
        let kept = self.spot.column.saturating_sub(1);
        self.line = self.line.chars().take(kept).collect();
        self.line.push('…');
        self
    }

    /// Shows nothing of its line from this column on: a secret stands there.
    pub(super) fn hide_from(&mut self, column: usize) {
        self.line = self.line.chars().take(column.saturating_sub(1)).collect();
        self.line.push('…');
        // A mark far behind the end of the excerpt would point at an empty place.
        let Spot { column: from, width, .. } = self.spot;
        self.spot.column = from.min(column);
        self.spot.width = width.min(column.saturating_sub(from)).max(1);
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spot { line, column, .. } = self.spot;
        writeln!(f, "{}:{line}:{column}: {}", self.file.display(), self.message)?;
        let excerpt = Excerpt::new(&self.line, self.spot);
        let gutter = excerpt.gutter();
        write!(f, "{excerpt}")?;
        if let Some(help) = &self.help {
            write!(f, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }
}

struct Joined<'a>(&'a [Diagnostic]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, diagnostic) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_underlines_its_place() {
        let spot = Spot { line: 2, column: 4, width: 3 };
        let shown = Diagnostic::new(Path::new("o.yaml"), "a: 1\nb: xyz\n", spot, "no")
            .help("write a number")
            .to_string();
        let expected = "o.yaml:2:4: no\n  |\n2 | b: xyz\n  |    ^^^\n  = help: write a number";
        assert_eq!(shown, expected);
    }

    #[test]
    fn long_lines_are_cut_and_control_characters_replaced() {
        let line = format!("{}\u{1b}[31mX{}", "a".repeat(300), "b".repeat(300));
        let spot = Spot { line: 1, column: 306, width: 1 };
        let shown = Diagnostic::new(Path::new("o"), &line, spot, "no").to_string();
        assert!(!shown.contains('\u{1b}'));
        assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        let mark = lines.last().and_then(|line| line.find('^'));
        let cross = lines.iter().find_map(|line| line.chars().position(|c| c == 'X'));
        assert_eq!(mark, cross);
    }
}
