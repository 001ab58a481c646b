//! The file `control` of a Debian package (deb822, Debian Policy §5): fields of one paragraph.
//!
//! Invariant: kept values are bounded, and every field is UTF-8 without control characters.

/// Longest kept field, in bytes; the longest lists of dependencies have about 20,000.
const FIELD_BYTES_MAX: usize = 64 * 1024;

/// The fields of a package's control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `Package`.
    pub name: String,
    /// `Version`.
    pub version: String,
    /// `Architecture`.
    pub architecture: String,
    /// The name in `Source`, or the package's own.
    pub source: String,
    /// The version in `Source`, or the package's own.
    pub source_version: String,
    /// `Maintainer`.
    pub maintainer: Option<String>,
    /// `Homepage`.
    pub homepage: Option<String>,
    /// `Section`.
    pub section: Option<String>,
    /// The first line of `Description`.
    pub summary: Option<String>,
    /// `Pre-Depends` and `Depends`, as they stand there.
    pub depends: Vec<String>,
}

/// Why a text is no control file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A field every package has is missing or empty.
    #[error("its control file has no `{0}`")]
    Missing(&'static str),
    /// A field with an invalid value.
    #[error("the `{field}` in its control file is none: `{value}`")]
    Malformed {
        field: &'static str,
        /// Its value, shortened and escaped.
        value: String,
    },
}

impl Control {
    /// Reads the first paragraph.
    pub fn parse(text: &[u8]) -> Result<Self, ControlError> {
        let fields = Fields::read(text);
        let needed = |name| fields.get(name).ok_or(ControlError::Missing(name));
        let name = word("Package", needed("Package")?, is_package)?;
        let version = word("Version", needed("Version")?, is_version)?;
        let architecture = word("Architecture", needed("Architecture")?, is_architecture)?;
        let (source, source_version) = match fields.get("Source") {
            None => (name.clone(), version.clone()),
            Some(source) => source_of(&source, &version)?,
        };
        let first_line =
            |text: String| text.lines().next().map(str::to_owned).filter(|line| !line.is_empty());
        Ok(Self {
            name,
            version,
            architecture,
            source,
            source_version,
            maintainer: fields.get("Maintainer"),
            homepage: fields.get("Homepage"),
            section: fields.get("Section"),
            summary: fields.get("Description").and_then(first_line),
            depends: ["Pre-Depends", "Depends"].into_iter().filter_map(|f| fields.get(f)).collect(),
        })
    }
}

/// `NAME` or `NAME (VERSION)`.
fn source_of(text: &str, version: &str) -> Result<(String, String), ControlError> {
    let Some((name, rest)) = text.split_once('(') else {
        return Ok((word("Source", text.trim().to_owned(), is_package)?, version.to_owned()));
    };
    let own = rest.trim_end().strip_suffix(')').unwrap_or(rest).trim().to_owned();
    Ok((word("Source", name.trim().to_owned(), is_package)?, word("Source", own, is_version)?))
}

fn word(
    field: &'static str,
    value: String,
    is_one: fn(&str) -> bool,
) -> Result<String, ControlError> {
    if value.len() <= 255 && is_one(&value) {
        return Ok(value);
    }
    let value = value.chars().take(80).collect::<String>().escape_debug().to_string();
    Err(ControlError::Malformed { field, value })
}

/// Policy §5.6.1. It becomes the name of a file. Some old packages have upper-case letters.
fn is_package(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.' | b'_'))
}

/// Policy §5.6.12.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'+' | b'-' | b':' | b'~'))
}

fn is_architecture(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

/// A paragraph: names of fields with their values.
struct Fields<'a>(Vec<(&'a str, String)>);

impl<'a> Fields<'a> {
    /// A line with leading white space continues the field before; of two fields with one name the
    /// first counts. Lines without a field are skipped.
    fn read(text: &'a [u8]) -> Self {
        let mut fields: Vec<(&str, String)> = Vec::new();
        let mut lines = text.split(|byte| *byte == b'\n');
        let mut lines = lines.by_ref().skip_while(|line| line.trim_ascii().is_empty());
        for line in lines.by_ref().take_while(|line| !line.trim_ascii().is_empty()) {
            let goes_on = line.first().is_some_and(u8::is_ascii_whitespace);
            let shown = printable(line.trim_ascii());
            if let (true, Some((_, value))) = (goes_on, fields.last_mut()) {
                if value.len() + shown.len() < FIELD_BYTES_MAX {
                    value.push('\n');
                    value.push_str(&shown);
                }
                continue;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let Some(Ok(name)) = line.get(..colon).map(std::str::from_utf8) else { continue };
            let value = printable(line.get(colon + 1..).unwrap_or_default().trim_ascii());
            fields.push((name, value));
        }
        Self(fields)
    }

    fn get(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

/// UTF-8, cut to the limit, with replacements for a terminal's control characters.
fn printable(bytes: &[u8]) -> String {
    let bytes = bytes.get(..FIELD_BYTES_MAX.min(bytes.len())).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fields_of_a_package_are_read_in_any_case_and_order() {
        let text = "Package: libtidal3\nSource: tidal (1:2.0-3)\nversion: 1:2.0-3+b1\n\
            Architecture: amd64\nMaintainer: Ann <ann@registry.example>\nDepends: libc6 (>= 2.36),\n libx\n\
            Section: libs\nHomepage: https://registry.example/tidal\nDescription: waves\n long text\n .\n more\n\n\
            Package: other\n";
        let control = Control::parse(text.as_bytes()).unwrap();
        assert_eq!(control.name, "libtidal3");
        assert_eq!(
            (control.source.as_str(), control.source_version.as_str()),
            ("tidal", "1:2.0-3")
        );
        assert_eq!(control.version, "1:2.0-3+b1");
        assert_eq!(control.summary.as_deref(), Some("waves"));
        assert_eq!(control.section.as_deref(), Some("libs"));
        assert_eq!(control.depends, ["libc6 (>= 2.36),\nlibx"]);
    }

    #[test]
    fn a_package_is_its_own_source_when_nothing_else_is_said() {
        let control =
            Control::parse(b"\nPackage: a\nVersion: 1\nArchitecture: all\nSource: b\n").unwrap();
        assert_eq!((control.source.as_str(), control.source_version.as_str()), ("b", "1"));
        let control = Control::parse(b"Package: a\nVersion: 1\nArchitecture: all").unwrap();
        assert_eq!((control.source.as_str(), control.maintainer), ("a", None));
    }

    #[test]
    fn what_is_missing_or_would_leave_its_folder_is_an_error() {
        let parse = |text: &str| Control::parse(text.as_bytes());
        assert_eq!(parse("Package: a\nVersion: 1"), Err(ControlError::Missing("Architecture")));
        assert_eq!(parse(""), Err(ControlError::Missing("Package")));
        for name in ["../x", "a/b", ".x", "a b", "\u{1b}[2J"] {
            let text = format!("Package: {name}\nVersion: 1\nArchitecture: all");
            let error = parse(&text).unwrap_err();
            assert!(matches!(error, ControlError::Malformed { field: "Package", .. }), "{name}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
        assert!(parse("Package: a\nVersion: 1 2\nArchitecture: all").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let start = b"Package: a\nVersion: 1\nArchitecture: all\nX-End: y\n".as_slice();
            let control = Control::parse(&[start, &bytes].concat()).unwrap();
            for text in [control.maintainer, control.section, control.summary].into_iter().flatten() {
                prop_assert!(!text.contains(char::from(0x1b)));
            }
        }
    }
}
