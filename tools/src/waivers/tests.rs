#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

const FILE: &str = "\
version: 1
waivers:
  - rule: IMG-020
    vulnerability: CVE-2026-1234
    package: libxml2
    plan: lamp
    platform: linux/arm64
    reason: >-
      Only our own files are read with it.
    expires: 2026-12-31
    owner: security@harbourside.dev
  - { rule: IMG-018, path: \"usr/share/**\", reason: Test data., expires: \"2027-01-31\" }
";

fn parse_text(text: &str) -> Result<WaiverFile, WaiversError> {
    WaiverFile::parse(Path::new("waivers.yaml"), text.as_bytes().to_vec())
}

#[test]
fn waivers_are_read_with_the_places_of_their_keys() {
    let file = parse_text(&format!("\u{feff}{FILE}")).unwrap();
    assert_eq!(file.waivers.len(), 2);
    let first = &file.waivers[0];
    assert_eq!(first.reason.as_str(), "Only our own files are read with it.");
    assert_eq!(first.expires.to_string(), "2026-12-31");
    assert!(first.names_image() && first.is_narrow());
    let spot = file.spot("waivers[0].expires");
    assert_eq!((spot.line, spot.column), (10, 14));
    assert_eq!(file.line(spot.line), Some("    expires: 2026-12-31"));
    assert!(file.waivers[1].path.as_ref().unwrap().matches(b"usr/share/a/b"));
}

#[test]
fn what_is_wrong_is_said_with_line_and_column() {
    for (from, to, words) in [
        ("version: 1", "version: 2", ["waivers.yaml:1:10", "version 2"]),
        ("    expires: 2026-12-31\n", "", ["waivers.yaml:10:5", "`expires` is missing"]),
        ("2026-12-31", "2026-13-31", ["waivers.yaml:10:14", "no day"]),
        ("2026-12-31", "tomorrow", ["waivers.yaml:10:14", "no day"]),
        ("2026-12-31", "2026-12-31T00:00:00Z", ["waivers.yaml:10:14", "no day"]),
        ("Only our own files are read with it.", "", ["waivers.yaml:", "a reason is missing"]),
        ("package: libxml2", "packge: libxml2", ["waivers.yaml:5:5", "did you mean `package`?"]),
        ("rule: IMG-018, ", "", ["waivers.yaml:12:", "`rule` is missing"]),
        ("usr/share/**", "/usr", ["waivers.yaml:12:", "pattern"]),
        ("plan: lamp", "digest: sha256:12", ["waivers.yaml:6:", "12"]),
        ("plan: lamp", "plan: &x lamp", ["waivers.yaml:6:", "anchors and aliases"]),
        ("waivers:", "waivers: []\nwaivers:", ["waivers.yaml:3:1", "stands twice"]),
    ] {
        assert!(FILE.contains(from), "{from}");
        let said = parse_text(&FILE.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{to}: {said}");
    }
    assert!(parse_text("").unwrap_err().to_string().contains("the file is empty"));
    assert!(matches!(WaiverFile::parse(Path::new("w"), vec![0xff]), Err(WaiversError::NotUtf8(_))));
    let many = "  - { rule: X, reason: r, expires: 2026-12-31 }\n".repeat(1001);
    let said = parse_text(&format!("version: 1\nwaivers:\n{many}")).unwrap_err().to_string();
    assert!(said.contains("1000 is the most"), "{said}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = parse_text(&text);
    }

    #[test]
    fn a_file_with_any_changed_byte_is_read_or_refused(
        place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = FILE.as_bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = WaiverFile::parse(Path::new("w"), bytes);
    }
}
