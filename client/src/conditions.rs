//! Conditions on a manifest's PUT (`If-Match`, `If-None-Match`; RFC 9110 §13.1): parsed from the
//! client's request, evaluated, and sent to the registry.
//!
//! Invariant: an unparsable condition is refused, never left out.

use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use wharf_oci::Digest;

use crate::limits::ENTITY_TAGS_MAX;
use crate::transport::RetryEffort;

/// A condition that cannot be read, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedCondition(pub &'static str);

/// The conditions of one request; mostly none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The current manifest must be one of these.
    wanted: Option<Tags>,
    /// The current manifest must be none of these.
    unwanted: Option<Tags>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    /// `*`: any manifest.
    Any,
    These(Vec<EntityTag>),
}

/// An entity tag; ours are digests.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EntityTag {
    is_weak: bool,
    opaque: String,
}

impl Conditions {
    /// The conditions of a request. Clients write digests with and without quotation marks.
    pub fn of(headers: &HeaderMap) -> Result<Self, MalformedCondition> {
        let wanted = read(headers, &IF_MATCH, "`If-Match` is malformed")?;
        let unwanted = read(headers, &IF_NONE_MATCH, "`If-None-Match` is malformed")?;
        Ok(Self { wanted, unwanted })
    }

    /// Whether the request has no condition.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.wanted.is_none() && self.unwanted.is_none()
    }

    /// Whether the conditions hold for the current manifest; `None` is a missing one.
    #[must_use]
    pub fn hold(&self, there: Option<&Digest>) -> bool {
        let text = there.map(ToString::to_string);
        // Strong comparison for the one, weak for the other (RFC 9110 §8.8.3.2).
        let is_one = self.wanted.as_ref().is_none_or(|tags| tags.name(text.as_deref(), false));
        is_one && !self.unwanted.as_ref().is_some_and(|tags| tags.name(text.as_deref(), true))
    }

    /// A conditional PUT cannot be repeated: the first may have succeeded, and then its condition
    /// does not hold any more.
    pub(crate) const fn effort(&self) -> RetryEffort {
        if self.is_empty() { RetryEffort::Long } else { RetryEffort::Once }
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, tags) in [(IF_MATCH, &self.wanted), (IF_NONE_MATCH, &self.unwanted)] {
            let text = tags.as_ref().map(Tags::render);
            let value = text.and_then(|text| HeaderValue::from_str(&text).ok());
            headers.extend(value.map(|value| (name, value)));
        }
    }
}

impl Tags {
    fn name(&self, there: Option<&str>, weakly: bool) -> bool {
        match (self, there) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::These(tags), Some(there)) => {
                tags.iter().any(|tag| tag.opaque == there && (weakly || !tag.is_weak))
            }
        }
    }

    fn render(&self) -> String {
        let one = |EntityTag { is_weak, opaque }: &EntityTag| {
            format!("{}\"{opaque}\"", if *is_weak { "W/" } else { "" })
        };
        match self {
            Self::Any => "*".to_owned(),
            Self::These(tags) => tags.iter().map(one).collect::<Vec<_>>().join(", "),
        }
    }
}

/// All lines of a header as one list.
fn read(
    headers: &HeaderMap,
    name: &HeaderName,
    malformed: &'static str,
) -> Result<Option<Tags>, MalformedCondition> {
    let (mut tags, mut is_there, mut is_any) = (Vec::new(), false, false);
    for line in headers.get_all(name) {
        let mut rest = line.to_str().map_err(|_| MalformedCondition(malformed))?;
        is_there = true;
        loop {
            rest = rest.trim_start_matches([',', ' ', '\t']);
            if rest.is_empty() {
                break;
            }
            let (tag, after) = first(rest).ok_or(MalformedCondition(malformed))?;
            rest = after;
            is_any |= tag == EntityTag { is_weak: false, opaque: "*".to_owned() };
            tags.push(tag);
            if tags.len() > ENTITY_TAGS_MAX {
                return Err(MalformedCondition("too many entity tags"));
            }
        }
    }
    Ok(is_there.then_some(if is_any { Tags::Any } else { Tags::These(tags) }))
}

/// The first entity tag of a list, and the rest of the list; `None` when it is malformed.
fn first(list: &str) -> Option<(EntityTag, &str)> {
    let (is_weak, tag) = list.strip_prefix("W/").map_or((false, list), |tag| (true, tag));
    let (opaque, rest) = match tag.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => tag.split_at(tag.find(',').unwrap_or(tag.len())),
    };
    let (opaque, rest) = (opaque.trim_end(), rest.trim_start());
    let is_opaque = opaque.bytes().all(|c| (0x21..=0x7e).contains(&c) && c != b'"');
    let is_ended = rest.is_empty() || rest.starts_with(',');
    (is_opaque && is_ended).then(|| (EntityTag { is_weak, opaque: opaque.to_owned() }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wharf_oci::{Algorithm, Digester};

    fn digest(content: &[u8]) -> Digest {
        Digester::digest(Algorithm::Sha256, content)
    }

    fn conditions(lines: &[(HeaderName, &str)]) -> Result<Conditions, MalformedCondition> {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(name, line.parse().unwrap());
        }
        Conditions::of(&headers)
    }

    #[test]
    fn conditions_hold_as_the_standard_says() {
        let (here, other) = (digest(b"here"), digest(b"other"));
        let list = format!("\"{other}\", \"{here}\"");
        let [weak, bare] = [format!("W/\"{here}\""), here.to_string()];
        let two = format!("{other} , {here}");
        // The condition, and whether it holds for: this manifest, another one, none.
        for (name, line, holds) in [
            (IF_MATCH, "*", [true, true, false]),
            (IF_MATCH, &*list, [true, true, false]),
            (IF_MATCH, &*two, [true, true, false]),
            (IF_MATCH, &*bare, [true, false, false]),
            (IF_MATCH, &*weak, [false, false, false]),
            (IF_MATCH, "\"abc\"", [false, false, false]),
            (IF_MATCH, "", [false, false, false]),
            (IF_NONE_MATCH, "*", [false, false, true]),
            (IF_NONE_MATCH, &*list, [false, false, true]),
            (IF_NONE_MATCH, &*bare, [false, true, true]),
            (IF_NONE_MATCH, &*weak, [false, true, true]),
            (IF_NONE_MATCH, "\"abc\"", [true, true, true]),
        ] {
            let conditions = conditions(&[(name.clone(), line)]).unwrap();
            assert!(!conditions.is_empty());
            let seen = [Some(&here), Some(&other), None].map(|there| conditions.hold(there));
            assert_eq!(seen, holds, "{name}: {line}");
        }
        let none = Conditions::default();
        assert!(none.is_empty() && none.hold(None) && none.hold(Some(&here)));
        let both = conditions(&[(IF_MATCH, "*"), (IF_NONE_MATCH, &*bare)]).unwrap();
        assert!(!both.hold(Some(&here)) && both.hold(Some(&other)) && !both.hold(None));
        let lines = conditions(&[(IF_MATCH, "\"abc\""), (IF_MATCH, &*bare)]).unwrap();
        assert!(lines.hold(Some(&here)));
    }

    #[test]
    fn what_is_passed_on_says_the_same() {
        let here = digest(b"here");
        let weak = format!("W/\"abc\",{here},\"a,b\"");
        let read = conditions(&[(IF_MATCH, "*"), (IF_NONE_MATCH, &*weak)]).unwrap();
        let mut headers = HeaderMap::new();
        read.write(&mut headers);
        assert_eq!(headers[IF_MATCH], "*");
        assert_eq!(headers[IF_NONE_MATCH], format!("W/\"abc\", \"{here}\", \"a,b\""));
        assert_eq!(Conditions::of(&headers).unwrap(), read);
        let mut none = HeaderMap::new();
        Conditions::default().write(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn what_is_malformed_or_endless_is_refused() {
        let many = vec!["\"a\""; ENTITY_TAGS_MAX + 1].join(",");
        for line in ["\"abc", "\"a b\"", "\"a\"b", "a b", "W/\"a\" \"b\"", &*many] {
            let read = conditions(&[(IF_NONE_MATCH, line)]);
            assert!(matches!(read, Err(MalformedCondition(_))), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_refused_or_passed_on_as_it_was_read(line in "[ -~]{0,60}") {
            if let Ok(read) = conditions(&[(IF_MATCH, &line)]) {
                let mut headers = HeaderMap::new();
                read.write(&mut headers);
                prop_assert_eq!(Conditions::of(&headers).unwrap(), read);
            }
        }
    }
}
