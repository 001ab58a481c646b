//! A release by `wharf promote`: the record beside each promoted image, the locks, and the page for a
//! pull request, on a registry with ACR's habits and on one without.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use wharf_double::{Account, AcrDouble, DoubleConfig};
use wharf_testkit::clients::{self, require};
use wharf_testkit::http::Client;
use wharf_testkit::offers::{Offer, PLAN};
use wharf_testkit::registry::Registry;

use crate::fixture::Api;
use crate::sources::{Said, shell};

const USER: &str = "publisher";
const PASSWORD: &str = "planted-password-8d20";

/// Where an image comes from and where it goes, behind the prefixes of both registries.
const STAGED: &str = "yard/tide/service";
const SOLD: &str = "sold/tide/service";

/// An offer whose image is in the yard, on a registry without any habits of ACR; the harbour has them.
struct Scene {
    folder: TempDir,
    harbour: AcrDouble,
    yard: Registry,
    behind: Registry,
}

impl Scene {
    async fn set() -> Option<Self> {
        let (yard, behind) = (Registry::start().await.unwrap()?, Registry::start().await.unwrap()?);
        let setup = DoubleConfig::new(behind.url()).account(Account::admin(USER, PASSWORD));
        let harbour = AcrDouble::start(setup).await.unwrap();
        let scene =
            Self { folder: TempDir::with_prefix("released-").unwrap(), harbour, yard, behind };
        let mut offer = Offer::healthy();
        let yard = scene.yard.addr();
        offer.add_after(
            "registries:\n",
            &format!(
                "  yard: {{ loginServer: \"{yard}\", plainHttp: true, prefix: yard }}\n  \
                 attic: {{ loginServer: \"{yard}\", plainHttp: true, prefix: attic }}\n"
            ),
        );
        let host = scene.harbour.addr();
        offer.replace(
            "loginServer: quayharbour.azurecr.io",
            &format!("loginServer: \"{host}\"\n    plainHttp: true"),
        );
        offer.write(scene.folder.path()).unwrap();
        for platform in ["amd64", "arm64"] {
            let folder = scene.path(&format!("root/{platform}/srv/tide"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("tided"), platform).unwrap();
        }
        scene.ok(&["package", &scene.offer()]).await;
        scene.ok(&["push", &scene.offer(), "--to", "yard"]).await;
        Some(scene)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn offer(&self) -> String {
        self.text("offer.yaml")
    }

    async fn run(&self, words: &[&str]) -> Said {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let line = format!(
            "HARBOUR_USER={USER} HARBOUR_PASSWORD={PASSWORD} GITHUB_ACTOR=ann \
             GITHUB_SERVER_URL= exec \"$0\" \"$@\" </dev/null"
        );
        shell(&line, &words).await
    }

    async fn ok(&self, words: &[&str]) -> Said {
        let said = self.run(words).await;
        assert_eq!(said.code, 0, "{words:?}: {}\n{}", said.stdout, said.stderr);
        said
    }

    /// Plans from the yard to another registry; the file of the plan.
    async fn plan(&self, to: &str) -> String {
        let plan = self.text(&format!("{to}.json"));
        let from = ["promote", "plan", &self.offer(), "--from", "yard", "--to", to];
        self.ok(&[&from[..], &["--output", &plan]].concat()).await;
        plan
    }

    /// Applies a plan from its begin.
    async fn apply(&self, plan: &str, options: &[&str]) -> Said {
        let _ = fs::remove_file(format!("{plan}.ledger"));
        let words = ["promote", "apply", plan, "--output-format", "json"];
        self.run(&[&words[..], options].concat()).await
    }

    /// What stands behind the harbour, read past it.
    fn behind(&self) -> Api {
        Api::new(self.behind.url(), Client::new())
    }
}

/// The one image of a result.
fn sealed(said: &Said) -> Value {
    said.result()["sealed"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_recorded_once_and_the_record_is_read_by_others() {
    let Some(scene) = Scene::set().await else { return };
    let (Some(oras), Some(regctl)) = (require("oras"), require("regctl")) else { return };
    let plan = scene.plan("attic").await;
    let said = scene.apply(&plan, &["--record"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    // The index, and the image of each platform with a tag of its own.
    let records = sealed(&said)["records"].as_array().unwrap().clone();
    assert_eq!(records.len(), 3, "{}", said.stdout);
    assert!(records.iter().all(|record| record["already"] == false), "{}", said.stdout);
    let again = scene.apply(&plan, &["--record", "--record-by", "bob"]).await;
    let repeated = sealed(&again)["records"].as_array().unwrap().clone();
    assert!(repeated.iter().all(|record| record["already"] == true), "{}", again.stdout);
    let digests = |all: &[Value]| all.iter().map(|at| at["digest"].clone()).collect::<Vec<_>>();
    assert_eq!(digests(&repeated), digests(&records));

    let host = scene.yard.addr();
    let image = format!("{host}/attic/tide/service:latest");
    let discovered =
        oras.run_ok(["discover", "--plain-http", "--format", "json", &image]).await.unwrap();
    let discovered: Value = serde_json::from_str(&discovered.stdout).unwrap();
    let referrers = discovered["referrers"].as_array().or(discovered["manifests"].as_array());
    let promotions: Vec<&Value> = (referrers.unwrap().iter())
        .filter(|at| at["annotations"]["in-toto.io/predicate-type"] == "urn:wharf:promotion:v1")
        .collect();
    assert_eq!(promotions.len(), 1, "{discovered}");
    let record = promotions[0]["digest"].as_str().unwrap();
    let endpoint = format!("reg={host},tls=disabled");
    let listed = regctl.run_ok(["--host", &endpoint, "artifact", "list", &image]).await.unwrap();
    assert!(listed.stdout.contains(record), "{}", listed.stdout);
    let at = format!("{host}/attic/tide/service@{record}");
    let said = regctl.run_ok(["--host", &endpoint, "artifact", "get", &at]).await.unwrap();
    let statement: Value = serde_json::from_str(&said.stdout).unwrap();
    let predicate = &statement["predicate"];
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(predicate["from"], format!("{host}/{STAGED}"));
    assert_eq!(predicate["to"], format!("{host}/attic/tide/service"));
    assert_eq!(predicate["promotedBy"], "ann");
    assert_eq!(predicate["plan"]["plan"], PLAN);
    let written: Value = serde_json::from_slice(&fs::read(&plan).unwrap()).unwrap();
    let of_plan = format!("sha256:{}", predicate["plan"]["digest"]["sha256"].as_str().unwrap());
    assert_eq!(written["planDigest"], of_plan);
    if let Some(cosign) = clients::of_trials("bin/cosign") {
        let words = ["tree", "--experimental-oci11", "--allow-http-registry", &image];
        let tree = cosign.run_ok(words).await.unwrap();
        assert!(tree.stdout.contains(record), "{}", tree.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_recorded_or_locked_unless_it_is_asked_for() {
    let Some(scene) = Scene::set().await else { return };
    let plan = scene.plan("harbour").await;
    let said = scene.apply(&plan, &[]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.result().get("sealed").is_none(), "{}", said.stdout);
    let changes = scene.harbour.journal().into_iter().filter(|entry| entry.method == "PATCH");
    assert_eq!(changes.filter(|entry| entry.path.starts_with("/acr/")).count(), 0);
    let tags = scene.behind().get(&format!("/v2/{SOLD}/tags/list")).await.json().unwrap();
    let lists = tags["tags"].as_array().unwrap().iter().filter_map(Value::as_str);
    for list in lists.filter(|tag| tag.starts_with("sha256-")) {
        let list = scene.behind().get_manifest(SOLD, list).await.text();
        assert!(!list.contains("urn:wharf:promotion"), "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_release_can_neither_be_moved_nor_deleted_but_latest_goes_on() {
    let Some(scene) = Scene::set().await else { return };
    let Some(crane) = require("crane") else { return };
    let plan = scene.plan("harbour").await;
    let said = scene.apply(&plan, &["--lock", "--record"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(sealed(&said)["lock"], "locked");
    let planned: Value = serde_json::from_slice(&fs::read(&plan).unwrap()).unwrap();
    // Again, by a plan that finds it in place and lists no manifests: no harm.
    let plan = scene.plan("harbour").await;
    let again = scene.apply(&plan, &["--lock", "--record"]).await;
    assert_eq!((again.code, &sealed(&again)["lock"]), (0, &"locked".into()), "{}", again.stderr);

    fs::write(scene.path("root/amd64/srv/tide/tided"), "another program").unwrap();
    scene.ok(&["package", &scene.offer()]).await;
    let layout = scene.text(&format!("out/{PLAN}"));
    let host = scene.harbour.addr();
    let login = ["--username", USER, "--password-from", "env:HARBOUR_PASSWORD", "--plain-http"];
    for (tag, code) in [("1.4.0-all", 3), ("latest", 0)] {
        let to = format!("{host}/{SOLD}:{tag}");
        let words = ["push", &layout, &to, "--allow-tag-move"];
        let said = scene.run(&[&words[..], &login].concat()).await;
        assert_eq!(said.code, code, "{tag}: {}", said.stderr);
        assert_eq!(said.stderr.contains("is locked"), code != 0, "{tag}: {}", said.stderr);
    }
    // Everything of the release is still there, child by child.
    let manifests = planned["content"]["items"][0]["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 3);
    let docker = scene.path("docker");
    fs::create_dir_all(&docker).unwrap();
    let login = ["auth", "login", &host.to_string(), "-u", USER, "-p", PASSWORD];
    let config = docker.display().to_string();
    let env = [("DOCKER_CONFIG", config.as_str())];
    let logged_in = clients_run(&crane, &login, &env).await;
    assert!(logged_in, "crane logs in");
    for manifest in manifests {
        let at = format!("{host}/{SOLD}@{}", manifest["digest"].as_str().unwrap());
        assert!(!clients_run(&crane, &["delete", "--insecure", &at], &env).await, "{at}");
        assert!(clients_run(&crane, &["manifest", "--insecure", &at], &env).await, "{at}");
    }
}

/// Whether a client with these variables ends well.
async fn clients_run(client: &clients::Client, words: &[&str], env: &[(&str, &str)]) -> bool {
    let mut command = tokio::process::Command::new(client.path());
    command.args(words).envs(env.iter().copied());
    client.run_with(&mut command, clients::COMMAND_TIME).await.unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_locks_is_named_and_the_release_is_partial() {
    let Some(scene) = Scene::set().await else { return };
    let plan = scene.plan("attic").await;
    let said = scene.apply(&plan, &["--lock"]).await;
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert_eq!(sealed(&said)["lock"], "unsupported");
    assert_eq!(said.result()["items"][0]["state"], "promoted");
    let words = format!("{} has no locks", scene.yard.addr());
    assert!(said.stderr.contains(&words), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_apply_makes_up_for_records_and_locks() {
    let Some(scene) = Scene::set().await else { return };
    let plan = scene.plan("harbour").await;
    assert_eq!(scene.apply(&plan, &[]).await.code, 0);
    let words = ["promote", "apply", &plan, "--resume", "--record", "--lock"];
    let json = ["--output-format", "json"];
    let said = scene.ok(&[&words[..], &json].concat()).await;
    assert_eq!(said.result()["items"][0]["state"], "already");
    assert_eq!(sealed(&said)["records"].as_array().unwrap().len(), 3);
    assert_eq!(sealed(&said)["lock"], "locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_tells_a_release_before_and_after_it() {
    let Some(scene) = Scene::set().await else { return };
    let (plan, before) = (scene.text("plan.json"), scene.text("before.md"));
    let from = ["promote", "plan", &scene.offer(), "--from", "yard", "--to", "harbour"];
    let report = format!("markdown={before}");
    scene.ok(&[&from[..], &["--output", &plan, "--report", &report]].concat()).await;
    let text = fs::read_to_string(&before).unwrap();
    assert!(text.starts_with("## ⏳ tide: yard"), "{text}");
    assert!(text.contains("⏳ copy") && text.contains(SOLD) && text.contains(STAGED), "{text}");
    assert!(text.contains(&format!("wharf promote apply {plan}")), "{text}");
    let after = scene.text("after.md");
    let report = format!("markdown={after}");
    let said = scene.apply(&plan, &["--record", "--lock", "--report", &report]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let text = fs::read_to_string(&after).unwrap();
    assert!(text.starts_with("## ✅ tide: yard"), "{text}");
    for words in ["✅ promoted", "1.4.0-all<br>", "sent<br>", "which refers to", "record sha256"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains(&format!("wharf promote undo {plan}.ledger")), "{text}");
    // Reports replace nothing that is read, and have one format.
    for (target, word) in [
        (format!("markdown={plan}"), "read by this command"),
        ("html=x".to_owned(), "markdown=FILE"),
        ("markdown=-".to_owned(), "name a file"),
    ] {
        let said = scene.apply(&plan, &["--report", &target]).await;
        assert!(said.code == 2 && said.stderr.contains(word), "{target}: {}", said.stderr);
    }
    // The page of a step gets it added.
    let summary = scene.text("summary.md");
    fs::write(&summary, "# before\n").unwrap();
    let plan = scene.plan("harbour").await;
    let words = ["promote", "apply", &plan, "--report", &format!("markdown={summary}")];
    let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    let line = format!(
        "HARBOUR_USER={USER} HARBOUR_PASSWORD={PASSWORD} GITHUB_STEP_SUMMARY='{summary}' \
         exec \"$0\" \"$@\" </dev/null"
    );
    assert_eq!(shell(&line, &words).await.code, 0);
    let text = fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("# before\n## ✅"), "{text}");
}
