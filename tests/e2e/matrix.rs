//! The fault matrix: every fault of the double on reads, once and each time, against a whole blob,
//! a range, a herd of clients, a manifest by digest and by tag.
//!
//! A client gets the right bytes or a clean error before the end; a fault hidden by the proxy
//! leaves the response right. No wrong content is ever cached. The table goes to standard output,
//! and to `matrix.md` in the folder `WHARF_MATRIX_DIR`. The faults are in `rows.rs`, one cell of
//! the table in `cell.rs`, manifests in `manifests.rs`.

mod cell;
mod manifests;
mod rows;

use std::fmt::Write as _;

use tokio::sync::Semaphore;

use crate::fixture::Stage;

use cell::{Finding, Ground, Shape};
use rows::{Row, Times};

/// Concurrent cells of the table before one `wharfd`.
const CELLS_AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_faulty_upstream_gives_right_bytes_or_a_clean_error_and_nothing_wrong_is_kept() {
    let lanes = [
        ("storage bodies", rows::storage_bodies(), CELLS_AT_ONCE),
        ("storage answers", rows::storage_answers(), CELLS_AT_ONCE),
        ("resumes", rows::resumes(), CELLS_AT_ONCE),
        // The registry's own responses change the later requests to it, for all clients.
        ("registry", rows::registry(), 6),
        // Tokens expire for all.
        ("expiries", rows::expiries(), 1),
        ("token refusals", rows::token_refusals(), 1),
        ("token answers", rows::token_answers(), 1),
        // A pause too long for a client to wait applies to the whole upstream.
        ("long pauses", rows::long_pauses(), 6),
    ];
    let blobs = join_all(lanes.into_iter().map(|(name, rows, at_once)| lane(name, rows, at_once)));
    let manifests = join_all(manifests::SHAPES.into_iter().map(manifests::lane));
    let (blobs, manifests) = tokio::join!(blobs, manifests);
    let mut findings = Vec::new();
    for lane in blobs.into_iter().chain(manifests) {
        let Some(found) = lane else { return };
        findings.extend(found);
    }
    report(&mut findings);
}

/// `wharfd` with little patience before a double; `None` when there is no registry behind it.
async fn stage() -> Option<Stage> {
    Stage::start_with(|mut setup| {
        setup.upstream.push_str(
            "stall_timeout_seconds = 1\nanswer_timeout_seconds = 2\n\
             negative_ttl_seconds = 0\ntag_ttl_seconds = 0\n",
        );
        // Straight to the storage: a relay would turn a reset into an end.
        setup.double.storage_public = None;
        setup
    })
    .await
}

/// All cells of these rows, some at a time, each with a blob of its own.
async fn lane(name: &str, rows: Vec<Row>, at_once: usize) -> Option<Vec<Finding>> {
    let stage = stage().await?;
    let (ground, turns) = (Ground::new(stage), Semaphore::new(at_once));
    let (ground, turns) = (&ground, &turns);
    let mut findings = Vec::new();
    // One after the other: a repeated fault may open the upstream's breaker for a while.
    for (times, hidden) in [
        (Times::Once, true),
        (Times::Once, false),
        (Times::EachTime, true),
        (Times::EachTime, false),
    ] {
        let rows = rows.iter().filter(|row| row.is_hidden(times) == hidden);
        let cells =
            rows.flat_map(|row| Shape::of_blobs(times).iter().map(move |shape| (row, *shape)));
        let found = cells.map(|(row, shape)| async move {
            let _turn = turns.acquire().await.unwrap();
            ground.try_out(row, times, shape).await
        });
        findings.extend(join_all(found).await);
    }
    keep_log(name, &ground.stage);
    Some(findings)
}

/// The log of `wharfd` goes into the table's folder.
fn keep_log(lane: &str, stage: &Stage) {
    if let Some(folder) = std::env::var_os("WHARF_MATRIX_DIR") {
        let name = format!("{lane}.log").replace(' ', "-");
        std::fs::write(std::path::Path::new(&folder).join(name), stage.wharfd.log()).unwrap();
    }
}

/// Waits for all of them at once.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, result) in pending.iter_mut().filter(|(_, result)| result.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *result = Some(value);
            }
        }
        let done = pending.iter().all(|(_, result)| result.is_some());
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, result)| result).collect()
}

/// Prints the table; panics with the failed cells.
#[expect(clippy::print_stdout, reason = "the table is the result")]
fn report(findings: &mut [Finding]) {
    findings.sort_by_key(Finding::key);
    let mut table = String::from(
        "| fault | times | shape | client | asked of registry | asked of storage |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for finding in findings.iter() {
        let _ = writeln!(table, "{finding}");
    }
    println!("{table}");
    if let Some(folder) = std::env::var_os("WHARF_MATRIX_DIR") {
        std::fs::write(std::path::Path::new(&folder).join("matrix.md"), &table).unwrap();
    }
    let wrong: Vec<String> = findings.iter().filter_map(Finding::complaint).collect();
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
