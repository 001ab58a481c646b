//! Uploads against a model: several clients send random right and wrong requests, and every
//! response equals the model's (`states/model.rs`); in the end every blob has the bytes sent. The
//! same alone and before an upstream.
//!
//! Here each client has repositories and contents of its own; in `states/shared.rs` they meet.
//!
//! `WHARF_STATES_SEED` repeats a run. A failed run is shortened as long as it still fails, and
//! printed.

mod client;
mod model;
mod shared;

use wharf_testkit::dice::Dice;
use wharf_testkit::images::noise as noise_of;
use wharf_testkit::trials;

use self::client::World;
use self::model::{Act, Contents, WAYS};
use crate::fixture::{Api, Stage, Wharfd, assert_all_stored_is_right, eventually};

/// Acts of one run.
const ACTS: usize = 60;
/// How often a failing run is tried with fewer acts.
const SHORTENINGS_MAX: usize = 150;

/// One run after another, each in repositories and with contents of its own, as one of several
/// clients of the same server.
async fn runs(api: Api, beyond: bool, client: u64, mut dice: Dice, count: u64) {
    for number in 0..count {
        let acts: Vec<_> = (0..ACTS).map(|_| Act::random(&mut dice)).collect();
        let name = format!("states/c{client}-r{number}");
        let Err(failed) = run(&api, beyond, &name, &acts).await else { continue };
        let (acts, failed) = shortened(&api, beyond, &name, acts, failed).await;
        let listed: Vec<_> = acts.iter().map(|act| format!("{act:?}")).collect();
        panic!("{}\nafter these acts:\n{}", failed.why, listed.join("\n"));
    }
}

struct Failed {
    at: usize,
    why: String,
}

async fn run(api: &Api, beyond: bool, name: &str, acts: &[Act]) -> Result<(), Failed> {
    let mut seed = name.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    let ways = (0..WAYS).map(|_| {
        seed = seed.wrapping_add(1);
        let mut bytes = Vec::new();
        std::io::copy(&mut noise_of(seed, 2_000_000), &mut bytes).unwrap();
        bytes
    });
    let contents = Contents(ways.collect());
    let mut world = World::new(api.clone(), beyond, name.to_owned(), contents);
    let mut result = Ok(());
    for (at, act) in acts.iter().enumerate() {
        result =
            world.act(act).await.map_err(|why| Failed { at, why: format!("{act:?}: {why:#}") });
        if result.is_err() {
            break;
        }
    }
    let ended = world.end().await.map_err(|why| Failed { at: acts.len(), why: format!("{why:#}") });
    result.and(ended)
}

/// The shortest failing list of these acts, and the failure of its last try.
async fn shortened(
    api: &Api,
    beyond: bool,
    name: &str,
    mut acts: Vec<Act>,
    mut failed: Failed,
) -> (Vec<Act>, Failed) {
    acts.truncate(failed.at + 1);
    let mut next = acts.len();
    for number in 0..SHORTENINGS_MAX {
        let Some(at) = next.checked_sub(1) else { break };
        next = at;
        let mut fewer = acts.clone();
        fewer.remove(at);
        let name = format!("{name}-s{number}");
        if let Err(again) = run(api, beyond, &name, &fewer).await {
            (acts, failed) = (fewer, again);
        }
    }
    (acts, failed)
}

async fn several_clients(api: &Api, beyond: bool, count: u64) {
    let mut dice = Dice::from_env("WHARF_STATES_SEED");
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..4 {
        clients.spawn(runs(api.clone(), beyond, client, dice.fork(), count));
    }
    while let Some(client) = clients.join_next().await {
        if let Err(error) = client {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_its_own_answers_as_the_model_says() {
    let wharfd = Wharfd::alone().await;
    several_clients(&wharfd.api, false, trials::size(3, 9)).await;
    assert_eq!(wharfd.metric("wharfd_uploads").await, 0);
    assert_eq!(wharfd.metric("wharfd_uploads_resting").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_answers_as_the_model_says_and_the_upstream_has_it() {
    let Some(stage) = Stage::start().await else { return };
    several_clients(stage.api(), true, trials::size(1, 3)).await;
    assert_eq!(stage.wharfd.metric("wharfd_uploads").await, 0);
    let stored = assert_all_stored_is_right(&stage.registry);
    assert!(stored.blobs > 0, "nothing arrived");
    let closed = async || (stage.double.open_uploads() == 0).then_some(());
    eventually("every upload at the upstream to be ended or given up", closed).await;
}
