//! The manifests of the matrix: by digest, by a new tag, and by a known tag on revalidation.

use bytes::Bytes;
use tokio::time::timeout;
use wharf_double::{Fault, FaultRule, Kind};

use super::cell::{Finding, Seen, Shape, recovers};
use super::rows::Times;
use crate::fixture::{PATIENCE, Stage};

const TYPE: &str = "application/vnd.oci.image.index.v1+json";
const EACH_TIME: u64 = 100_000;

/// A fault at the GET of a manifest, and whether it is hidden when it happens once.
fn faults() -> Vec<(Fault, bool)> {
    let status = |code| Fault::Status { code, retry_after_s: None };
    vec![
        (Fault::WrongBytes, false),
        (Fault::WrongByteAt { offset: 90 }, false),
        (Fault::ShortBody { bytes: 1 }, false),
        (Fault::LongBody { bytes: 1 }, false),
        (Fault::LongBody { bytes: 5 << 20 }, false),
        (Fault::Endless { length_header: false }, false),
        (Fault::Endless { length_header: true }, true),
        (Fault::CutBody { after: 10 }, true),
        (Fault::Reset { after: 10 }, true),
        (Fault::ExpireAndCut { after: 10 }, true),
        (Fault::Stall { after: 10 }, true),
        (Fault::Slow { bytes_per_s: 20 }, true),
        (Fault::WrongLength { bytes: 20 }, false),
        (Fault::WrongLength { bytes: 2_000 }, false),
        (Fault::NoLength, true),
        (Fault::TooManyRequests { retry_after_s: 1 }, true),
        (Fault::Unavailable, true),
        (status(403), false),
        (status(404), false),
        (status(500), true),
        (Fault::Hang, false),
        (Fault::HangUp { reset: false }, true),
        (Fault::HangUp { reset: true }, true),
        (Fault::WrongDigestHeader, true),
        (Fault::NoDigestHeader, true),
        (Fault::WrongContentType, false),
        (Fault::FalseGzip, true),
        (Fault::RedirectLoop, false),
        (Fault::RedirectHops { hops: 3 }, true),
        (Fault::RedirectElsewhere, true),
    ]
}

/// An index of nothing, different for each number.
fn manifest(number: usize) -> (String, Bytes) {
    let text = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{TYPE}\",\"manifests\":[],\
         \"annotations\":{{\"number\":\"{number}\"}}}}"
    );
    (wharf_testkit::images::sha256(text.as_bytes()), text.into())
}

/// How a manifest is asked for.
pub(super) const SHAPES: [Shape; 3] = [Shape::Digest, Shape::FirstTag, Shape::KnownTag];

/// All faults one after the other: a tag names no digest to aim at.
pub(super) async fn lane(shape: Shape) -> Option<Vec<Finding>> {
    let stage = super::stage().await?;
    let mut findings = Vec::new();
    for (fault, hidden_once) in faults() {
        let each_time = (shape != Shape::FirstTag).then_some(Times::EachTime);
        for times in [Times::Once].into_iter().chain(each_time) {
            let number = findings.len();
            let hidden = is_hidden(fault, hidden_once, times, shape);
            findings.push(try_out(&stage, number, (fault, times, shape), hidden).await);
        }
    }
    super::keep_log(&format!("manifests {shape:?}"), &stage);
    Some(findings)
}

fn is_hidden(fault: Fault, once: bool, times: Times, shape: Shape) -> bool {
    // Where an old answer is at hand, only a no counts.
    if shape == Shape::KnownTag {
        return !matches!(fault, Fault::Status { code: 403, .. });
    }
    let changes_no_byte = matches!(
        fault,
        Fault::WrongDigestHeader
            | Fault::NoDigestHeader
            | Fault::NoLength
            | Fault::FalseGzip
            | Fault::RedirectElsewhere
            | Fault::Endless { length_header: true }
    );
    once && (times == Times::Once || changes_no_byte)
}

async fn try_out(
    stage: &Stage,
    number: usize,
    (fault, times, shape): (Fault, Times, Shape),
    hidden: bool,
) -> Finding {
    let (repo, (digest, right)) = (format!("matrix/m{number}"), manifest(number));
    let put = stage.origin.put_manifest(&repo, "v1", TYPE, right.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let reference = if shape == Shape::Digest { digest.as_str() } else { "v1" };
    if shape == Shape::KnownTag {
        is_right(stage, &repo, reference, &right).await.unwrap();
    }
    let kind = if shape == Shape::KnownTag { Kind::ManifestHead } else { Kind::ManifestGet };
    let rule = FaultRule::next(kind, fault);
    let rule = if times == Times::Once { rule } else { rule.times(EACH_TIME) };
    let fault = format!("{kind:?} {fault:?}");
    stage.double.reset_counts();
    stage.double.set_fault(rule);
    let path = format!("/v2/{repo}/manifests/{reference}");
    let asking = stage.api().call(http::Method::GET, &path).send();
    let answer = timeout(PATIENCE, asking).await;
    let seen = answer.map_or(Seen::Hung, |answer| Seen::of(answer, &right));
    let counts = stage.double.counts();
    let asked = counts.total(Kind::ManifestGet) + counts.total(Kind::ManifestHead);
    stage.double.clear_faults();
    let after = is_right(stage, &repo, reference, &right).await;
    let seen = vec![seen];
    Finding {
        fault,
        times,
        shape,
        hidden,
        seen,
        after,
        asked: (usize::try_from(asked).unwrap(), 0),
    }
}

/// The right manifest comes, after any pause requested by the upstream.
async fn is_right(stage: &Stage, repo: &str, reference: &str, right: &[u8]) -> Result<(), String> {
    recovers(right, false, async || Ok(stage.api().get_manifest(repo, reference).await)).await
}
