//! Tag lists and the catalog in pages, independent of the backing registry's pages.
//!
//! The whole list is read from the backing registry, within a bound, and cut into pages here.

use http::header::LINK;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::backing::{Backing, local_target};
use super::locks::Target;
use super::refusal::{Refusal, json_response, with_header};
use super::route::Query;
use super::shared::Shared;
use wharf_testkit::http::{Body, full};

/// Names read of one list.
const NAMES_MAX: usize = 100_000;
/// The largest page from the backing registry, in bytes.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most names in one page of the catalog, also for a larger `n`.
const CATALOG_PAGE_MAX: usize = 1000;

/// The tags of a repository: `page_size` at most in one page.
pub(crate) async fn tags(
    shared: &Shared,
    name: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let path = format!("/v2/{name}/tags/list");
    let mut tags = match whole_list(&shared.backing, &path, "tags").await? {
        Ok(tags) => tags,
        Err(answer) => return Ok(answer),
    };
    tags.retain(|tag| shared.locks.is_listed(name, &Target::Tag(tag.clone())));
    let page_size = shared.habits.page_size;
    let page = Page::cut(tags, query, page_size, page_size)?;
    Ok(page.into_response(&path, |names| json!({ "name": name, "tags": names })))
}

/// The names of all repositories under the request's prefix.
pub(crate) async fn catalog(
    shared: &Shared,
    path: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let listed = whole_list(&shared.backing, "/v2/_catalog", "repositories").await?;
    let mut repositories = match listed {
        Ok(repositories) => repositories,
        Err(answer) => return Ok(answer),
    };
    repositories.retain(|name| shared.locks.is_listed(name, &Target::Repository));
    let page_size = shared.habits.page_size;
    let page = Page::cut(repositories, query, page_size, CATALOG_PAGE_MAX.max(page_size))?;
    Ok(page.into_response(path, |names| json!({ "repositories": names })))
}

/// All names under `key`, sorted; or the backing registry's own answer when it is not 200.
pub(crate) async fn whole_list(
    backing: &Backing,
    path: &str,
    key: &str,
) -> Result<Result<Vec<String>, Response<Body>>, Refusal> {
    let mut names = Vec::new();
    let mut target = format!("{path}?n={CATALOG_PAGE_MAX}");
    loop {
        let (parts, body) = backing.read(&target, PAGE_BYTES_MAX).await?;
        if parts.status != StatusCode::OK {
            return Ok(Err(Response::from_parts(parts, full(body))));
        }
        let list: Value = serde_json::from_slice(&body)
            .map_err(|error| Refusal::BackingFailed(format!("{target} is not JSON: {error}")))?;
        let page = list.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        names.extend(page.iter().filter_map(Value::as_str).map(str::to_owned));
        if names.len() > NAMES_MAX {
            return Err(Refusal::BackingFailed(format!("{path} has more than {NAMES_MAX} names")));
        }
        match next_target(&parts.headers) {
            Some(next) if !page.is_empty() => target = next,
            _ => break,
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(Ok(names))
}

fn next_target(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (address, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("rel=\"next\"").then(|| local_target(address)).flatten()
}

#[derive(Debug, PartialEq, Eq)]
struct Page {
    names: Vec<String>,
    /// The query of the next page, when there is one.
    next: Option<String>,
}

impl Page {
    fn cut(names: Vec<String>, query: &Query, size: usize, max: usize) -> Result<Self, Refusal> {
        let size = match query.first("n") {
            None => size,
            Some(text) => text.parse::<usize>().map_err(|_| Refusal::PageInvalid)?.min(max),
        };
        let after = query.first("last").unwrap_or_default();
        let mut rest = names.into_iter().filter(|name| *name > after);
        let names: Vec<String> = rest.by_ref().take(size).collect();
        let next = names.last().filter(|_| rest.next().is_some()).map(|last| {
            form_urlencoded::Serializer::new(String::new())
                .append_pair("last", last)
                .append_pair("n", &size.to_string())
                .append_pair("orderby", &query.first("orderby").unwrap_or_default())
                .finish()
        });
        Ok(Self { names, next })
    }

    fn into_response(self, path: &str, wrap: impl FnOnce(Vec<String>) -> Value) -> Response<Body> {
        let answer = json_response(StatusCode::OK, &wrap(self.names));
        match self.next {
            Some(next) => with_header(answer, LINK, &format!("<{path}?{next}>; rel=\"next\"")),
            None => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("v{number:03}")).collect()
    }

    fn cut(count: usize, query: &str) -> Page {
        Page::cut(names(count), &Query::parse(query.as_bytes()), 100, 100).unwrap()
    }

    #[test]
    fn pages_follow_each_other_until_no_next_is_named() {
        let first = cut(250, "");
        assert_eq!(first.names, names(250)[..100]);
        assert_eq!(first.next.as_deref(), Some("last=v099&n=100&orderby="));
        let last = cut(250, "last=v199&n=100");
        assert_eq!(last.names, names(250)[200..]);
        assert_eq!(last.next, None);
    }

    #[test]
    fn a_page_is_never_larger_than_the_limit_and_a_full_last_page_has_no_next() {
        assert_eq!(cut(250, "n=1000").names.len(), 100);
        assert_eq!(cut(250, "n=7").names.len(), 7);
        assert_eq!(cut(100, "").next, None);
        assert_eq!(cut(0, ""), Page { names: Vec::new(), next: None });
        assert_eq!(cut(10, "n=0"), Page { names: Vec::new(), next: None });
    }

    #[test]
    fn a_page_size_that_is_no_number_is_refused() {
        for query in ["n=", "n=-1", "n=x"] {
            let cut = Page::cut(names(3), &Query::parse(query.as_bytes()), 100, 100);
            assert_eq!(cut, Err(Refusal::PageInvalid), "{query}");
        }
    }
}
