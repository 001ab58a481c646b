//! The reference page of bounds names them all, and no removed one.

use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/reference/limits.md");
const OURS: &str = include_str!("../limits.rs");
const OF_THE_CLIENT: &str = include_str!("../../../client/src/limits.rs");
const OF_THE_STORE: &str = include_str!("../../../store/src/limits.rs");

/// Names of constants, with their types.
fn constants(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = code.lines().filter_map(|line| line.strip_prefix("pub const "));
    lines.filter_map(|line| line.split_once(": ")).map(|(name, rest)| {
        let kind = rest.split_once(" =").map_or(rest, |(kind, _)| kind);
        (name, kind)
    })
}

/// Words in backticks with the form of a constant.
fn named(page: &str) -> BTreeSet<&str> {
    let is_constant = |word: &&str| {
        let letters = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(letters)
    };
    page.split('`').skip(1).step_by(2).filter(is_constant).collect()
}

#[test]
fn every_bound_is_on_the_page_about_them() {
    let named = named(PAGE);
    let bounds = constants(OURS).chain(constants(OF_THE_CLIENT));
    let bounds = bounds.filter(|(name, kind)| name.ends_with("_MAX") && *kind != "Duration");
    let missing: Vec<_> =
        bounds.map(|(name, _)| name).filter(|name| !named.contains(name)).collect();
    assert_eq!(missing, [""; 0], "docs/reference/limits.md does not name these");
}

#[test]
fn the_page_names_no_bound_that_is_gone() {
    let known = [OURS, OF_THE_CLIENT, OF_THE_STORE].into_iter().flat_map(constants);
    let known: BTreeSet<_> = known.map(|(name, _)| name).collect();
    let other = "TOOMANYREQUESTS";
    let gone: Vec<_> =
        named(PAGE).into_iter().filter(|n| !known.contains(n) && *n != other).collect();
    assert_eq!(gone, [""; 0], "docs/reference/limits.md names these, and they are gone");
}
