//! `kill -9` at random moments of pushes, of `wharfd` and of the upstream, through and staged.
//! Clients try again as real ones do (`kills/client.rs`) and succeed in the end; bytes sent twice
//! are counted and printed. Then the upstream has no wrong content, every answered push is there,
//! and the only open uploads at the upstream are those of a killed `wharfd`, open at the moment of
//! its death (`kills/lost.rs`).
//!
//! `WHARF_KILLS` is the number of kills of each, `WHARF_KILLS_SEED` repeats the choices of chance;
//! the machine decides the moments.

mod client;
mod lost;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use wharf_testkit::dice::Dice;
use wharf_testkit::http::Client;
use wharf_testkit::processes::{Process, product};
use wharf_testkit::registry::Registry;
use wharf_testkit::trials;

use self::client::{Pushed, Pusher, Shared};
use self::lost::{Busy, Lost};
use crate::fixture::{
    Api, PASSWORD, START, USER, Wharfd, assert_all_stored_is_right, eventually, upstream_lines,
};

const PUSHERS: u64 = 4;
/// After a start the next kill comes within this time.
const CALM_MS: u64 = 350;
/// `wharfd` drops the requests of a dead client within this time.
const NOTICE: Duration = Duration::from_millis(40);

/// The double as a process to kill; it comes back at the same addresses. Its uploads are gone then,
/// but pushed content stays in the backing registry.
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

    /// The response of `/_double/`.
    async fn says(&self, action: &str) -> Value {
        let answer = Client::new().get(format!("{}/_double/{action}", self.url())).send().await;
        answer.unwrap().json().unwrap()
    }

    async fn open_uploads(&self) -> u64 {
        self.says("uploads").await["open"].as_u64().unwrap()
    }

    /// The open uploads after the death of every client, once the double has noticed it.
    async fn settled_uploads(&self) -> u64 {
        let mut open = self.open_uploads().await;
        loop {
            sleep(NOTICE).await;
            let before = std::mem::replace(&mut open, self.open_uploads().await);
            if before == open {
                return open;
            }
        }
    }
}

async fn spawn_double(
    folder: &Path,
    number: u32,
    [listen, storage]: [&str; 2],
    backing: &str,
) -> (Process, Value) {
    let mut command = Command::new(product("acr-double").unwrap());
    command.args(["--listen", listen, "--storage-listen", storage, "--backing", backing]);
    command.args(["--username", USER, "--password", PASSWORD]);
    let name = format!("acr-double-{number}");
    let mut process = Process::spawn(&name, &mut command, folder).unwrap();
    let said = process.wait_for_line(START, |line| serde_json::from_str(line).ok()).await.unwrap();
    (process, said)
}

/// The program to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Wharfd,
    Upstream,
}

struct Scene {
    wharfd: Wharfd,
    upstream: Upstream,
    registry: Registry,
    staged: bool,
    /// Bytes of content received by `wharfd` processes before their death.
    at_wharfd: u64,
    at_upstream: u64,
    lost: Lost,
}

impl Scene {
    async fn set(staged: bool) -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let upstream = Upstream::start(&registry).await;
        let mut lines = upstream_lines(&upstream.url(), USER);
        if staged {
            lines.push_str("push = \"staged\"\n");
        }
        let wharfd = Wharfd::with_config(&lines).await;
        let lost = Lost::default();
        Some(Self { wharfd, upstream, registry, staged, at_wharfd: 0, at_upstream: 0, lost })
    }

    fn behind(&self) -> Api {
        Api::new(self.registry.url(), Client::new())
    }

    async fn count_wharfd(&mut self) {
        self.at_wharfd += self.wharfd.metric("wharfd_received_bytes_total").await;
    }

    async fn count_upstream(&mut self) {
        self.at_upstream += self.upstream.says("counts").await["upload_bytes"].as_u64().unwrap();
    }

    async fn kill(&mut self, victim: Victim, shared: &Shared) {
        match victim {
            Victim::Wharfd => {
                self.count_wharfd().await;
                let busy = Busy::look(&self.wharfd, shared, self.staged).await;
                self.wharfd.kill();
                let most = busy.uploads_max(shared, self.staged);
                self.lost.found(self.upstream.settled_uploads().await, most);
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

/// Of each; in trials a hundred, and half as many in staged mode.
fn kills(staged: bool) -> u64 {
    let asked = std::env::var("WHARF_KILLS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(trials::size(10, if staged { 50 } else { 100 }))
}

/// Clients push during repeated kills; then every answered push is there.
async fn push_through_kills(victim: Victim, staged: bool) {
    let Some(mut scene) = Scene::set(staged).await else { return };
    let mut dice = Dice::from_env("WHARF_KILLS_SEED");
    let began = Instant::now();
    let shared = Arc::new(Shared::new(scene.wharfd.api.clone(), scene.behind(), staged));
    let mut pushers = JoinSet::new();
    for number in 0..PUSHERS {
        pushers.spawn(Pusher::new(number, dice.fork(), Arc::clone(&shared)).run());
    }
    for _ in 0..kills(staged) {
        sleep(Duration::from_millis(dice.below(CALM_MS))).await;
        scene.kill(victim, &shared).await;
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
    print(&scene, victim, &shared, &pushed, began.elapsed());
    assert!(pushed.len() as u64 >= PUSHERS, "nothing got through");
    assert_all_is_there(&scene, &pushed).await;
    assert_nothing_is_owed(&scene).await;
    let unanswered = shared.unanswered_posts.load(Ordering::SeqCst);
    assert_no_upload_is_left(&scene, &abandoned, unanswered).await;
}

#[expect(clippy::print_stderr, reason = "what was sent twice is what this is about")]
fn print(scene: &Scene, victim: Victim, shared: &Shared, pushed: &[Pushed], time: Duration) {
    let needed: u64 = pushed.iter().map(Pushed::size_bytes).sum();
    let [tries, resumed] =
        [&shared.tries, &shared.resumed].map(|counter| counter.load(Ordering::SeqCst));
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    eprintln!(
        "kill -9 of {victim:?} {} times in {time:.1?}{}: {} images, {} MiB in {tries} tries, {resumed} \
         uploads resumed; sent again {} MiB to wharfd, {} MiB to the upstream; {} uploads left there \
         of {} that died",
        kills(scene.staged),
        if scene.staged { ", staged" } else { "" },
        pushed.len(),
        mib(needed),
        mib(scene.at_wharfd.saturating_sub(needed)),
        mib(scene.at_upstream.saturating_sub(needed)),
        scene.lost.uploads,
        scene.lost.uploads_max,
    );
}

/// Every push with a 201 is complete at the backing registry, all other content there is right too,
/// and `wharfd` serves it.
async fn assert_all_is_there(scene: &Scene, pushed: &[Pushed]) {
    let behind = scene.behind();
    for image in pushed {
        for api in [&behind, &scene.wharfd.api] {
            let there = api.get_manifest(&image.repo, &image.tag).await;
            assert_eq!(there.body, image.manifest, "{} at {}", image.tag, api.base());
        }
        for (digest, content) in &image.blobs {
            let served = scene.wharfd.api.get_blob(&image.repo, digest).await;
            assert!(served.body == *content, "{digest} of {}: {}", image.tag, served.status);
        }
    }
    let stored = assert_all_stored_is_right(&scene.registry);
    assert!(stored.tags >= pushed.len(), "{stored:?}");
}

/// Blobs of pushes given up are delivered too; then the journal is empty.
async fn assert_nothing_is_owed(scene: &Scene) {
    let owed = async || (scene.wharfd.metric("wharfd_pending_blobs").await == 0).then_some(());
    eventually("all that is owed to be delivered", owed).await;
    let said = scene.wharfd.push_command("status", &["--output-format", "json"]).await;
    assert_eq!((said.code, &said.json()["blobs"]), (0, &0.into()), "{}", said.stdout);
}

/// A client cancels a given-up upload at the end. Then the only open uploads here are those with a
/// name lost in a kill, and at the upstream none of the living `wharfd`. The uploads of the dead
/// ones expire there.
async fn assert_no_upload_is_left(scene: &Scene, abandoned: &[String], unanswered: u64) {
    for location in abandoned {
        let gone = scene.wharfd.api.delete(location).await.status;
        assert!(gone == 204 || gone == 404, "{location}: {gone}");
    }
    let open = async || {
        let open = scene.wharfd.metric("wharfd_uploads").await;
        (open + scene.wharfd.metric("wharfd_uploads_resting").await <= unanswered).then_some(())
    };
    eventually("every upload here to be over", open).await;
    let Lost { uploads, .. } = scene.lost;
    let open = async || (scene.upstream.open_uploads().await <= uploads).then_some(());
    eventually("every upload of the living at the upstream to be over", open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_survive_kills_of_wharfd() {
    push_through_kills(Victim::Wharfd, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_survive_kills_of_the_upstream() {
    push_through_kills(Victim::Upstream, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_pushes_survive_kills_of_wharfd() {
    push_through_kills(Victim::Wharfd, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_pushes_survive_kills_of_the_upstream() {
    push_through_kills(Victim::Upstream, true).await;
}
