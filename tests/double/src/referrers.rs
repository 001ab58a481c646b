//! A referrers API before a backing registry without one: the double keeps the subject of every
//! pushed manifest.
//!
//! Only pushes through the double are known.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderName, Response, StatusCode};
use serde_json::{Value, json};

use super::refusal::{json_response, with_header};
use super::route::Query;
use wharf_testkit::http::Body;

pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Referrers kept at once; those beyond are not listed.
const REFERRERS_MAX: usize = 65_536;

/// A repository and the subject's digest.
type Subject = (String, String);

/// The descriptors of all referrers. Written by pushes and deletions.
#[derive(Debug, Default)]
pub(crate) struct Referring {
    lists: Mutex<HashMap<Subject, Vec<Value>>>,
}

impl Referring {
    /// Keeps the subject of a pushed manifest; returns the subject's digest.
    pub(crate) fn pushed(&self, name: &str, digest: &str, manifest: &[u8]) -> Option<String> {
        let size = manifest.len();
        let manifest: Value = serde_json::from_slice(manifest).ok()?;
        let subject = manifest.pointer("/subject/digest")?.as_str()?.to_owned();
        let kind = manifest.get("artifactType").or_else(|| manifest.pointer("/config/mediaType"));
        let mut descriptor = json!({
            "mediaType": manifest.get("mediaType"),
            "digest": digest,
            "size": size,
            "artifactType": kind,
            "annotations": manifest.get("annotations"),
        });
        if let Some(fields) = descriptor.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        self.with(|lists| {
            let kept: usize = lists.values().map(Vec::len).sum();
            let list = lists.entry((name.to_owned(), subject.clone())).or_default();
            list.retain(|known| known["digest"] != digest);
            if kept < REFERRERS_MAX {
                list.push(descriptor);
            }
        });
        Some(subject)
    }

    pub(crate) fn deleted(&self, name: &str, digest: &str) {
        self.with(|lists| {
            let lists = lists.iter_mut().filter(|((repository, _), _)| repository == name);
            lists.for_each(|(_, list)| list.retain(|known| known["digest"] != digest));
        });
    }

    /// The list of a digest, of one kind when asked so.
    pub(crate) fn list(&self, name: &str, digest: &str, query: &Query) -> Response<Body> {
        let subject = (name.to_owned(), digest.to_owned());
        let mut list = self.with(|lists| lists.get(&subject).cloned().unwrap_or_default());
        let wanted = query.first("artifactType");
        if let Some(wanted) = &wanted {
            list.retain(|known| known["artifactType"] == wanted.as_str());
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": list });
        let answer = json_response(StatusCode::OK, &index);
        let answer = with_header(answer, http::header::CONTENT_TYPE, INDEX);
        match wanted {
            Some(_) => with_header(answer, FILTERS, "artifactType"),
            None => answer,
        }
    }

    /// Nothing panics half-way through a list, so a poisoned lock still guards whole ones.
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Subject, Vec<Value>>) -> T) -> T {
        act(&mut self.lists.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
