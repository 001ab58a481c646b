//! `kill -9` at random moments of pushes, of `wharfd` and of the upstream. Clients try again as real
//! ones do (`kills/client.rs`) and arrive; what they sent twice is counted and printed; nothing wrong
//! lies behind, and no upload is left open beyond those that nobody can know of.
//!
//! `WHARF_KILLS` says how often each is killed (50 by itself, so 100 in all), `WHARF_KILLS_SEED`
//! repeats what chance chose; the moments are the machine's.

mod client;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use wharf_testkit::dice::Dice;
use wharf_testkit::http::Client;
use wharf_testkit::processes::Process;
use wharf_testkit::registry::Registry;

use self::client::{Pusher, Shared};
use crate::fixture::{
    Api, PASSWORD, START, USER, Wharfd, assert_all_stored_is_right, eventually, upstream_lines,
};

const PUSHERS: u64 = 4;
/// After a start the next kill comes within this time.
const CALM_MS: u64 = 350;

/// The double as a process that can be killed; it comes back at the same addresses. Its uploads are
/// gone then, what was pushed is not: that lies behind it.
struct Upstream {
    process: Process,
    addr: String,
    storage: String,
    backing: String,
    folder: TempDir,
    starts: u32,
}

impl Upstream {
    async fn start(registry: &Registry) -> Self {
        let folder = TempDir::with_prefix("double-").unwrap();
        let (any, backing) = ("127.0.0.1:0", registry.url());
        let (process, line) = spawn_double(folder.path(), 0, [any, any], &backing).await;
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        let (addr, storage) = (text("addr"), text("storage_addr"));
        Self { process, addr, storage, backing, folder, starts: 1 }
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    async fn start_again(&mut self) {
        let addresses = [self.addr.as_str(), self.storage.as_str()];
        let started = spawn_double(self.folder.path(), self.starts, addresses, &self.backing);
        self.process = started.await.0;
        self.starts += 1;
    }

    /// What `/_double/` says.
    async fn says(&self, action: &str) -> Value {
        let answer = Client::new().get(format!("{}/_double/{action}", self.url())).send().await;
        answer.unwrap().json().unwrap()
    }

    async fn open_uploads(&self) -> u64 {
        self.says("uploads").await["open"].as_u64().unwrap()
    }
}

async fn spawn_double(
    folder: &Path,
    number: u32,
    [listen, storage]: [&str; 2],
    backing: &str,
) -> (Process, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acr-double"));
    command.args(["--listen", listen, "--storage-listen", storage, "--backing", backing]);
    command.args(["--username", USER, "--password", PASSWORD]);
    let name = format!("acr-double-{number}");
    let mut process = Process::spawn(&name, &mut command, folder).unwrap();
    let said = process.wait_for_line(START, |line| serde_json::from_str(line).ok()).await.unwrap();
    (process, said)
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Wharfd,
    Upstream,
}

struct Scene {
    wharfd: Wharfd,
    upstream: Upstream,
    registry: Registry,
    /// Bytes of content that those who were killed had taken before.
    at_wharfd: u64,
    at_upstream: u64,
}

impl Scene {
    async fn set() -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let upstream = Upstream::start(&registry).await;
        let wharfd = Wharfd::with_config(&upstream_lines(&upstream.url(), USER)).await;
        Some(Self { wharfd, upstream, registry, at_wharfd: 0, at_upstream: 0 })
    }

    async fn count_wharfd(&mut self) {
        self.at_wharfd += self.wharfd.metric("wharfd_received_bytes_total").await;
    }

    async fn count_upstream(&mut self) {
        self.at_upstream += self.upstream.says("counts").await["upload_bytes"].as_u64().unwrap();
    }

    async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Wharfd => {
                self.count_wharfd().await;
                self.wharfd.kill();
                self.wharfd.start_again().await;
            }
            Victim::Upstream => {
                self.count_upstream().await;
                self.upstream.process.kill().unwrap();
                self.upstream.start_again().await;
            }
        }
    }
}

fn kills() -> u64 {
    std::env::var("WHARF_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(50)
}

#[expect(clippy::print_stderr, reason = "what was sent twice is what this is about")]
async fn push_through_kills(victim: Victim) {
    let Some(mut scene) = Scene::set().await else { return };
    let mut dice = Dice::from_env("WHARF_KILLS_SEED");
    let (kills, began) = (kills(), Instant::now());
    let shared = Arc::new(Shared::new(scene.wharfd.api.clone()));
    let mut pushers = tokio::task::JoinSet::new();
    for number in 0..PUSHERS {
        pushers.spawn(Pusher::new(number, dice.fork(), Arc::clone(&shared)).run());
    }
    for _ in 0..kills {
        sleep(Duration::from_millis(dice.below(CALM_MS))).await;
        scene.kill(victim).await;
        shared.moved(scene.wharfd.api.clone());
    }
    shared.stop();
    let (mut pushed, mut abandoned) = (Vec::new(), Vec::new());
    while let Some(pusher) = pushers.join_next().await {
        let (images, left) = pusher.unwrap();
        pushed.extend(images);
        abandoned.extend(left);
    }
    scene.count_wharfd().await;
    scene.count_upstream().await;
    let needed: u64 = pushed.iter().map(|image| image.size_bytes).sum();
    let [tries, unanswered, resumed] = [&shared.tries, &shared.unanswered_posts, &shared.resumed]
        .map(|counter| counter.load(Ordering::SeqCst));
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    eprintln!(
        "kill -9 of {victim:?} {kills} times in {:.1?}: {} images, {} MiB in {tries} tries, {resumed} \
         uploads resumed; sent again {} MiB to wharfd, {} MiB to the upstream; {} uploads given up",
        began.elapsed(),
        pushed.len(),
        mib(needed),
        mib(scene.at_wharfd.saturating_sub(needed)),
        mib(scene.at_upstream.saturating_sub(needed)),
        abandoned.len(),
    );
    assert!(pushed.len() as u64 >= PUSHERS, "nothing got through");

    // All that was answered 201 is there, whole, and so is all else.
    let behind = Api::new(scene.registry.url(), Client::new());
    for image in &pushed {
        let there = behind.get_manifest(&image.repo, &image.tag).await;
        assert_eq!(there.body, image.manifest, "{}", image.tag);
    }
    let stored = assert_all_stored_is_right(&scene.registry);
    assert!(stored.tags >= pushed.len(), "{stored:?}");
    assert_no_upload_is_left(&scene, victim, &abandoned, unanswered).await;
}

/// A client that gives an upload up tells it at the end: then none is open here, but those whose name
/// a kill kept from the client. At the upstream none is either, but those of a `wharfd` that was
/// killed while it had them: these expire there.
async fn assert_no_upload_is_left(
    scene: &Scene,
    victim: Victim,
    abandoned: &[String],
    unanswered: u64,
) {
    for location in abandoned {
        let gone = scene.wharfd.api.delete(location).await.status;
        assert!(gone == 204 || gone == 404, "{location}: {gone}");
    }
    let open = async || {
        let open = scene.wharfd.metric("wharfd_uploads").await;
        (open + scene.wharfd.metric("wharfd_uploads_resting").await <= unanswered).then_some(())
    };
    eventually("every upload here to be over", open).await;
    let lost = match victim {
        Victim::Upstream => 0,
        Victim::Wharfd => kills() * PUSHERS,
    };
    let open = async || (scene.upstream.open_uploads().await <= lost).then_some(());
    eventually("every upload at the upstream to be over", open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_survive_kills_of_wharfd() {
    push_through_kills(Victim::Wharfd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_survive_kills_of_the_upstream() {
    push_through_kills(Victim::Upstream).await;
}
