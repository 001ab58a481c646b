//! Patterns of file names in Go's form (`filepath.Match`), for Helm's ignored files.

/// Whether a whole name fits a pattern: `*` and `?` stop at `/`, `[a-z]` is a class, `\` takes the
/// next letter as it is. An unclosed pattern fits nothing.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    fits_from(&pattern, &name)
}

/// With one place to come back to, so no pattern takes more than the product of both lengths.
fn fits_from(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(at), name.get(of)) {
            (Some('*'), _) => {
                star = Some((at + 1, of));
                at += 1;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some(letter)) => one(pattern.get(at..).unwrap_or_default(), *letter),
            _ => None,
        };
        if let Some(length) = step {
            (at, of) = (at + length, of + 1);
            continue;
        }
        match star {
            Some((after, from)) if name.get(from).is_some_and(|letter| *letter != '/') => {
                star = Some((after, from + 1));
                (at, of) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// How much of the pattern takes this letter, when it does.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern {
        ['?', ..] => (letter != '/').then_some(1),
        ['\\', exact, ..] => (*exact == letter).then_some(2),
        ['[', rest @ ..] => class(rest, letter).map(|length| length + 1),
        [exact, ..] => (*exact == letter).then_some(1),
        [] => None,
    }
}

/// The same of a class, behind its bracket.
fn class(pattern: &[char], letter: char) -> Option<usize> {
    let is_negated = matches!(pattern.first(), Some('^'));
    let start = usize::from(is_negated);
    let end = pattern.iter().skip(start + 1).position(|at| *at == ']')? + start + 1;
    let mut members = pattern.get(start..end)?;
    let mut is_in = false;
    loop {
        members = match members {
            [low, '-', high, rest @ ..] => {
                is_in |= (*low..=*high).contains(&letter);
                rest
            }
            [only, rest @ ..] => {
                is_in |= *only == letter;
                rest
            }
            [] => break,
        };
    }
    (is_in != is_negated && letter != '/').then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_go_has_it() {
        for (pattern, name) in [
            ("*.bak", "a.bak"),
            ("a*c*e", "abcde"),
            ("[a-c]?", "bz"),
            ("[^a]x", "bx"),
            ("\\*", "*"),
            ("*", ""),
            ("x/*/z", "x/y/z"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.bak", "a/b.bak"),
            ("?", "/"),
            ("[a-c]", "d"),
            ("[^a]", "a"),
            ("[a", "a"),
            ("a", "ab"),
            ("x/*", "x/y/z"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_end_soon() {
        assert!(!fits(&"a*".repeat(200), &"a".repeat(2_000).replacen('a', "b", 1)));
    }
}
