//! The content of an answer and its length header, by method and status (RFC 9110 §6.4.1, §8.6,
//! §9.3.2, §15.3.5, §15.4.5). Every answer passes through here, so handlers need not know the
//! rules.
//!
//! Invariant: an answer to HEAD, a 204 and a 304 have no content, in either version of HTTP.
//! HTTP/1.1 clients cannot see it; HTTP/2 peers that keep to RFC 9113 §8.1.1 reset the stream.

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, StatusCode};
use hyper::body::Body as _;

use crate::http::response::Answer;
use crate::runtime::body::Body;

/// Removes forbidden content, and adds lengths that hyper omits: of empty content over HTTP/2, and
/// of the content for GET.
pub(super) fn fit(method: &Method, answer: &mut Answer) {
    if matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        *answer.body_mut() = Body::empty();
        return;
    }
    let (is_head, length) = (method == Method::HEAD, answer.body().size_hint().exact());
    // The empty body of an answer to HEAD does not give the length for GET.
    let length = length.filter(|bytes| is_head == (*bytes > 0));
    if let Some(bytes) = length {
        answer.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(bytes));
    }
    if is_head {
        *answer.body_mut() = Body::empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::response::answer;

    /// The bytes of the body and its `Content-Length`.
    fn fitted(method: &Method, status: u16, body: &'static str) -> (u64, Option<String>) {
        let mut answer = answer(status.try_into().unwrap(), &[], Body::full(body));
        fit(method, &mut answer);
        let said = answer.headers().get(CONTENT_LENGTH);
        let said = said.map(|value| value.to_str().unwrap().to_owned());
        (answer.body().size_hint().exact().unwrap(), said)
    }

    #[test]
    fn an_answer_to_head_has_the_length_of_the_content_and_not_the_content() {
        for status in [200, 206, 400, 401, 404, 405, 408, 413, 429, 431, 500, 502, 503] {
            assert_eq!(fitted(&Method::HEAD, status, "abc"), (0, Some("3".to_owned())), "{status}");
            assert_eq!(fitted(&Method::GET, status, "abc"), (3, None), "hyper says it");
        }
        assert_eq!(fitted(&Method::HEAD, 200, ""), (0, None));
    }

    #[test]
    fn nothing_has_a_length_unless_there_can_be_nothing_else() {
        assert_eq!(fitted(&Method::GET, 200, ""), (0, Some("0".to_owned())));
        assert_eq!(fitted(&Method::POST, 202, ""), (0, Some("0".to_owned())));
        for status in [204, 304] {
            for method in [Method::GET, Method::HEAD, Method::DELETE] {
                assert_eq!(fitted(&method, status, ""), (0, None));
                assert_eq!(fitted(&method, status, "abc"), (0, None));
            }
        }
    }

    #[test]
    fn a_length_that_was_said_stands() {
        let mut head = crate::http::response::head(answer(StatusCode::OK, &[], Body::empty()), 12);
        fit(&Method::HEAD, &mut head);
        assert_eq!(head.headers()[CONTENT_LENGTH], "12");
    }
}
