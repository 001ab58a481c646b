//! `wharf-soak`: every kind of load at once, for the given time. 1, 32 and 256 clients pull, push
//! and delete. Meanwhile the store is too small for their content, is scrubbed and emptied, the
//! configuration is reloaded, and the upstream fails now and then. Every byte of every body is
//! checked.
//!
//! The run ends with its counts. It fails after a wrong body, after an unannounced error, or when
//! memory or files of `wharfd` grew from the first crowd to the last.
//!
//! `make soak` runs for ten minutes, `make test` for two. `WHARF_SOAK_SECONDS` overrides the time,
//! and `WHARF_SOAK_SEED` repeats the choices of chance.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "it is a test; what it counted is its result"
)]

mod acts;
mod client;
mod config;
mod counts;
mod trouble;
mod vitals;
mod world;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wharf_testkit::dice::Dice;

use counts::Counts;
use vitals::Vitals;
use world::World;

const SECONDS: u64 = 600;
/// How many clients there are one after the other, and how much of a round each crowd has, in
/// hundredths; the rest is for their last acts.
const CROWDS: [(u64, u64); 3] = [(1, 10), (32, 30), (256, 45)];
/// A round is about so long.
const ROUND: Duration = Duration::from_secs(100);
/// The first part of a run fills caches and pools; its memory is the base for the later limit.
const WARM_UP_PERCENT: u32 = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let seconds = std::env::var("WHARF_SOAK_SECONDS").ok();
    let seconds = seconds.map_or(Ok(SECONDS), |text| text.parse()).context("WHARF_SOAK_SECONDS")?;
    let time = Duration::from_secs(seconds);
    let mut dice = Dice::from_env("WHARF_SOAK_SEED");
    let Some(world) = World::build().await? else { return Ok(()) };
    let world = Arc::new(world);
    println!(
        "soak: {} of images behind a store of {}",
        mib(world.content_bytes()),
        config::STORE_LIMIT
    );
    let began = Instant::now();
    let warm_up = time * WARM_UP_PERCENT / 100;
    let most = CROWDS.iter().map(|(clients, _)| *clients).max().unwrap_or(1);
    crowd(&world, &mut dice, most, warm_up).await.context("in the warm-up")?;
    let warm = world.at_rest().await?;
    println!("soak: warm at {:.0?}: {warm}", began.elapsed());
    let left = time.saturating_sub(began.elapsed());
    let rounds = u32::try_from((left.as_secs() / ROUND.as_secs()).max(1))?;
    let mut last = warm;
    for round in 1..=rounds {
        for (clients, percent) in CROWDS {
            let part = left / rounds * u32::try_from(percent)? / 100;
            let crowded = crowd(&world, &mut dice, clients, part).await;
            crowded.with_context(|| format!("round {round}, {clients} clients"))?;
            last = world.at_rest().await?;
            println!("soak: round {round}, {clients} clients, {:.0?}: {last}", began.elapsed());
        }
    }
    println!("{}", world.counts);
    world.report().await?;
    judge(&world.counts, &warm, &last)
}

/// This many clients for this long, with every kind of trouble. The first failure ends the crowd.
async fn crowd(
    world: &Arc<World>,
    dice: &mut Dice,
    clients: u64,
    time: Duration,
) -> anyhow::Result<()> {
    let until = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        tasks.spawn(client::run(Arc::clone(world), number, dice.fork(), until));
    }
    tasks.spawn(trouble::run(Arc::clone(world), dice.fork(), until));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended? {
            println!("{}\nsoak: wharfd said last:\n{}", world.counts, world.log_tail());
            return Err(error);
        }
    }
    Ok(())
}

/// The conditions at the end.
fn judge(counts: &Counts, warm: &Vitals, last: &Vitals) -> anyhow::Result<()> {
    ensure!(last.resident <= warm.resident_max(), "memory grew from {warm} to {last}");
    ensure!(last.sockets <= warm.sockets_max(), "connections grew from {warm} to {last}");
    ensure!(last.files <= warm.files_max(), "files grew from {warm} to {last}");
    ensure!(last.has_few_threads(), "too many threads: {last}");
    let idle = counts.idle();
    ensure!(idle.is_empty(), "nothing happened of: {}", idle.join(", "));
    println!("soak: flat, and every body right");
    Ok(())
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
