//! Licences that a package's `copyright` names, when it has the machine-readable form (DEP-5, the
//! copyright format 1.0 of Debian Policy).

use std::collections::BTreeSet;

/// Longest copyright file that is read, in bytes; the longest of Debian have a few megabytes, with
/// the same licences over and over.
pub const COPYRIGHT_BYTES_MAX: usize = 1024 * 1024;

/// How many licences of a package are kept; only collections of fonts and models have more than 50.
const LICENCES_MAX: usize = 200;

/// Longest name of a licence; `GPL-2+ with OpenSSL exception` is a long one.
const NAME_BYTES_MAX: usize = 200;

/// The names of the licences, each once, sorted; empty when the file is free text.
#[must_use]
pub fn licences(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut names = BTreeSet::new();
    if !is_machine_readable(&text) {
        return Vec::new();
    }
    for line in text.lines() {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let is_name =
            !value.is_empty() && value.len() <= NAME_BYTES_MAX && !value.contains(char::is_control);
        if field.eq_ignore_ascii_case("License") && is_name && names.len() < LICENCES_MAX {
            names.insert(value.to_owned());
        }
    }
    names.into_iter().collect()
}

/// The first paragraph says which format it is.
fn is_machine_readable(text: &str) -> bool {
    let mut first = text.trim_start().lines().take_while(|line| !line.trim().is_empty());
    first.any(|line| {
        let field = line.split_once(':');
        field.is_some_and(|(field, value)| {
            field.eq_ignore_ascii_case("Format")
                && (value.contains("copyright-format") || value.contains("dep5"))
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_licence_of_the_format_is_named_once() {
        let text = "Format: https://registry.example/doc/copyright-format/1.0/\n\
            Upstream-Name: tidal\n\nFiles: *\nCopyright: Ann\nLicense: MIT\n Text of it\n License: no\n\n\
            Files: debian/*\nlicense: GPL-2+ and MIT\n\nLicense: MIT\n Text\nLicense:\n";
        assert_eq!(licences(text.as_bytes()), ["GPL-2+ and MIT", "MIT"]);
    }

    #[test]
    fn free_text_names_none_and_there_is_a_bound() {
        assert!(licences(b"This is free software.\nLicense: see below\n").is_empty());
        let many: Vec<String> = (0..1000).map(|at| format!("License: L-{at}\n")).collect();
        let many = many.concat();
        let text = format!("Format: copyright-format\n\n{many}License: {}\n", "x".repeat(999));
        assert_eq!(licences(text.as_bytes()).len(), LICENCES_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = [b"Format: copyright-format\n\nLicense: ".as_slice(), &bytes].concat();
            for name in licences(&text) {
                prop_assert!(!name.contains(char::is_control) && !name.is_empty());
            }
        }
    }
}
