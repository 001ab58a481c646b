//! Faults in heads: in the head of a response, and in the head of the request to the backing
//! registry.

use http::header::{
    CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RANGE,
};
use http::{HeaderMap, Response};

use super::fault::Fault;
use wharf_testkit::http::Body;

pub(crate) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A digest without content.
const NO_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Changes an answer's head as the fault says.
pub(crate) fn lie(mut response: Response<Body>, fault: Fault) -> Response<Body> {
    let headers = response.headers_mut();
    let mut say = |name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    match fault {
        Fault::WrongDigestHeader => say(DIGEST, NO_DIGEST),
        Fault::WrongContentType => say(CONTENT_TYPE, "text/html"),
        Fault::FalseGzip => say(CONTENT_ENCODING, "gzip"),
        Fault::BadLocation => say(LOCATION, "http://[/"),
        Fault::NoDigestHeader => {
            headers.remove(DIGEST);
        }
        Fault::NoLocation => {
            headers.remove(LOCATION);
        }
        Fault::NoContentRange => {
            headers.remove(CONTENT_RANGE);
        }
        Fault::WrongRangeStart { by } => shift_range(headers, |(start, end, total)| {
            (start.saturating_add(by), end.saturating_add(by), total)
        }),
        Fault::WrongRangeTotal { by } => {
            shift_range(headers, |(start, end, total)| (start, end, total.saturating_add(by)));
        }
        _ => {}
    }
    response
}

type Span = (u64, u64, u64);

fn shift_range(headers: &mut HeaderMap, shift: impl FnOnce(Span) -> Span) {
    let told = headers.get(CONTENT_RANGE).and_then(|value| parse_span(value.to_str().ok()?));
    if let Some((start, end, total)) = told.map(shift)
        && let Ok(value) = HeaderValue::from_str(&format!("bytes {start}-{end}/{total}"))
    {
        headers.insert(CONTENT_RANGE, value);
    }
}

fn parse_span(text: &str) -> Option<Span> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = span.split_once('-')?;
    Some((start.parse().ok()?, end.parse().ok()?, total.parse().ok()?))
}

/// The headers of the request to the backing registry under this fault.
pub(crate) fn asked_instead(headers: &HeaderMap, fault: Option<Fault>) -> HeaderMap {
    let mut headers = headers.clone();
    match fault {
        Some(Fault::RangeIgnored) => {
            headers.remove(RANGE);
        }
        Some(Fault::OtherRange { by }) => {
            let asked = headers.get(RANGE).and_then(|value| later(value.to_str().ok()?, by));
            if let Some(later) = asked.and_then(|later| HeaderValue::from_str(&later).ok()) {
                headers.insert(RANGE, later);
            }
        }
        _ => {}
    }
    headers
}

/// The same range with a later begin; `None` for a range without a begin.
fn later(range: &str, by: u64) -> Option<String> {
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start = start.parse::<u64>().ok()?.saturating_add(by);
    let end = end.parse::<u64>().map_or(String::new(), |end| end.max(start).to_string());
    Some(format!("bytes={start}-{end}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_range_is_begun_later_but_never_turned_round() {
        assert_eq!(later("bytes=2-", 3).as_deref(), Some("bytes=5-"));
        assert_eq!(later("bytes=2-8", 3).as_deref(), Some("bytes=5-8"));
        assert_eq!(later("bytes=2-4", 3).as_deref(), Some("bytes=5-5"));
        for other in ["bytes=-5", "lines=1-2", "bytes=x-", ""] {
            assert_eq!(later(other, 3), None, "{other:?}");
        }
    }

    #[test]
    fn a_content_range_is_shifted_as_ordered() {
        let told = |fault, value| {
            let mut response = Response::new(wharf_testkit::http::empty());
            response.headers_mut().insert(CONTENT_RANGE, HeaderValue::from_static(value));
            let told = lie(response, fault);
            told.headers().get(CONTENT_RANGE).map(|value| value.to_str().unwrap().to_owned())
        };
        let start = told(Fault::WrongRangeStart { by: 5 }, "bytes 1-2/10").unwrap();
        assert_eq!(start, "bytes 6-7/10");
        let total = told(Fault::WrongRangeTotal { by: 5 }, "bytes 1-2/10").unwrap();
        assert_eq!(total, "bytes 1-2/15");
        assert_eq!(told(Fault::NoContentRange, "bytes 1-2/10"), None);
        assert_eq!(told(Fault::WrongRangeTotal { by: 5 }, "bytes */10").unwrap(), "bytes */10");
    }
}
