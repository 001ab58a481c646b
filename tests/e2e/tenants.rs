//! The tenant test bed: three parties share one `wharfd`, two of them hostile. The hostile two take
//! each pool and each body in turn, as much as they can, and the third goes on with its own work.
//!
//! A cell of the table is one pool under one kind of access and one version of HTTP, before a
//! `wharfd` of its own. The good party does a fixed mix (`good.rs`) undisturbed, then beside the
//! hostile two (`pools.rs`). The hostile two mostly hold their connections and requests. After a
//! refusal they come back after `hostile::PAUSE`: more often than a polite client, but not as a
//! flood against the processor. The conditions:
//!
//! - the good party sees no errors except its own;
//! - resident memory stays under 256 MiB, and comes back when the hostile two are gone;
//! - in trials, where a whole machine is ours: the good one keeps half of its undisturbed rate.
//!
//! With open access, parties are addresses (127.0.0.1, 127.0.0.2, 127.0.0.3). Otherwise they are
//! names, and with HTTP/2 and its few connections all of them come from one address.
//!
//! `WHARF_TENANTS=uploads,fills` selects the pools with one of these words in their names, at their
//! whole size and length.

mod asks;
mod content;
mod good;
mod ground;
mod hostile;
mod line;
mod memory;
mod plants;
mod pools;
mod table;
mod uploads;

use std::time::Duration;

use wharf_testkit::trials;

use good::Good;
use ground::{Access, Ground, Protocol};
use memory::Memory;
use pools::Pool;
use table::Row;

/// How long the good party works undisturbed, and how long beside the others.
fn spans() -> (Duration, Duration) {
    let millis = |in_test, in_trials| Duration::from_millis(trials::size(in_test, in_trials));
    if chosen().is_some() {
        return (Duration::from_secs(2), Duration::from_secs(3));
    }
    (millis(300, 2_000), millis(800, 3_000))
}

/// The words for the selection of pools.
fn chosen() -> Option<Vec<String>> {
    let words = std::env::var("WHARF_TENANTS").ok()?;
    Some(words.split(',').map(str::to_owned).collect())
}

/// The pools of one test: a few in `make test`, all pools of this access in trials.
fn pools(access: Access, protocol: Protocol, few: &[Pool]) -> Vec<Pool> {
    let all = Pool::ALL.into_iter().filter(|pool| pool.is_there(access, protocol));
    match chosen() {
        Some(words) => {
            all.filter(|pool| words.iter().any(|word| pool.name().contains(word))).collect()
        }
        None => trials::size(few.to_vec(), all.collect()),
    }
}

/// Tries these pools one after the other, and prints each result.
#[expect(clippy::print_stdout, reason = "the table is the result")]
async fn take(access: Access, protocol: Protocol, few: &[Pool]) {
    let Some(mut ground) = Ground::new(access, protocol).await else { return };
    let timed = chosen().is_some() || trials::size(false, true);
    let mut rows = Vec::new();
    for pool in pools(access, protocol, few) {
        let mut row = cell(&mut ground, pool).await;
        // A machine has other work: a slow result is measured again.
        if timed && row.is_slow() {
            row = cell(&mut ground, pool).await;
        }
        println!("{row}");
        rows.push(row);
    }
    println!("{}", table::of(&rows));
    let wrong: Vec<_> = rows.iter().filter_map(|row| row.complaint(timed)).collect();
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// One pool, taken by both hostile parties.
async fn cell(ground: &mut Ground, pool: Pool) -> Row {
    let (undisturbed, beside) = spans();
    let scene = ground.set(pool).await;
    let mut good = Good::new(&scene);
    good.warm().await;
    let memory = Memory::watch(&scene.wharfd);
    let before = good.measure(undisturbed).await;
    let siege = pool.besiege(&scene);
    siege.settled(pool.holds_answers()).await;
    let during = good.measure(beside).await;
    let used = ["connections", "bytes_in_flight"]
        .map(|limit| format!("wharfd_limit_used{{limit=\"{limit}\"}}"));
    let used = [scene.wharfd.metric(&used[0]).await, scene.wharfd.metric(&used[1]).await];
    let peak = memory.peak();
    let told = siege.lift().await;
    scene.double.release();
    let left = memory.returned(&scene.wharfd).await;
    let log = scene.wharfd.log();
    ground.clear();
    Row::new(pool, ground, [before, during], memory.before(), peak, left, told, used, &log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn open_over_http1() {
    take(Access::Open, Protocol::Http1, &[Pool::Manifest]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn open_over_http2() {
    take(Access::Open, Protocol::Http2, &[Pool::Fills]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn users_over_http1() {
    take(Access::Users, Protocol::Http1, &[Pool::IdleConnections]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn users_over_http2() {
    take(Access::Users, Protocol::Http2, &[Pool::OpenUploads]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn passthrough_over_http1() {
    take(Access::Passthrough, Protocol::Http1, &[Pool::Questions]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn passthrough_over_http2() {
    take(Access::Passthrough, Protocol::Http2, &[Pool::Manifest]).await;
}
