//! Manifest types in the `Accept` header to a registry (RFC 9110 §12.5.1): the known types in our
//! order, then the other types that the requesting client accepts.
//!
//! Invariant: our types always go along and come first. A registry that converts unaccepted types
//! then sends the stored manifest, so its answer is right for every later client of the same name.
//! If a registry selects a type named by one client alone, the answer is used for that client only.

use std::sync::Arc;

use http::{HeaderMap, header};
use wharf_oci::MediaType;

use crate::headers::value;
use crate::limits::ACCEPT_TYPES_MAX;

/// Accepted types beside the known ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Accept(Arc<[MediaType]>);

impl Accept {
    /// The client's accepted types beside the known ones. Ranges (`*/*`) are not types.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(','));
        let types =
            ranges.filter(|range| !is_refused(range)).filter_map(|range| range.parse().ok());
        let types: Vec<MediaType> =
            types.filter(|media_type| !is_known(media_type)).take(ACCEPT_TYPES_MAX).collect();
        Self::sorted(types)
    }

    /// Adds the type of the stored manifest: a request with its type shows whether the registry
    /// still has it.
    #[must_use]
    pub fn with(&self, media_type: &MediaType) -> Self {
        if is_known(media_type) || self.0.contains(media_type) {
            return self.clone();
        }
        Self::sorted(self.0.iter().chain([media_type]).cloned().collect())
    }

    /// Whether a type was accepted only because a client named it.
    #[must_use]
    pub fn names(&self, media_type: &MediaType) -> bool {
        self.0.contains(media_type)
    }

    /// Sorted, so that two clients with the same types share one request.
    fn sorted(mut types: Vec<MediaType>) -> Self {
        types.sort();
        types.dedup();
        Self(types.into())
    }

    /// Writes the header.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let known = MediaType::MANIFESTS.iter().chain(&UNREAD).chain(&*self.0);
        // Last `*/*`, for types neither known nor named.
        for text in known.map(MediaType::as_str).chain(["*/*"]) {
            headers.append(header::ACCEPT, value(text));
        }
    }
}

/// Known types that are passed on without parsing.
const UNREAD: [MediaType; 2] = [MediaType::DOCKER_SCHEMA_1_SIGNED, MediaType::DOCKER_SCHEMA_1];

fn is_known(media_type: &MediaType) -> bool {
    media_type.is_manifest() || UNREAD.contains(media_type)
}

/// Whether a range is marked as not acceptable (`;q=0`).
fn is_refused(range: &str) -> bool {
    range.split(';').skip(1).any(|parameter| {
        let weight = parameter.trim().strip_prefix(['q', 'Q']).map(str::trim_start);
        let weight = weight.and_then(|rest| rest.strip_prefix('=')?.trim().parse::<f32>().ok());
        weight.is_some_and(|weight| weight <= 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        headers
    }

    fn written(accept: &Accept) -> Vec<String> {
        let mut headers = HeaderMap::new();
        accept.write(&mut headers);
        let values = headers.get_all(header::ACCEPT).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_a_client_accepts_goes_after_what_is_known_and_makes_one_question() {
        let usual = written(&Accept::default());
        assert_eq!(usual.first().map(String::as_str), Some(MediaType::OCI_INDEX.as_str()));
        assert_eq!(usual.last().map(String::as_str), Some("*/*"));
        let one = Accept::of(&headers(&[
            "application/vnd.oci.image.index.v1+json, application/vnd.example.b.v1+json;q=0.5",
            "*/*, application/vnd.example.a.v1+json",
        ]));
        let types = written(&one);
        assert_eq!(types.len(), usual.len() + 2);
        let more = ["application/vnd.example.a.v1+json", "application/vnd.example.b.v1+json"];
        assert_eq!(types[usual.len() - 1..types.len() - 1], more);
        let other = Accept::of(&headers(&[more[1], more[0], more[1]]));
        assert_eq!(one, other);
        assert_ne!(one, Accept::default());
    }

    #[test]
    fn what_is_known_malformed_or_refused_adds_nothing_and_all_is_bounded() {
        let known =
            MediaType::MANIFESTS.iter().map(MediaType::as_str).collect::<Vec<_>>().join(",");
        for line in [
            known.as_str(),
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "*/*, application/*",
            "",
            ",,;q=1",
            "nonsense",
            "application/x;q=0",
            "application/x ; Q = 0.000",
        ] {
            assert_eq!(Accept::of(&headers(&[line])), Accept::default(), "{line}");
        }
        let many: Vec<String> = (0..100).map(|n| format!("application/x{n}")).collect();
        let many = Accept::of(&headers(&[&many.join(", ")]));
        assert_eq!(many.0.len(), ACCEPT_TYPES_MAX);
    }

    #[test]
    fn the_type_of_what_is_here_is_asked_for_too() {
        let accept = Accept::default();
        assert_eq!(accept.with(&MediaType::OCI_MANIFEST), accept);
        let custom = "application/vnd.example.thing.v1+json".parse().unwrap();
        let both = accept.with(&custom);
        assert!(written(&both).contains(&custom.to_string()));
        assert_eq!(both.with(&custom), both);
    }
}
