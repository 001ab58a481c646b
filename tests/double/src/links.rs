//! Links to blobs at the storage: signed, and good for a while.

use std::time::Duration;

use http::header::LOCATION;
use http::{Response, StatusCode};

use super::refusal::with_header;
use super::route::Query;
use super::signing::{Signer, unix_now};
use wharf_testkit::http::{Body, empty};

/// Makes and checks links to blobs.
#[derive(Debug)]
pub(crate) struct Links {
    signer: Signer,
    life: Duration,
}

impl Links {
    pub(crate) fn new(signer: Signer, life: Duration) -> Self {
        Self { signer, life }
    }

    /// When a link made at this moment expires.
    pub(crate) fn expiry(&self) -> u64 {
        unix_now() + self.life.as_secs()
    }

    /// A path and query with access to this blob until `expiry`. Each one is different.
    pub(crate) fn make(&self, name: &str, digest: &str, expiry: u64) -> String {
        let expiry = expiry.to_string();
        let serial = self.signer.next_serial().to_string();
        let signature = self.signer.sign(&signed_text(name, digest, &expiry, &serial));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("se", expiry.as_str()), ("sig", &signature), ("sp", "r")])
            .extend_pairs([("sr", "b"), ("regid", &serial), ("repo", name)])
            .finish();
        format!("/blobs/{digest}/data?{query}")
    }

    pub(crate) fn expire_all(&self) {
        self.signer.expire_all();
    }

    /// The repository of a valid link.
    pub(crate) fn check(&self, digest: &str, query: &Query) -> Option<String> {
        let field = |name| query.first(name);
        let (name, expiry, serial) = (field("repo")?, field("se")?, field("regid")?);
        let text = signed_text(&name, digest, &expiry, &serial);
        let good = self.signer.is_signature(&text, &field("sig")?)
            && unix_now() < expiry.parse().ok()?
            && self.signer.honours(serial.parse().ok()?);
        good.then_some(name)
    }

    /// The facade's response to a GET or HEAD of an existing blob.
    pub(crate) fn redirect(
        &self,
        base: &str,
        name: &str,
        digest: &str,
        expiry: u64,
    ) -> Response<Body> {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        let location = format!("http://{base}{}", self.make(name, digest, expiry));
        with_header(response, LOCATION, &location)
    }
}

fn signed_text(name: &str, digest: &str, expiry: &str, serial: &str) -> String {
    format!("{name}\n{digest}\n{expiry}\n{serial}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn check(links: &Links, link: &str, digest: &str) -> Option<String> {
        let (_, query) = link.split_once('?').unwrap();
        links.check(digest, &Query::parse(query.as_bytes()))
    }

    #[test]
    fn a_link_opens_its_blob_only_until_it_expires() {
        let links = Links::new(Signer::new().unwrap(), Duration::from_mins(1));
        let link = links.make("acme/web", "sha256:ab", links.expiry());
        assert_eq!(check(&links, &link, "sha256:ab").as_deref(), Some("acme/web"));
        assert_eq!(check(&links, &link, "sha256:cd"), None);
        assert_eq!(check(&links, &link.replace("acme%2Fweb", "other"), "sha256:ab"), None);
        links.expire_all();
        assert_eq!(check(&links, &link, "sha256:ab"), None);
    }

    #[test]
    fn a_link_without_life_left_opens_nothing() {
        let links = Links::new(Signer::new().unwrap(), Duration::ZERO);
        assert_eq!(check(&links, &links.make("a", "sha256:ab", links.expiry()), "sha256:ab"), None);
    }
}
