//! Headers of a registry's answers.

use http::{HeaderMap, HeaderValue, header};
use wharf_oci::Digest;

/// A header value from parsed text.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

pub(crate) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// The query of `Link: <...?query>; rel="next"` (RFC 8288), with its question mark.
pub(crate) fn next_query(link: &str) -> Option<String> {
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    let next = parameters.split(';').any(|parameter| {
        let parameter = parameter.trim();
        parameter == "rel=\"next\"" || parameter == "rel=next"
    });
    let (_, query) = target.split_once('?')?;
    next.then(|| format!("?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_read_from_any_form_of_link() {
        let relative = "</v2/a/tags/list?last=b&n=2&orderby=>; rel=\"next\"";
        assert_eq!(next_query(relative).as_deref(), Some("?last=b&n=2&orderby="));
        let absolute = "<https://host/v2/a/tags/list?last=b>; rel=next";
        assert_eq!(next_query(absolute).as_deref(), Some("?last=b"));
        assert_eq!(next_query("</v2/a/tags/list?last=b>; rel=\"prev\""), None);
        assert_eq!(next_query("nonsense"), None);
    }
}
