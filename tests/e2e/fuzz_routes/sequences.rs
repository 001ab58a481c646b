//! Related requests: pushes in order and out of order, tokens, and single requests between them.

use tokio::time::Instant;
use wharf_testkit::dice::Dice;
use wharf_testkit::images::sha256;

use super::bodies;
use super::client::{Seen, send};
use super::shots::{Framing, Shot, pick, repo, root};
use super::stage::Known;

/// Steps of one upload.
const STEPS: u64 = 7;

/// One move of one client.
pub(super) async fn play(known: &Known, dice: &mut Dice, http2: bool) {
    match dice.below(12) {
        0 | 1 => push(known, dice, http2).await,
        2 => upload(known, dice, http2).await,
        3 => token(known, dice, http2).await,
        _ => {
            let shot = Shot::any(known, dice);
            fire(known, &shot, http2).await;
        }
    }
}

async fn fire(known: &Known, shot: &Shot, http2: bool) -> Seen {
    let began = Instant::now();
    let mut seen = send(&known.host, shot, http2).await;
    if shot.method == "HEAD" && seen.is(502) {
        // The error is in a response body.
        let asked = Shot { method: String::from("GET"), ..shot.clone() };
        seen = send(&known.host, &asked, http2).await;
    }
    known.judge(shot, began, &seen);
    seen
}

fn by_root(known: &Known, shot: Shot) -> Shot {
    root(known).into_iter().fold(shot, |shot, login| shot.header("authorization", login))
}

fn with_digest(location: &str, digest: &str) -> String {
    let joint = if location.contains('?') { '&' } else { '?' };
    format!("{location}{joint}digest={digest}")
}

/// A blob and a manifest by a user with all rights, as a client pushes them.
async fn push(known: &Known, dice: &mut Dice, http2: bool) {
    let name = repo(dice);
    let content = bodies::blob(dice);
    let (digest, size) = (sha256(&content), content.len());
    let start = by_root(known, Shot::plain("POST", format!("/v2/{name}/blobs/uploads/")));
    let started = fire(known, &start, http2).await;
    if !started.is(202) {
        return;
    }
    let put = Shot::plain("PUT", with_digest(&started.location, &digest)).body(content);
    let ended = fire(known, &by_root(known, put), http2).await;
    if !ended.is(201) {
        let cancel = Shot::plain("DELETE", &started.location);
        fire(known, &by_root(known, cancel), http2).await;
        return;
    }
    // The empty blob is everybody's.
    if dice.percent(20) && size > 0 {
        known.loose.add(digest);
        return;
    }
    known.blobs.add((digest, size));
    let (media_type, manifest) = bodies::manifest(known, dice);
    let reference = match dice.below(3) {
        0 => sha256(manifest.as_bytes()),
        _ => pick(&["v1", "v2", "latest", "other"], dice).to_owned(),
    };
    let (digest, size) = (sha256(manifest.as_bytes()), manifest.len());
    let put = Shot::plain("PUT", format!("/v2/{name}/manifests/{reference}"));
    let put = put.header("content-type", media_type).body(manifest);
    if fire(known, &by_root(known, put), http2).await.is(201) {
        known.manifests.add((digest, size));
    }
}

/// The steps of an upload in any order.
async fn upload(known: &Known, dice: &mut Dice, http2: bool) {
    let start = Shot::plain("POST", format!("/v2/{}/blobs/uploads/", repo(dice)));
    let started = fire(known, &by_root(known, start), http2).await;
    if !started.is(202) {
        return;
    }
    let mut location = started.location;
    known.sessions.add(location.clone());
    let (mut whole, mut offset) = (Vec::new(), 0);
    for _ in 0..dice.below(STEPS) {
        let content = bodies::blob(dice);
        let shot = match dice.below(8) {
            0 => Shot::plain("GET", &location),
            1 => Shot::plain("DELETE", &location),
            2 => Shot::plain("PUT", with_digest(&location, &sha256(&whole))),
            3 => Shot::plain("PUT", with_digest(&location, "sha256:0")).body(content.clone()),
            4 => Shot::plain("PUT", &location),
            _ => {
                let shot = Shot::plain("PATCH", &location).body(content.clone());
                let last = (offset + content.len()).saturating_sub(1);
                if dice.percent(50) {
                    let begin = if dice.percent(80) { offset } else { offset + 1 };
                    shot.header("content-range", format!("{begin}-{last}"))
                } else {
                    shot
                }
            }
        };
        let mut shot = by_root(known, shot);
        if dice.percent(15) {
            shot.framing = [Framing::Chunked, Framing::Short, Framing::Both][dice.index(3)];
        }
        let seen = fire(known, &shot, http2).await;
        if shot.method == "PATCH" && seen.is(202) {
            whole.extend(&content);
            offset += content.len();
            location = if seen.location.is_empty() { location } else { seen.location };
        }
    }
    // A few uploads stay open; more would use up the limit.
    if dice.percent(95) {
        fire(known, &by_root(known, Shot::plain("DELETE", &location)), http2).await;
    }
}

/// A token for a random scope, for later requests.
async fn token(known: &Known, dice: &mut Dice, http2: bool) {
    let scope = format!("repository:{}:pull,push,delete", repo(dice));
    let mut shot = if dice.percent(50) {
        let target = format!("/token?service=wharfd&scope={scope}");
        Shot::plain("GET", target).odd(known, dice)
    } else {
        let user = pick(&super::stage::USERS, dice);
        let password = crate::access::scene::password(user);
        let form = format!(
            "grant_type=password&client_id=x&service=wharfd&scope={scope}&username={user}&password={password}"
        );
        let shot = Shot::plain("POST", "/token").body(form);
        shot.header("content-type", "application/x-www-form-urlencoded")
    };
    shot.source = 1;
    let seen = fire(known, &shot, http2).await;
    let said: Option<serde_json::Value> = serde_json::from_slice(&seen.body).ok();
    let said = said.and_then(|said| Some(said.get("token")?.as_str()?.to_owned()));
    if let Some(token) = said.filter(|_| seen.is(200)) {
        known.tokens.add(token);
    }
}
