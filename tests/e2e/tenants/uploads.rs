//! Endless uploads: opened and left, begun and stopped, trickling, or staged for an upstream
//! without progress.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::sleep;
use wharf_testkit::http::{empty, full};
use wharf_testkit::images::sha256;

use super::asks::Ask;
use super::hostile::{PAUSE, Siege};
use super::line::{Line, Party};
use crate::fixture::noise;

const MIB: usize = 1024 * 1024;
/// One party's sessions: half of the limit.
const SESSIONS: usize = 512;
/// Sessions with a stopped body.
const STOPPED: usize = 200;
/// Sessions with a trickling body: 12 KiB a piece, some twelve in a second.
const TRICKLING: usize = 16;
const TRICKLE_BYTES: usize = 12 * 1024;
const TRICKLE: Duration = Duration::from_millis(80);
const BODY_BYTES: usize = 64 * MIB;
/// Blobs staged by one party, one after the other: more than the outbox holds.
const STAGED: usize = 24;
const STAGED_BYTES: usize = 8 * MIB;
/// Consecutive requests on one connection.
const IN_A_ROW: usize = 32;

/// Opens a session; returns its Location, or the refusal.
async fn open(line: &mut Line, repo: &str) -> anyhow::Result<Result<String, u16>> {
    let path = format!("/v2/{repo}/blobs/uploads/");
    let answer = line.send(line.request(Method::POST, &path).body(empty())?).await?;
    let location = answer.header("location").to_owned();
    Ok(if answer.status == 202 { Ok(location) } else { Err(answer.status.as_u16()) })
}

/// Opens as many as possible, and touches none again.
pub(super) fn open_and_leave(party: &Party, repo: &str, siege: &mut Siege) {
    for _ in 0..SESSIONS / IN_A_ROW {
        let (party, repo) = (party.clone(), repo.to_owned());
        siege.go(1, |seen| async move {
            let mut settled = false;
            loop {
                let Ok(mut line) = Line::open(&party).await else { continue };
                for _ in 0..IN_A_ROW {
                    let told = match open(&mut line, &repo).await {
                        Ok(Ok(_)) => "202".to_owned(),
                        Ok(Err(status)) => status.to_string(),
                        Err(error) => error.to_string(),
                    };
                    seen.tell(told.as_str());
                    if told != "202" {
                        break;
                    }
                }
                if !settled {
                    seen.settle();
                    settled = true;
                }
                sleep(PAUSE).await;
            }
        });
    }
}

/// Holds sessions with bodies sent this way.
fn within(party: &Party, repo: &str, siege: &mut Siege, count: usize, body: fn(Ask) -> Ask) {
    let (party, repo) = (party.clone(), repo.to_owned());
    siege.go(1, |seen| async move {
        let (mut inner, mut asks) = (Siege::within(&seen), Vec::new());
        if let Ok(mut line) = Line::open(&party).await {
            for number in 0..count {
                match open(&mut line, &repo).await {
                    Ok(Ok(location)) => asks.push(body(ask(number, &location))),
                    Ok(Err(status)) => seen.tell(status.to_string()),
                    Err(error) => seen.tell(error.to_string()),
                }
            }
        }
        seen.tell(format!("{} sessions", asks.len()));
        inner.hold(&party, asks, None);
        inner.settled(false).await;
        seen.settle();
        std::future::pending::<()>().await;
        drop(inner);
    });
}

/// Chunks and ends of uploads, by turns.
fn ask(number: usize, location: &str) -> Ask {
    if number.is_multiple_of(2) {
        return Ask::new(Method::PATCH, location);
    }
    let joint = if location.contains('?') { '&' } else { '?' };
    Ask::new(Method::PUT, format!("{location}{joint}digest={}", sha256(b"never")))
}

/// Bodies with only their begin sent.
pub(super) fn stop_within(party: &Party, repo: &str, siege: &mut Siege) {
    within(party, repo, siege, STOPPED, |ask| ask.stopping(BODY_BYTES, MIB));
}

/// Bodies without a pause long enough to lose their place.
pub(super) fn trickle(party: &Party, repo: &str, siege: &mut Siege) {
    within(party, repo, siege, TRICKLING, |ask| ask.trickling(BODY_BYTES, TRICKLE_BYTES, TRICKLE));
}

/// Blobs answered here and never delivered.
pub(super) fn stage(party: &Party, repo: &str, siege: &mut Siege) {
    let (party, repo) = (party.clone(), repo.to_owned());
    siege.go(STAGED, |seen| async move {
        let seed = party.name.len() as u64 * 1_000;
        for number in 0..STAGED {
            let content = Bytes::from(noise(seed + number as u64, STAGED_BYTES));
            let told = stage_one(&party, &repo, content).await;
            seen.tell(told.unwrap_or_else(|error| error.to_string()));
            seen.settle();
        }
        std::future::pending::<()>().await;
    });
}

async fn stage_one(party: &Party, repo: &str, content: Bytes) -> anyhow::Result<String> {
    let mut line = Line::open(party).await?;
    let location = match open(&mut line, repo).await? {
        Ok(location) => location,
        Err(status) => return Ok(status.to_string()),
    };
    let joint = if location.contains('?') { '&' } else { '?' };
    let path = format!("{location}{joint}digest={}", sha256(&content));
    let answer = line.send(line.request(Method::PUT, &path).body(full(content))?).await?;
    Ok(answer.status.as_str().to_owned())
}
