#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::json;
use wharf_oci::{Algorithm, Digest, Digester, MediaType, Reference};

use super::apply::{Apply, ImageOutcome};
use super::companions::CompanionAction;
use super::ledger::{BeginItem, Event, Ledger, LedgerHistory};
use super::plan::{
    Content, ManifestTexts, PLAN_BYTES_MAX, Plan, PlanAction, PlanError, RegistryRef, TagStep,
    decide,
};
use super::planner::{PlanRequest, Planner, WantedTag};
use super::undo::{UndoState, undo};
use super::*;
use crate::registry::fake::{Fake, Fault, Shared, start};
use crate::registry::{Options, Policy, Registry};

/// A registry with images in `stage/NAME`, and everything a promotion to `prod/NAME` needs.
struct Journey {
    shared: Shared,
    address: String,
    registry: Arc<Registry>,
    folder: tempfile::TempDir,
}

fn digest(bytes: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, bytes)
}

impl Journey {
    async fn new(names: &[&str]) -> Self {
        let (shared, address) = start(Fake { mounts: true, ..Fake::default() }).await;
        let pause = Duration::from_millis(1);
        let policy =
            Policy { attempts: 2, first_pause: pause, pause_max: pause, asked_pause_max: pause };
        let options = Options { policy, ..Options::default() };
        let registry = Registry::new(address.parse().unwrap(), true, None, options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let journey = Self { shared, address, registry: Arc::new(registry), folder };
        for name in names {
            journey.stage(name, "one");
        }
        journey
    }

    /// Puts an image of one platform into staging: tags `1.0-amd64`, `1.0` and `latest`.
    fn stage(&self, name: &str, content: &str) {
        let repo = format!("stage/{name}");
        let mut fake = self.shared.lock().unwrap();
        let mut blob = |media_type: MediaType, text: String| {
            let digest = digest(text.as_bytes());
            let size = text.len();
            fake.blobs.insert((repo.clone(), digest.to_string()), Bytes::from(text));
            json!({"mediaType": media_type, "digest": digest, "size": size})
        };
        let config = blob(MediaType::OCI_CONFIG, format!("{{\"name\":\"{name}{content}\"}}"));
        let layer = blob(MediaType::OCI_LAYER_GZIP, format!("layer {content}"));
        let image = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
        let child = json!({
            "mediaType": MediaType::OCI_MANIFEST, "digest": digest(image.as_bytes()),
            "size": image.len(), "platform": {"os": "linux", "architecture": "amd64"},
        });
        let index = json!({"schemaVersion": 2, "manifests": [child]}).to_string();
        let mut put = |reference: String, media_type: &MediaType, text: &str| {
            let value = (media_type.to_string(), Bytes::from(text.to_owned()));
            fake.manifests.insert((repo.clone(), reference), value);
        };
        for reference in [digest(image.as_bytes()).to_string(), "1.0-amd64".to_owned()] {
            put(reference, &MediaType::OCI_MANIFEST, &image);
        }
        for reference in [digest(index.as_bytes()).to_string(), "1.0".into(), "latest".into()] {
            put(reference, &MediaType::OCI_INDEX, &index);
        }
    }

    fn tag(&self, repo: &str, tag: &str) -> Option<Digest> {
        let fake = self.shared.lock().unwrap();
        fake.manifests.get(&(repo.to_owned(), tag.to_owned())).map(|(_, bytes)| digest(bytes))
    }

    /// Points a tag at other content.
    fn point(&self, repo: &str, tag: &str) {
        let mut fake = self.shared.lock().unwrap();
        let other = Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#);
        let value = (MediaType::OCI_INDEX.to_string(), other.clone());
        fake.manifests.insert((repo.to_owned(), tag.to_owned()), value.clone());
        fake.manifests.insert((repo.to_owned(), digest(&other).to_string()), value);
    }

    async fn plan(&self, names: &[&str], allow_tag_move: bool) -> Plan {
        self.plan_with(names, allow_tag_move, false).await
    }

    async fn plan_with(&self, names: &[&str], allow_tag_move: bool, late: bool) -> Plan {
        let tags = ["1.0-amd64", "1.0", "latest"];
        let requests = names.iter().map(|name| PlanRequest {
            plan: (*name).to_owned(),
            source: format!("stage/{name}").parse().unwrap(),
            destination: format!("prod/{name}").parse().unwrap(),
            tags: tags.map(|tag| WantedTag::from(tag.parse::<wharf_oci::Tag>().unwrap())).into(),
        });
        let requests: Vec<PlanRequest> = requests.collect();
        let (from, to) = (Arc::clone(&self.registry), Arc::clone(&self.registry));
        let planner = Planner::new(from, to, allow_tag_move, late);
        let (items, manifests) = planner.plan(&requests, &|_| {}).await.unwrap();
        let side = |name: &str| RegistryRef {
            name: name.to_owned(),
            login_server: self.address.parse().unwrap(),
            plain_http: true,
            credentials: None,
            offer_folder: ".".into(),
        };
        let (from, to) = (side("staging"), side("production"));
        Plan::new(Content { offer: "o".to_owned(), from, to, allow_tag_move, items, manifests })
    }

    fn ledger(&self, plan: &Plan) -> Ledger {
        let ledger = Ledger::create(&self.ledger_path()).unwrap();
        let content = plan.content();
        let items = content.items.iter().map(|item| BeginItem {
            plan: item.plan.clone(),
            destination: item.destination.clone(),
            tags: item.tags.iter().map(|step| (step.tag.clone(), step.digest)).collect(),
        });
        let (plan_digest, offer) = (plan.digest(), content.offer.clone());
        let (to, items) = (content.to.clone(), items.collect());
        ledger.append(Event::Begin { plan_digest, offer, to, items }).unwrap();
        ledger
    }

    fn ledger_path(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger")
    }

    async fn apply(&self, plan: &Plan) -> Vec<ImageOutcome> {
        self.run(plan, &self.ledger(plan), None).await
    }

    async fn run(
        &self,
        plan: &Plan,
        ledger: &Ledger,
        history: Option<LedgerHistory>,
    ) -> Vec<ImageOutcome> {
        let (from, to) = (Arc::clone(&self.registry), Arc::clone(&self.registry));
        let read_back = true;
        let apply = Apply { content: plan.content(), from, to, ledger, history, read_back };
        apply.run(&()).await.unwrap()
    }

    fn faults(&self, faults: Vec<Fault>) {
        self.shared.lock().unwrap().faults = faults.into();
    }
}

fn states(outcomes: &[ImageOutcome]) -> Vec<ImageState> {
    outcomes.iter().map(|outcome| outcome.state).collect()
}

fn history(path: &Path) -> LedgerHistory {
    super::ledger::open(path).unwrap()
}

#[tokio::test]
async fn everything_is_mounted_and_latest_comes_after_all_other_tags() {
    let journey = Journey::new(&["a", "b"]).await;
    let plan = journey.plan(&["a", "b"], false).await;
    let outcomes = journey.apply(&plan).await;
    assert_eq!(states(&outcomes), [ImageState::Promoted, ImageState::Promoted]);
    assert!(outcomes.iter().all(|outcome| outcome.moved.sent_bytes == 0));
    for tag in ["1.0-amd64", "1.0", "latest"] {
        assert_eq!(journey.tag("prod/a", tag), journey.tag("stage/a", tag));
        assert_eq!(journey.tag("prod/b", tag), journey.tag("stage/b", tag));
    }
    let fake = journey.shared.lock().unwrap();
    let puts = fake.seen.iter().filter(|seen| seen.method == Method::PUT);
    let written: Vec<(&str, &str)> = puts
        .filter_map(|seen| seen.path.rsplit_once("/manifests/"))
        .filter(|(_, reference)| !reference.contains(':'))
        .collect();
    for repo in ["/v2/prod/a", "/v2/prod/b"] {
        let tags = written.iter().filter(|(at, _)| *at == repo).map(|(_, tag)| *tag);
        assert_eq!(tags.collect::<Vec<_>>(), ["1.0-amd64", "1.0", "latest"]);
    }
    let floating = written.iter().position(|(_, tag)| *tag == "latest");
    assert_eq!(floating, Some(4), "{written:?}");
}

#[tokio::test]
async fn what_is_promoted_already_is_not_touched() {
    let journey = Journey::new(&["a"]).await;
    journey.apply(&journey.plan(&["a"], false).await).await;
    std::fs::remove_file(journey.ledger_path()).unwrap();
    let again = journey.plan(&["a"], false).await;
    assert_eq!(again.content().items[0].action, PlanAction::UpToDate);
    journey.shared.lock().unwrap().seen.clear();
    assert_eq!(states(&journey.apply(&again).await), [ImageState::UpToDate]);
    assert!(journey.shared.lock().unwrap().seen.is_empty(), "the plan has looked");
}

#[tokio::test]
async fn lost_refused_and_changed_images_are_named_and_the_others_go_on() {
    let journey = Journey::new(&["good", "moved", "changed"]).await;
    journey.point("prod/moved", "1.0");
    let plan = journey.plan(&["lost", "moved", "changed", "good"], false).await;
    assert_eq!(plan.content().items[0].action, PlanAction::Missing);
    journey.stage("changed", "two");
    let outcomes = journey.apply(&plan).await;
    let expected =
        [ImageState::Missing, ImageState::Refused, ImageState::Refused, ImageState::Promoted];
    assert_eq!(states(&outcomes), expected);
    let url = format!("http://{}/v2/stage/lost/manifests/1.0-amd64", journey.address);
    assert!(outcomes[0].reason.contains(&url), "{}", outcomes[0].reason);
    assert!(outcomes[1].reason.contains("--allow-tag-move"));
    assert!(outcomes[2].reason.contains("the plan says"));
    assert_eq!(journey.tag("prod/changed", "1.0"), None);
    assert_eq!(
        history(&journey.ledger_path()).counts(),
        [("lost", 1), ("promoted", 1), ("refused", 2)].into()
    );
}

#[tokio::test]
async fn a_tag_that_moved_after_the_plan_is_not_overwritten() {
    let journey = Journey::new(&["a"]).await;
    let plan = journey.plan(&["a"], true).await;
    journey.point("prod/a", "latest");
    let before = journey.tag("prod/a", "latest");
    assert_eq!(states(&journey.apply(&plan).await), [ImageState::Refused]);
    assert_eq!(journey.tag("prod/a", "latest"), before);
}

#[tokio::test]
async fn a_failed_run_goes_on_from_its_ledger() {
    let journey = Journey::new(&["a", "b"]).await;
    let plan = journey.plan(&["a", "b"], false).await;
    journey.faults((0..2).map(|_| Fault::At(Method::PUT, "prod/a/manifests", 500)).collect());
    assert_eq!(states(&journey.apply(&plan).await), [ImageState::Failed, ImageState::Promoted]);
    assert_eq!(journey.tag("prod/a", "latest"), None);
    journey.shared.lock().unwrap().seen.clear();
    let (ledger, history) = Ledger::reopen(&journey.ledger_path()).unwrap();
    let outcomes = journey.run(&plan, &ledger, Some(history)).await;
    assert_eq!(states(&outcomes), [ImageState::Promoted, ImageState::UpToDate]);
    assert!(journey.tag("prod/a", "latest").is_some());
    let fake = journey.shared.lock().unwrap();
    let posts = fake.seen.iter().filter(|seen| seen.method == Method::POST);
    assert_eq!(posts.count(), 0, "blobs that are there are not asked for again");
}

#[tokio::test]
async fn undo_puts_tags_back_and_leaves_what_it_must_not_touch() {
    let journey = Journey::new(&["a", "b"]).await;
    journey.point("prod/a", "latest");
    journey.point("prod/b", "latest");
    let before = journey.tag("prod/a", "latest");
    let plan = journey.plan(&["a", "b"], false).await;
    assert_eq!(states(&journey.apply(&plan).await), [ImageState::Promoted, ImageState::Promoted]);
    journey.stage("b", "three");
    let moved =
        journey.shared.lock().unwrap().manifests[&("stage/b".into(), "latest".into())].clone();
    journey.shared.lock().unwrap().manifests.insert(("prod/b".into(), "latest".into()), moved);
    let (ledger, history) = Ledger::reopen(&journey.ledger_path()).unwrap();
    let undone = undo(&history, &journey.registry, &ledger).await.unwrap();
    let of = |name: &str| undone.iter().find(|tag| tag.name.ends_with(name)).unwrap().state;
    assert_eq!(of("prod/a:latest"), UndoState::Restored);
    assert_eq!(of("prod/a:1.0"), UndoState::WasNew);
    assert_eq!(of("prod/b:latest"), UndoState::MovedSince);
    assert_eq!(journey.tag("prod/a", "latest"), before);
    drop(ledger);
    let (_, history) = Ledger::reopen(&journey.ledger_path()).unwrap();
    assert!(history.item("a").unwrap().tags.iter().all(|tag| tag.tag.as_str() != "latest"));
}

impl Journey {
    /// Puts a signature of `stage/NAME:1.0` under a tag, with these layers.
    fn sign(&self, repo: &str, subject: Digest, layers: &[&str]) {
        let mut fake = self.shared.lock().unwrap();
        let mut blob = |text: &str| {
            let digest = digest(text.as_bytes());
            let key = (repo.to_owned(), digest.to_string());
            fake.blobs.insert(key, Bytes::from(text.to_owned()));
            json!({"mediaType": MediaType::OCI_LAYER, "digest": digest, "size": text.len()})
        };
        let config = blob("{}");
        let layers: Vec<_> = layers.iter().map(|layer| blob(layer)).collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
        let value = (MediaType::OCI_MANIFEST.to_string(), Bytes::from(manifest.clone()));
        let tag = format!("sha256-{}.sig", subject.hex());
        for reference in [digest(manifest.as_bytes()).to_string(), tag] {
            fake.manifests.insert((repo.to_owned(), reference), value.clone());
        }
    }

    /// Attaches an artifact to a manifest, listed under the tag of registries without the API.
    fn attach(&self, repo: &str, subject: Digest, content: &str) -> Digest {
        let empty =
            json!({"mediaType": MediaType::OCTET_STREAM, "digest": digest(b"{}"), "size": 2});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": empty, "layers": [],
            "artifactType": "application/x", "annotations": {"what": content},
            "subject": {"mediaType": MediaType::OCI_INDEX, "digest": subject, "size": 1},
        })
        .to_string();
        let attached = digest(manifest.as_bytes());
        let entry = json!({
            "mediaType": MediaType::OCI_MANIFEST, "digest": attached, "size": manifest.len(),
        });
        let index = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [entry],
        })
        .to_string();
        let mut fake = self.shared.lock().unwrap();
        let config = (repo.to_owned(), digest(b"{}").to_string());
        fake.blobs.insert(config, Bytes::from_static(b"{}"));
        let list = format!("sha256-{}", subject.hex());
        for (reference, media_type, text) in [
            (attached.to_string(), MediaType::OCI_MANIFEST, manifest),
            (list, MediaType::OCI_INDEX, index),
        ] {
            let value = (media_type.to_string(), Bytes::from(text));
            fake.manifests.insert((repo.to_owned(), reference), value);
        }
        attached
    }

    /// The listed referrers of a manifest at the destination.
    async fn listed(&self, subject: Digest) -> Vec<Digest> {
        let repo = "prod/a".parse().unwrap();
        let mut listed = self.registry.referrers(&repo, &subject).await.unwrap();
        listed.sort();
        listed
    }
}

fn actions(outcome: &ImageOutcome) -> Vec<CompanionAction> {
    outcome.companions.iter().map(|companion| companion.action).collect()
}

#[tokio::test]
async fn signatures_and_attachments_go_along_and_what_is_there_stays() {
    let journey = Journey::new(&["a"]).await;
    let subject = journey.tag("stage/a", "1.0").unwrap();
    let sig = format!("sha256-{}.sig", subject.hex());
    journey.sign("stage/a", subject, &["one"]);
    let ours = journey.attach("stage/a", subject, "ours");
    let theirs = journey.attach("prod/a", subject, "theirs");
    let plan = journey.plan(&["a"], false).await;
    assert_eq!(plan.content().items[0].companions.len(), 2);
    let outcomes = journey.apply(&plan).await;
    assert_eq!(states(&outcomes), [ImageState::Promoted]);
    assert_eq!(actions(&outcomes[0]), [CompanionAction::Copied; 2]);
    assert_eq!(journey.tag("prod/a", &sig), journey.tag("stage/a", &sig));
    let mut both = vec![ours, theirs];
    both.sort();
    assert_eq!(journey.listed(subject).await, both);
    // The signature came before the tag for pulls.
    let fake = journey.shared.lock().unwrap();
    let puts = fake.seen.iter().filter(|seen| seen.method == Method::PUT);
    let order: Vec<&str> = puts.map(|seen| seen.path.rsplit('/').next().unwrap()).collect();
    let at = |name: &str| order.iter().position(|put| *put == name).unwrap();
    assert!(at(&sig) < at("1.0-amd64") && at("1.0") < at("latest"));
}

#[tokio::test]
async fn an_image_that_was_signed_after_its_promotion_gets_its_signatures_later() {
    let journey = Journey::new(&["a"]).await;
    journey.apply(&journey.plan(&["a"], false).await).await;
    let subject = journey.tag("stage/a", "1.0").unwrap();
    let sig = format!("sha256-{}.sig", subject.hex());
    for layers in [["one"].as_slice(), &["one", "two"]] {
        journey.sign("stage/a", subject, layers);
        std::fs::remove_file(journey.ledger_path()).unwrap();
        let quick = journey.plan(&["a"], false).await;
        assert_eq!(quick.content().items[0].action, PlanAction::UpToDate);
        let plan = journey.plan_with(&["a"], false, true).await;
        assert_eq!(plan.content().items[0].action, PlanAction::Copy);
        let outcomes = journey.apply(&plan).await;
        assert_eq!(actions(&outcomes[0]), [CompanionAction::Copied]);
        assert_eq!(journey.tag("prod/a", &sig), journey.tag("stage/a", &sig));
    }
    std::fs::remove_file(journey.ledger_path()).unwrap();
    let again = journey.plan_with(&["a"], false, true).await;
    assert_eq!(again.content().items[0].action, PlanAction::UpToDate);
}

#[tokio::test]
async fn signatures_that_only_the_destination_has_are_left_and_named() {
    let journey = Journey::new(&["a"]).await;
    let subject = journey.tag("stage/a", "1.0").unwrap();
    let sig = format!("sha256-{}.sig", subject.hex());
    journey.sign("stage/a", subject, &["ours"]);
    journey.sign("prod/a", subject, &["theirs"]);
    let before = journey.tag("prod/a", &sig);
    let plan = journey.plan(&["a"], false).await;
    assert_eq!(plan.content().items[0].left_behind.len(), 1);
    let outcomes = journey.apply(&plan).await;
    assert_eq!(states(&outcomes), [ImageState::Promoted]);
    assert_eq!(actions(&outcomes[0]), [CompanionAction::Left]);
    assert!(outcomes[0].companions[0].to_string().contains(&sig));
    assert_eq!(journey.tag("prod/a", &sig), before);
}

#[tokio::test]
async fn bytes_that_are_there_are_counted_as_skipped_after_a_resume_too() {
    let journey = Journey::new(&["a", "b"]).await;
    let plan = journey.plan(&["a", "b"], false).await;
    let sizes: Vec<u64> = plan.content().items.iter().map(super::plan::Item::size_bytes).collect();
    journey.faults((0..2).map(|_| Fault::At(Method::PUT, "prod/a/manifests", 500)).collect());
    assert_eq!(states(&journey.apply(&plan).await), [ImageState::Failed, ImageState::Promoted]);
    let (ledger, history) = Ledger::reopen(&journey.ledger_path()).unwrap();
    let outcomes = journey.run(&plan, &ledger, Some(history)).await;
    assert_eq!(states(&outcomes), [ImageState::Promoted, ImageState::UpToDate]);
    let skipped: Vec<u64> = outcomes.iter().map(|outcome| outcome.moved.skipped_bytes).collect();
    assert_eq!(skipped, sizes);
}

#[tokio::test]
async fn what_was_undone_is_done_again_by_a_resume() {
    let journey = Journey::new(&["a"]).await;
    journey.point("prod/a", "latest");
    let plan = journey.plan(&["a"], false).await;
    journey.apply(&plan).await;
    let (ledger, history) = Ledger::reopen(&journey.ledger_path()).unwrap();
    undo(&history, &journey.registry, &ledger).await.unwrap();
    drop(ledger);
    let (ledger, history) = Ledger::reopen(&journey.ledger_path()).unwrap();
    assert!(history.item("a").unwrap().is_undone);
    let outcomes = journey.run(&plan, &ledger, Some(history)).await;
    assert_eq!(states(&outcomes), [ImageState::Promoted]);
    assert_eq!(journey.tag("prod/a", "latest"), journey.tag("stage/a", "latest"));
}

#[tokio::test]
async fn a_registry_that_misses_a_part_after_all_gets_everything_once_more() {
    let journey = Journey::new(&["a"]).await;
    let plan = journey.plan(&["a"], false).await;
    // The body of the fake's refusals says UNKNOWN, as MANIFEST_BLOB_UNKNOWN does.
    journey.faults(vec![Fault::Answer(Method::PUT, 404, Vec::new())]);
    assert_eq!(states(&journey.apply(&plan).await), [ImageState::Promoted]);
}

#[test]
fn a_plan_that_was_changed_is_refused() {
    let side = RegistryRef {
        name: "s".to_owned(),
        login_server: "r.example".parse().unwrap(),
        plain_http: false,
        credentials: None,
        offer_folder: ".".into(),
    };
    let content = Content {
        offer: "o".to_owned(),
        from: side.clone(),
        to: side,
        allow_tag_move: false,
        items: Vec::new(),
        manifests: ManifestTexts::default(),
    };
    let text = Plan::new(content).to_json().unwrap();
    assert!(Plan::parse(text.as_bytes()).is_ok());
    let changed = text.replace("\"allowTagMove\": false", "\"allowTagMove\": true");
    assert!(matches!(Plan::parse(changed.as_bytes()), Err(PlanError::Changed { .. })));
    let newer = text.replace("\"schemaVersion\": 2", "\"schemaVersion\": 3");
    assert!(matches!(Plan::parse(newer.as_bytes()), Err(PlanError::Version { found: 3 })));
    assert!(matches!(Plan::parse(b"{}"), Err(PlanError::Malformed(_))));
    let large = vec![b' '; usize::try_from(PLAN_BYTES_MAX).unwrap() + 1];
    assert!(matches!(Plan::parse(&large), Err(PlanError::TooLarge { .. })));
}

#[test]
fn only_latest_moves_without_permission() {
    let step = |tag: &str, before: Option<&[u8]>| TagStep {
        tag: tag.parse().unwrap(),
        source: None,
        digest: digest(b"new"),
        before: before.map(digest),
    };
    let action = |steps: &[TagStep], allow| decide(steps, "r.example/x", allow).0;
    assert_eq!(action(&[step("1.0", None)], false), PlanAction::Copy);
    assert_eq!(action(&[step("1.0", Some(b"new"))], false), PlanAction::UpToDate);
    assert_eq!(action(&[step("1.0", Some(b"old"))], false), PlanAction::Refused);
    assert_eq!(action(&[step("1.0", Some(b"old"))], true), PlanAction::Copy);
    assert_eq!(action(&[step("latest", Some(b"old"))], false), PlanAction::Copy);
    let mixed = [step("1.0", Some(b"new")), step("latest", Some(b"old"))];
    assert_eq!(action(&mixed, false), PlanAction::Copy);
}

#[test]
fn a_reference_in_a_message_is_the_exact_address() {
    let registry = Registry::new("h:5".parse().unwrap(), true, None, Options::default()).unwrap();
    let tag = Reference::Tag("1.0".parse().unwrap());
    assert_eq!(
        registry.manifest_url(&"a/b".parse().unwrap(), &tag),
        "http://h:5/v2/a/b/manifests/1.0"
    );
}
