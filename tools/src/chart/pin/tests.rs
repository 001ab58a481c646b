#![allow(clippy::unwrap_used)]
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn web(letter: char) -> Pin {
    Pin {
        name: "web".to_owned(),
        registry: "quayline.azurecr.io".to_owned(),
        image: "live/tide/web".to_owned(),
        digest: digest(letter),
    }
}

const VALUES: &str = "\
# What customers set.\r
global:   # all of it\r
  azure:\r
    images:\r
      probe: {registry: r.azurecr.io, image: p, digest: 'sha256:00'}   # stays\r
      web:\r
        # where it is\r
        image: \"old/web\" # the repository\r
        tag: \"1.0\"\r
        registry: 'old.azurecr.io'\r
        digest:   # not yet\r
size:  4Gi\r
text: |\r
  digest: x\r
";

#[test]
fn only_the_three_values_change_and_quotes_comments_and_ends_stay() {
    let pinned = pin(VALUES, &[web('a')]).unwrap();
    let expected = VALUES
        .replace("\"old/web\"", "\"live/tide/web\"")
        .replace("'old.azurecr.io'", "'quayline.azurecr.io'")
        .replace("digest:   # not yet", &format!("digest: {}   # not yet", digest('a')));
    assert_eq!(pinned, expected);
    assert_eq!(pin(&pinned, &[web('a')]).unwrap(), pinned);
    let again = pin(&pinned, &[web('b')]).unwrap();
    assert_eq!(again, expected.replace(&digest('a'), &digest('b')));
}

#[test]
fn braces_quotes_and_byte_order_marks_are_kept() {
    let text = "\u{feff}global: {azure: {images: {web: {registry: \"r\", image: 'w', digest: \"\"}, x: 1}}}\n";
    let pinned = pin(text, &[web('c')]).unwrap();
    let expected = text
        .replace("\"r\"", "\"quayline.azurecr.io\"")
        .replace("'w'", "'live/tide/web'")
        .replace("digest: \"\"", &format!("digest: \"{}\"", digest('c')));
    assert_eq!(pinned, expected);
}

#[test]
fn a_missing_digest_is_added_to_its_image() {
    let text = "global:\n  azure:\n    images:\n      web:\n        registry: r\n        image: w\n        tag: \"1\"\n";
    let pinned = pin(text, &[web('d')]).unwrap();
    assert!(pinned.contains(&format!("        digest: {}\n", digest('d'))), "{pinned}");
}

#[test]
fn what_is_shared_missing_or_a_block_is_refused_with_its_line() {
    let within = |images: &str| {
        format!("r: &reg r.io\nbase: &base {{a: 1}}\nglobal:\n  azure:\n    images:\n{images}")
    };
    for (images, line) in [
        ("      web:\n        registry: *reg\n        image: w\n        digest: d\n", "line 7"),
        ("      web:\n        registry: &x r\n        image: w\n        digest: d\n", "line 7"),
        ("      web: *base\n", "line 6"),
        ("      web:\n        <<: *base\n        registry: r\n", "line 7"),
        ("      web:\n        registry: |\n          r\n        image: w\n", "line 8"),
    ] {
        let error = pin(&within(images), &[web('a')]).unwrap_err().to_string();
        assert!(error.contains(line), "{images}: {error}");
    }
    let error = pin("global: {}\n", &[web('a')]).unwrap_err();
    assert_eq!(error, PinError::Missing("web".to_owned()));
    assert!(matches!(pin("a: [\n", &[web('a')]), Err(PinError::NotYaml { .. })));
    assert!(matches!(pin("", &[web('a')]), Err(PinError::Missing(_))));
}

/// A scalar in any spelling.
fn written() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("null".to_owned()),
        "[a-z][a-z0-9./-]{0,12}",
        "'[a-z0-9 ./-]{0,12}'",
        "\"[a-z0-9 ./-]{0,12}\"",
    ]
}

fn blanks() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "( # [a-zü:]{0,8})", Just("  ".to_owned())]
}

proptest! {
    #[test]
    fn before_and_after_are_the_same_but_for_the_three_values(
        scalars in proptest::collection::vec(written(), 5),
        notes in proptest::collection::vec(blanks(), 5),
        order in Just(["registry", "image", "digest", "tag"]).prop_shuffle(),
        is_flow: bool,
        is_windows: bool,
        depth in 2usize..5,
    ) {
        let indent = " ".repeat(depth);
        let mut text = format!("top: {}{}\nglobal:\n{indent}azure:\n{indent}{indent}images:\n", scalars[4], notes[4]);
        let deep = indent.repeat(3);
        if is_flow {
            let entries: Vec<String> = order.iter().zip(&scalars).map(|(key, scalar)| format!("{key}: {scalar}")).collect();
            writeln!(text, "{deep}web: {{ {} }}{}", entries.join(", "), notes[0]).unwrap();
        } else {
            writeln!(text, "{deep}web:").unwrap();
            for ((key, scalar), note) in order.iter().zip(&scalars).zip(&notes) {
                writeln!(text, "{deep}{indent}{key}: {scalar}{note}").unwrap();
            }
        }
        write!(text, "{deep}other: {{digest: x}}\nend: 1\n").unwrap();
        if is_windows {
            text = text.replace('\n', "\r\n");
        }
        let pinned = pin(&text, &[web('e')]).unwrap();
        let mut expected: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let web_values = &mut expected["global"]["azure"]["images"]["web"];
        web_values["registry"] = "quayline.azurecr.io".into();
        web_values["image"] = "live/tide/web".into();
        web_values["digest"] = digest('e').into();
        let found: serde_json::Value = serde_saphyr::from_str(&pinned).unwrap();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(pin(&pinned, &[web('e')]).unwrap(), pinned.clone());
        prop_assert_eq!(pinned.lines().count(), text.lines().count());
        prop_assert_eq!(pinned.matches('#').count(), text.matches('#').count());
        prop_assert_eq!(pinned.matches('\r').count(), text.matches('\r').count());
    }
}

#[test]
fn an_image_that_is_empty_or_stands_twice_is_told_as_what_it_is() {
    let within = |images: &str| format!("global:\n  azure:\n    images:\n{images}size: 1\n");
    for (images, wanted) in [
        ("      web:\n", "line 4: `global.azure.images.web` is empty; write `registry`"),
        ("      web: null\n", "line 4: `global.azure.images.web` is empty; write `registry`"),
        ("      web: r/w:1\n", "line 4: `global.azure.images.web` is a text; write"),
        ("      web: [r]\n", "line 4: `global.azure.images.web` is a list; write"),
        (
            "      web:\n        image: w\n        registry: r\n        image: w\n",
            "line 7: the key `image` stands twice",
        ),
    ] {
        let said = pin(&within(images), &[web('a')]).unwrap_err().to_string();
        assert!(said.starts_with(wanted), "{said}");
    }
}
