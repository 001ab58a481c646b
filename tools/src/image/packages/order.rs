//! The order of two versions. dpkg: deb-version(7). apk: the suffixes and the revision of
//! apk-package(5).

use std::cmp::Ordering;

/// Debian's order: the epoch, then the upstream version, then the revision.
pub(super) fn dpkg(one: &str, other: &str) -> Ordering {
    let (one, other) = (parts(one), parts(other));
    one.0
        .cmp(&other.0)
        .then_with(|| mixed(one.1.as_bytes(), other.1.as_bytes()))
        .then_with(|| mixed(one.2.as_bytes(), other.2.as_bytes()))
}

/// Epoch, upstream version and revision.
fn parts(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// By turns, a stretch without digits by letters and a stretch of digits by value.
fn mixed(mut one: &[u8], mut other: &[u8]) -> Ordering {
    while !(one.is_empty() && other.is_empty()) {
        let (a, b) = (
            leading(one, |byte| !byte.is_ascii_digit()),
            leading(other, |byte| !byte.is_ascii_digit()),
        );
        let letters = (0..a.len().max(b.len()))
            .map(|at| weight(a.get(at)).cmp(&weight(b.get(at))))
            .find(|order| order.is_ne());
        if let Some(order) = letters {
            return order;
        }
        (one, other) = (after(one, a), after(other, b));
        let (a, b) = (
            leading(one, |byte| byte.is_ascii_digit()),
            leading(other, |byte| byte.is_ascii_digit()),
        );
        let order = numbers(a, b);
        if order.is_ne() {
            return order;
        }
        (one, other) = (after(one, a), after(other, b));
    }
    Ordering::Equal
}

/// `~` sorts before the end, letters after it, everything else after letters.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

fn leading(bytes: &[u8], wanted: fn(u8) -> bool) -> &[u8] {
    let end = bytes.iter().position(|byte| !wanted(*byte)).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

fn after<'a>(bytes: &'a [u8], start: &[u8]) -> &'a [u8] {
    bytes.get(start.len()..).unwrap_or_default()
}

/// Digits of any length by value.
fn numbers(one: &[u8], other: &[u8]) -> Ordering {
    let bare = |digits: &[u8]| {
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.get(zeros..).unwrap_or_default().to_vec()
    };
    let (one, other) = (bare(one), bare(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(&other))
}

/// Alpine's order: numbers by value, a letter, suffixes (`_rc` before nothing before `_p`), `-rN`.
pub(super) fn apk(one: &str, other: &str) -> Ordering {
    let split = |version: &str| match version.rsplit_once("-r") {
        Some((version, revision)) => (version.to_owned(), revision.to_owned()),
        None => (version.to_owned(), String::new()),
    };
    let (one, other) = (split(one), split(other));
    apk_version(&one.0, &other.0)
        .then_with(|| numbers(one.1.as_bytes(), other.1.as_bytes()))
        .then_with(|| one.1.cmp(&other.1))
}

fn apk_version(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('_'), other.split('_'));
    let order = mixed(
        one.next().unwrap_or_default().as_bytes(),
        other.next().unwrap_or_default().as_bytes(),
    );
    if order.is_ne() {
        return order;
    }
    loop {
        let (a, b) = (one.next(), other.next());
        if a.is_none() && b.is_none() {
            return Ordering::Equal;
        }
        let order = suffix(a).cmp(&suffix(b)).then_with(|| {
            let digits = |suffix: Option<&str>| {
                let suffix = suffix.unwrap_or_default();
                suffix.trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned()
            };
            numbers(digits(a).as_bytes(), digits(b).as_bytes())
        });
        if order.is_ne() {
            return order;
        }
    }
}

/// Suffixes of pre-releases are less than none.
fn suffix(suffix: Option<&str>) -> i32 {
    let name = suffix.map(|suffix| suffix.trim_end_matches(|c: char| c.is_ascii_digit()));
    match name {
        Some("alpha") => -4,
        Some("beta") => -3,
        Some("pre") => -2,
        Some("rc") => -1,
        None => 0,
        Some("cvs") => 1,
        Some("svn") => 2,
        Some("git") => 3,
        Some("hg") => 4,
        Some("p") => 5,
        Some(_) => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn debian_versions_have_their_order() {
        let rising = [
            "1.0~rc1-1",
            "1.0~rc2-1",
            "1.0",
            "1.0-1",
            "1.0-1+b1",
            "1.0-2",
            "1.0a",
            "1.0+x",
            "1.9",
            "1.10",
            "1:0.1",
            "2:0~",
        ];
        for pair in rising.windows(2) {
            let [one, other] = pair else { continue };
            assert_eq!(dpkg(one, other), Ordering::Less, "{one} {other}");
            assert_eq!(dpkg(other, one), Ordering::Greater, "{other} {one}");
        }
        assert_eq!(dpkg("1.01", "0:1.1-0"), Ordering::Equal);
    }

    #[test]
    fn alpine_versions_have_their_order() {
        let rising = [
            "1.2_alpha",
            "1.2_alpha2",
            "1.2_beta",
            "1.2_rc1",
            "1.2_rc1-r3",
            "1.2",
            "1.2-r9",
            "1.2-r10",
            "1.2_p1",
            "1.2_p2",
            "1.2a",
            "1.2b",
            "1.2.1",
            "1.10",
        ];
        for pair in rising.windows(2) {
            let [one, other] = pair else { continue };
            assert_eq!(apk(one, other), Ordering::Less, "{one} {other}");
            assert_eq!(apk(other, one), Ordering::Greater, "{other} {one}");
        }
    }

    proptest! {
        #[test]
        fn orders_are_orders(one in "[0-9a-c.~+:_r-]{0,8}", other in "[0-9a-c.~+:_r-]{0,8}") {
            for compare in [dpkg, apk] {
                prop_assert_eq!(compare(&one, &one), Ordering::Equal);
                prop_assert_eq!(compare(&one, &other), compare(&other, &one).reverse());
            }
        }
    }
}
