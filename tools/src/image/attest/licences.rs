//! Licences of packages, read from Debian's machine-readable `copyright` files (DEP-5) and written
//! in the words of SPDX.
//!
//! Invariant: any bytes give a bounded value or nothing. A short name missing in the table below
//! stays as it stands, as a name; nothing is guessed from prose.

use std::collections::BTreeSet;

/// How many different licences of one package are told.
const NAMES_MAX: usize = 64;

/// Longest short name in bytes; a longer one is prose.
const NAME_BYTES_MAX: usize = 128;

/// How much of a `copyright` file is read; the longest of Debian have about 2 MiB.
pub const COPYRIGHT_BYTES_MAX: u64 = 1 << 20;

/// The licences of a package: all of them hold for some part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageLicence(BTreeSet<Choice>);

/// Licences to choose one of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Choice(Vec<LicenceName>);

/// One licence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LicenceName {
    /// One of SPDX's list.
    Listed(&'static str),
    /// Another, by the name the package gives it.
    Other(String),
}

/// Debian's short names and SPDX's, where they differ. A `+` behind a version is "or later".
const SHORT_NAMES: [(&str, &str, &str); 18] = [
    // The family, its identifier alone, and its identifier with `+`; `*` stands for the version.
    ("gpl", "GPL-*-only", "GPL-*-or-later"),
    ("lgpl", "LGPL-*-only", "LGPL-*-or-later"),
    ("agpl", "AGPL-*-only", "AGPL-*-or-later"),
    ("gfdl", "GFDL-*-only", "GFDL-*-or-later"),
    ("apache", "Apache-*", ""),
    ("artistic", "Artistic-*", ""),
    ("mpl", "MPL-*", ""),
    ("psf", "PSF-*", ""),
    ("bsl", "BSL-*", ""),
    ("ofl", "OFL-*", ""),
    ("zpl", "ZPL-*", ""),
    ("lppl", "LPPL-*", ""),
    ("epl", "EPL-*", ""),
    ("cddl", "CDDL-*", ""),
    ("cc0", "CC0-*", ""),
    ("cc-by", "CC-BY-*", ""),
    ("cc-by-sa", "CC-BY-SA-*", ""),
    ("unicode-dfs", "Unicode-DFS-*", ""),
];

/// Every identifier of SPDX's list this program writes.
const LISTED: [&str; 58] = [
    "0BSD",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-1.0",
    "Artistic-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSL-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "CDDL-1.1",
    "curl",
    "EPL-1.0",
    "EPL-2.0",
    "FSFAP",
    "FSFUL",
    "FSFULLR",
    "GFDL-1.1-only",
    "GFDL-1.1-or-later",
    "GFDL-1.2-only",
    "GFDL-1.2-or-later",
    "GFDL-1.3-only",
    "GFDL-1.3-or-later",
    "GPL-1.0-only",
    "GPL-1.0-or-later",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "ICU",
    "ISC",
    "LGPL-2.0-only",
    "LGPL-2.0-or-later",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "LPPL-1.3c",
    "MIT",
    "MPL-1.1",
    "MPL-2.0",
    "OFL-1.1",
    "OpenSSL",
    "PSF-2.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "X11",
    "Zlib",
    "ZPL-2.1",
    "bzip2-1.0.6",
];

/// Reads a `copyright` file; `None` for any other form, and for a file without a licence.
#[must_use]
pub fn read(text: &[u8]) -> Option<PackageLicence> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let is_machine_readable = lines
        .by_ref()
        .take(10)
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| field(line, "format").is_some());
    if !is_machine_readable {
        return None;
    }
    let mut choices = BTreeSet::new();
    // A stanza with `Files` states the licence of files; one without only gives a licence's text.
    let (mut is_of_files, mut stated) = (false, None);
    for line in lines.chain([""]) {
        if line.trim().is_empty() {
            if is_of_files && choices.len() < NAMES_MAX {
                choices.extend(stated.take().and_then(Choice::parse));
            }
            (is_of_files, stated) = (false, None);
        } else if field(line, "files").is_some() {
            is_of_files = true;
        } else if let Some(value) = field(line, "license") {
            stated = Some(value);
        }
    }
    (!choices.is_empty()).then_some(PackageLicence(choices))
}

/// The value of a field, when the line begins with its name.
fn field<'t>(line: &'t str, name: &str) -> Option<&'t str> {
    let (field, value) = line.split_once(':')?;
    field.eq_ignore_ascii_case(name).then(|| value.trim())
}

impl PackageLicence {
    /// A licence from one field of free text, as apk's list has it.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Choice::parse(text).map(|choice| Self(BTreeSet::from([choice])))
    }

    /// The name of every licence outside SPDX's list.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|choice| &choice.0).filter_map(|name| match name {
            LicenceName::Other(name) => Some(name.as_str()),
            LicenceName::Listed(_) => None,
        })
    }

    /// The whole as an expression of SPDX. `reference` gives the identifier for a name outside the
    /// list.
    #[must_use]
    pub fn expression(&self, reference: &dyn Fn(&str) -> String) -> String {
        let is_one = self.0.len() == 1;
        let choices = self.0.iter().map(|choice| {
            let names: Vec<String> = choice.0.iter().map(|name| name.text(reference)).collect();
            let text = names.join(" OR ");
            if names.len() > 1 && !is_one { format!("({text})") } else { text }
        });
        choices.collect::<Vec<_>>().join(" AND ")
    }
}

impl Choice {
    /// `A`, or `A or B`. A text of more structure stays one name: Debian's `and` and commas bind
    /// otherwise than SPDX's.
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return None;
        }
        let is_plain = |name: &&str| !name.is_empty() && !name.contains([' ', ',', '/']);
        let parts: Vec<&str> = text.split(" or ").flat_map(|part| part.split(" OR ")).collect();
        if !parts.iter().map(|part| part.trim()).all(|part| is_plain(&part)) {
            return Some(Self(vec![LicenceName::parse(text)]));
        }
        let names: BTreeSet<LicenceName> =
            parts.iter().map(|part| LicenceName::parse(part.trim())).collect();
        Some(Self(names.into_iter().collect()))
    }
}

impl LicenceName {
    fn parse(text: &str) -> Self {
        let listed = |name: &str| LISTED.iter().find(|id| id.eq_ignore_ascii_case(name)).copied();
        let lower = text.to_ascii_lowercase();
        let found = match lower.as_str() {
            "expat" => Some("MIT"),
            "gpl" | "lgpl" | "public-domain" | "artistic" => None,
            "boost-1.0" => Some("BSL-1.0"),
            "python-2.0" | "psf-2" => Some("PSF-2.0"),
            "zlib/libpng" => Some("Zlib"),
            "x11" => Some("X11"),
            name => {
                listed(name).or_else(|| SHORT_NAMES.iter().find_map(|row| of_family(name, row)))
            }
        };
        found.map_or_else(|| Self::Other(text.to_owned()), Self::Listed)
    }

    fn text(&self, reference: &dyn Fn(&str) -> String) -> String {
        match self {
            Self::Listed(id) => (*id).to_owned(),
            Self::Other(name) => reference(name),
        }
    }
}

/// `gpl-2+` is `GPL-2.0-or-later`: a family, a version of one or two numbers, `+` for later ones.
fn of_family(name: &str, (family, alone, later): &(&str, &str, &str)) -> Option<&'static str> {
    let rest = name.strip_prefix(family)?.strip_prefix('-')?;
    let (version, form) = match rest.strip_suffix('+') {
        Some(version) => (version, later),
        None => (rest, alone),
    };
    if form.is_empty() || !version.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    let id = form.replace('*', &version);
    LISTED.iter().find(|listed| listed.eq_ignore_ascii_case(&id)).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn of(files: &[&str]) -> Option<String> {
        let mut text = "Format: https://x.example/1.0/\nUpstream-Name: a\n\n".to_owned();
        for licence in files {
            text.push_str("Files: *\nCopyright: someone\nLicense: ");
            text.push_str(licence);
            text.push_str("\n text\n\n");
        }
        let licence = read(text.as_bytes())?;
        Some(licence.expression(&|name| format!("<{name}>")))
    }

    #[test]
    fn debians_short_names_become_those_of_spdx() {
        let rows = [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2.0+", "GPL-2.0-or-later"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("Expat", "MIT"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("Apache-2.0", "Apache-2.0"),
            ("Apache-2", "Apache-2.0"),
            ("ISC", "ISC"),
            ("GFDL-1.3+", "GFDL-1.3-or-later"),
            ("GPL", "<GPL>"),
            ("public-domain", "<public-domain>"),
            ("GPL-9", "<GPL-9>"),
            ("Apache-2.0+", "<Apache-2.0+>"),
            ("GPL-2+ with OpenSSL exception", "<GPL-2+ with OpenSSL exception>"),
            ("GPL-2+ or Artistic-1.0", "Artistic-1.0 OR GPL-2.0-or-later"),
            ("MIT and BSD-3-clause", "<MIT and BSD-3-clause>"),
        ];
        for (debian, spdx) in rows {
            assert_eq!(of(&[debian]).as_deref(), Some(spdx), "{debian}");
        }
    }

    #[test]
    fn every_licence_of_some_files_holds_and_each_is_told_once() {
        let text = of(&["GPL-2+ or MPL-2.0", "Expat", "MIT"]).unwrap();
        assert_eq!(text, "(GPL-2.0-or-later OR MPL-2.0) AND MIT");
    }

    #[test]
    fn prose_and_stanzas_of_texts_say_nothing() {
        assert_eq!(read(b"This package is free.\nLicense: GPL-2\n"), None);
        assert_eq!(read(b"Format: x\n\nLicense: GPL-2+\n text\n"), None);
        assert_eq!(read(b""), None);
        let long = format!("Format: x\n\nFiles: *\nLicense: {}\n", "x".repeat(500));
        assert_eq!(read(long.as_bytes()), None);
    }

    #[test]
    fn every_identifier_of_the_table_is_reached_by_its_own_name() {
        for id in LISTED {
            assert_eq!(of(&[id]).as_deref(), Some(id));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut text = b"Format: x\n\nFiles: *\nLicense: ".to_vec();
            text.extend(bytes);
            if let Some(licence) = read(&text) {
                prop_assert!(licence.0.len() <= NAMES_MAX + 1);
                let _ = licence.expression(&str::to_owned);
            }
        }
    }
}
