#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::marketplace::diff::How;

fn change(key: &str, refused: Option<&'static str>) -> Change {
    let (before, after) = (Some(json!("one | `two`")), Some(json!("x".repeat(500))));
    let plan = Some("server".to_owned());
    Change { plan, key: key.to_owned(), how: How::Changed, before, after, refused }
}

#[test]
fn only_what_is_allowed_is_expected() {
    let changes = [change("listing[en-us].title", None), change("plan[server].alias", None)];
    let unexpected = |globs: &[&str]| {
        let globs: Vec<Regex> = globs.iter().map(|glob| matcher(glob).unwrap()).collect();
        unexpected(&changes, &globs)
    };
    assert!(unexpected(&[]).is_empty());
    assert!(unexpected(&["*"]).is_empty());
    assert_eq!(unexpected(&["listing*"]), ["plan[server].alias"]);
    assert_eq!(unexpected(&["listing[en-us].title"]), ["plan[server].alias"]);
    assert_eq!(unexpected(&["listing"]).len(), 2);
    assert!(unexpected(&["listing[*].title", "*.alias"]).is_empty());
}

#[test]
fn both_values_are_shown_and_no_text_breaks_a_table() {
    let changes = vec![change("a", Some("it is frozen")), change("b", None)];
    let diff = TreeDiff { target: "live", changes, untouched: vec!["reseller".to_owned()] };
    let plain = text::plain(&diff, &["b".to_owned()], Paint::PLAIN);
    for words in [
        "plan server\n",
        "  changed a\n    - one | `two`\n    + xxx",
        "x…\n",
        "    refused: it is frozen\n",
        "not allowed by --allow",
        "2 changes against what is in live, 1 refused, 1 not allowed",
        "they stay as they are: reseller",
    ] {
        assert!(plain.contains(words), "{words}: {plain}");
    }
    let markdown = text::markdown(&diff, &[]);
    let row = markdown.lines().find(|line| line.contains("`a`")).unwrap();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 7, "{row}");
    assert!(row.contains("**refused**: it is frozen"));
}
