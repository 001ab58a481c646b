//! What the rules say of an offer that can be read and is wrong, at its line.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn what_can_be_read_and_is_wrong_is_found_by_the_rules_at_its_line() {
    let long = |count| "x".repeat(count);
    for (from, to, rule, line) in [
        (
            "title: Tidepool Cache".to_owned(),
            format!("title: {}", long(201)),
            "LST-001",
            "title: x",
        ),
        (
            "searchSummary: A cache that says when it is well.".to_owned(),
            format!("searchSummary: cache {}", long(101)),
            "LST-003",
            "searchSummary",
        ),
        (
            "shortDescription: A cache with safe defaults.".to_owned(),
            format!("shortDescription: {}", long(257)),
            "LST-004",
            "shortDescription",
        ),
        ("large: large.png".to_owned(), "large: wide.png".to_owned(), "LST-015", "large: wide.png"),
        (
            "small: small.png".to_owned(),
            "small: medium.png".to_owned(),
            "LST-016",
            "small: medium.png",
        ),
        ("file: screen.png".to_owned(), "file: large.png".to_owned(), "LST-018", "file: large.png"),
        ("id: tidepool\n".to_owned(), "id: Tide.Pool\n".to_owned(), "OFR-001", "id: Tide.Pool"),
        (
            "summary: The server.".to_owned(),
            format!("summary: {}", long(101)),
            "PLN-004",
            "summary: x",
        ),
    ] {
        let (file, content) = Folder::new().load(&OFFER.replacen(&from, &to, 1)).unwrap();
        let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
        let found = judgement
            .findings
            .iter()
            .find(|found| found.rule == rule && found.severity == Severity::Error);
        let found = found
            .unwrap_or_else(|| panic!("{rule} is not found in {to}: {:?}", judgement.findings));
        let at = found.place.line.and_then(|number| file.line(number)).unwrap_or_default();
        assert!(at.contains(line), "{rule} at {at}");
    }
}
