//! What answers carry, and what they are cut to.

use super::*;
use http::Method;
use wharf_oci::{Algorithm, Digester};

#[test]
fn the_account_is_told_what_an_answer_is_and_its_caller_perhaps_another_word() {
    let digest = Digester::digest(Algorithm::Sha256, b"a");
    let came = ReadOutcome::from_another(Outcome::Hit);
    let answer = head(blob(&digest, None, came.told, Body::empty()), 1);
    let mut answer = with_account(answer, came);
    assert_eq!(answer.headers()[WHARF_CACHE], "fill");
    assert_eq!(answer.headers()[DOCKER_CONTENT_DIGEST], digest.to_string().as_str());
    let facts = AnswerFacts { outcome: Some(Outcome::Hit), digest: Some(digest) };
    assert_eq!(AnswerFacts::take(&mut answer), facts);
    assert_eq!(AnswerFacts::take(&mut answer), AnswerFacts::default());
}

#[test]
fn what_came_to_be_has_a_digest_and_a_refusal_nothing() {
    let digest = Digester::digest(Algorithm::Sha256, b"a");
    let facts = AnswerFacts { outcome: None, digest: Some(digest) };
    assert_eq!(AnswerFacts::take(&mut created("/".to_owned(), &digest)), facts);
    assert_eq!(AnswerFacts::take(&mut error(&Error::Denied)), AnswerFacts::default());
}

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
    let mut head = head(answer(StatusCode::OK, &[], Body::empty()), 12);
    fit(&Method::HEAD, &mut head);
    assert_eq!(head.headers()[CONTENT_LENGTH], "12");
}
