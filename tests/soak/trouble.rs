//! The events around the clients: announced errors of a failing upstream, and reloads, scrubs and
//! evictions. The latter announce no error, so clients must not notice them.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{Instant, sleep, timeout_at};
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::dice::Dice;
use wharf_testkit::processes::{Process, product};

use crate::counts::What;
use crate::world::World;

/// The pause between two periods of trouble at the upstream; the clients feel the echo of each for
/// a while.
const QUIET: Duration = Duration::from_secs(8);
const TROUBLE: Duration = Duration::from_secs(3);
/// Between two configurations.
const RELOAD: Duration = Duration::from_secs(3);
/// Between two commands of the operator.
const COMMAND: Duration = Duration::from_secs(6);
const COMMAND_TIME: Duration = Duration::from_mins(3);

/// All of it until it is time.
pub(crate) async fn run(world: Arc<World>, mut dice: Dice, until: Instant) -> anyhow::Result<()> {
    let (mut first, mut second) = (dice.fork(), dice.fork());
    let all = async {
        tokio::try_join!(
            upstream(&world, &mut first),
            reloads(&world, &mut second),
            commands(&world, until)
        )
        .map(|_| ())
    };
    let ended = timeout_at(until, all).await.unwrap_or(Ok(()));
    world.double.clear_faults();
    ended
}

async fn upstream(world: &World, dice: &mut Dice) -> anyhow::Result<()> {
    loop {
        sleep(QUIET).await;
        let trouble = world.trouble();
        for rule in some_rules(dice) {
            world.double.set_fault(rule.during(TROUBLE));
        }
        if dice.percent(30) {
            world.double.expire_tokens();
            world.double.expire_links();
        }
        sleep(TROUBLE).await;
        world.double.clear_faults();
        drop(trouble);
        world.counts.one(What::Faults);
    }
}

fn some_rules(dice: &mut Dice) -> Vec<FaultRule> {
    let kinds = [
        Kind::BlobGet,
        Kind::StorageGet,
        Kind::ManifestGet,
        Kind::ManifestHead,
        Kind::UploadPost,
        Kind::UploadPatch,
        Kind::UploadPut,
        Kind::ManifestPut,
        Kind::Token,
    ];
    let faults = [
        Fault::Unavailable,
        Fault::CountingDown { period_s: 2, delay_ms: 20 },
        Fault::HangUp { reset: true },
        Fault::Reset { after: 30_000 },
        Fault::CutBody { after: 30_000 },
        Fault::WrongBytes,
        Fault::Status { code: 500, retry_after_s: None },
    ];
    let mut rules = Vec::new();
    for _ in 0..3 {
        let percent = [10, 30, 100][dice.index(3)];
        let (kind, fault) = (kinds[dice.index(kinds.len())], faults[dice.index(faults.len())]);
        // Wrong bytes written to the upstream stay wrong for ever.
        let reads = matches!(kind, Kind::BlobGet | Kind::StorageGet | Kind::ManifestGet);
        if fault == Fault::WrongBytes && !reads {
            continue;
        }
        rules.push(FaultRule::next(kind, fault).percent(percent));
    }
    rules
}

async fn reloads(world: &World, dice: &mut Dice) -> anyhow::Result<()> {
    loop {
        sleep(RELOAD).await;
        let number = dice.below(1_000);
        if dice.percent(25) {
            world.misconfigure(number)?;
            world.counts.one(What::WrongReloads);
        } else {
            world.reconfigure(number)?;
            world.counts.one(What::Reloads);
        }
        world.hang_up()?;
    }
}

async fn commands(world: &World, until: Instant) -> anyhow::Result<()> {
    loop {
        for (arguments, what) in [
            (["scrub", "--rate", "60MiB"], What::Scrubs),
            (["evict", "--down-to", "120MiB"], What::Evictions),
        ] {
            sleep(COMMAND).await;
            // A scrub without enough time to finish is not begun.
            if Instant::now() + COMMAND > until && what == What::Scrubs {
                return std::future::pending().await;
            }
            run_command(world, &arguments).await?;
            world.counts.one(what);
        }
    }
}

async fn run_command(world: &World, arguments: &[&str]) -> anyhow::Result<()> {
    let folder = tempfile::TempDir::new()?;
    let mut command = Command::new(product("wharfd")?);
    command.arg("store").args(arguments).arg("--store").arg(world.store());
    let mut process = Process::spawn("command", &mut command, folder.path())?;
    let status = process.wait(COMMAND_TIME).await.context(arguments.join(" "))?;
    ensure!(status.success(), "{arguments:?}: {status}: {}{}", process.stdout(), process.stderr());
    Ok(())
}
