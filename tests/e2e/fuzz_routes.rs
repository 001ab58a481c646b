//! Fuzzing of every route under each kind of access. Several clients at once send random requests
//! (`shots.rs`, `sequences.rs`) with HTTP/1.1 and 2, to a registry of its own and to one before an
//! upstream. Meanwhile the configuration is reloaded, and the upstream goes and comes back.
//!
//! Invariant: every 5xx comes from the upstream, no response is missing for long, the process lives
//! and logs no internal error, and all content stored in the end is right.
//!
//! `WHARF_FUZZ_SECONDS` is the time for each kind of access, `WHARF_FUZZ_SEED` repeats the choices
//! of chance; the machine decides the order of the requests.

mod bodies;
mod client;
mod sequences;
mod shots;
mod stage;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use wharf_testkit::dice::Dice;
use wharf_testkit::trials;

use stage::{Access, Known, Stage};

/// Clients at once, half of them with HTTP/2.
const CLIENTS: usize = 6;
/// Between two reloads.
const RELOAD: Duration = Duration::from_millis(700);
/// Between two restarts of the upstream.
const RESTART: Duration = Duration::from_secs(40);
/// The most findings of a run: the first ones suffice.
const FINDINGS_MAX: usize = 20;

/// How long one kind of access is fuzzed.
fn time() -> Duration {
    let named = std::env::var("WHARF_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    named.map_or_else(
        || trials::size(Duration::from_secs(5), Duration::from_mins(10)),
        Duration::from_secs,
    )
}

/// Fuzzes all stages of one kind of access.
async fn fuzz(access: Access, upstreams: &[bool]) {
    let mut dice = Dice::from_env("WHARF_FUZZ_SEED");
    let each = time() / u32::try_from(upstreams.len()).unwrap();
    for upstream in upstreams {
        let Some(stage) = Stage::set(access, *upstream).await else { return };
        run(stage, &mut dice, each).await;
    }
}

#[expect(clippy::print_stdout, reason = "how much was tried")]
async fn run(mut stage: Stage, dice: &mut Dice, time: Duration) {
    let (known, over) = (Arc::new(Known::new(&stage)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (known, over, mut dice) = (Arc::clone(&known), Arc::clone(&over), dice.fork());
        clients.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                sequences::play(&known, &mut dice, number % 2 == 1).await;
            }
        });
    }
    let (began, mut restart) = (Instant::now(), Instant::now() + RESTART.min(time * 2 / 3));
    while began.elapsed() < time && known.findings().len() < FINDINGS_MAX {
        sleep(RELOAD).await;
        stage.reload();
        if Instant::now() >= restart {
            stage.restart_upstream(&known).await;
            restart = Instant::now() + RESTART;
        }
    }
    over.store(true, Ordering::Relaxed);
    clients.join_all().await;
    let (access, upstream) = (stage.access, stage.has_upstream());
    println!("{access:?}, upstream {upstream}: {}", known.counts());
    let findings = known.findings();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    stage.assert_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open() {
    fuzz(Access::Open, &[false, true]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users() {
    fuzz(Access::Users, &[false, true]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passthrough() {
    fuzz(Access::Passthrough, &[true]).await;
}
