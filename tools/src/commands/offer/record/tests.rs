#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::PathBuf;

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::{Cli, Command, OfferCommand};
use crate::offer::fixture::{self, Folder, OFFER};
use crate::published::{Life, RecordedLicence};

/// The arguments of a command line.
fn args(line: &str) -> RecordArgs {
    let words = format!("wharf offer record {line}");
    let cli = Cli::try_parse_from(words.split(' ')).unwrap();
    let Command::Offer { command: OfferCommand::Record(args) } = cli.command else {
        panic!("{words}")
    };
    args
}

fn decide(
    text: &str,
    line: &str,
    tree: Option<&ResourceTree>,
    records: &[Record],
    seconds: u64,
) -> Result<Decision, Stop> {
    let file = fixture::parse(text).unwrap();
    let time = Timestamp::from_unix_seconds(seconds).unwrap();
    let content = Content::default();
    Asked { args: &args(line), file: &file, content: &content, tree, time }.decide(records)
}

/// The result of `wharf push` for the offer, with one digest for all images.
fn pushed(folder: &Folder, version: &str, digit: &str) -> PathBuf {
    let digest = format!("sha256:{}", digit.repeat(64));
    let item = |plan: &str, platforms: &[&str]| {
        let tags = [format!("{version}-all"), format!("{version}-test"), "latest".to_owned()];
        let platforms = platforms.iter().map(|platform| format!("{version}-{platform}"));
        let tags: Vec<_> =
            platforms.chain(tags).map(|tag| json!({"tag": tag, "digest": digest})).collect();
        json!({"plan": plan, "repository": format!("live/tidepool/{plan}"), "state": "pushed", "tags": tags})
    };
    let items = [item("server", &["linux-amd64", "linux-arm64"]), item("probe", &["linux-amd64"])];
    let result = json!({"schemaVersion": 1, "command": "push", "result": {"registry": "r", "items": items, "requests": 1}});
    folder.write("pushed.json", result.to_string().as_bytes());
    folder.path().with_file_name("pushed.json")
}

#[test]
fn what_was_pushed_is_recorded_once_and_a_moved_tag_is_refused() {
    let folder = Folder::new();
    let line = |path: &PathBuf| format!("o --target live --pushed {}", path.display());
    let first = pushed(&folder, "1.4.0", "a");
    let decision = decide(OFFER, &line(&first), None, &[], 100).unwrap();
    assert_eq!((decision.records.len(), decision.unchanged.len()), (2, 0));
    let Record::Submitted(server) = &decision.records[0] else { panic!("a submission") };
    assert_eq!(server.tags.len(), 5);
    assert!(server.tags.values().all(Option::is_some));
    assert_eq!(server.repository.as_deref(), Some("live/tidepool/server"));
    let records = decision.records;
    let again = decide(OFFER, &line(&first), None, &records, 200).unwrap();
    assert!(again.records.is_empty());
    assert_eq!(again.unchanged, ["server", "probe"]);
    let moved = pushed(&folder, "1.4.0", "b");
    let Err(Stop::Refused(refused)) = decide(OFFER, &line(&moved), None, &records, 200) else {
        panic!("a live version tag moved")
    };
    assert!(refused.contradictions.iter().all(|found| found.message.contains("1.4.0-")));
    let next = OFFER.replace("\"1.4.0\"", "\"1.5.0\"");
    let newer = pushed(&folder, "1.5.0", "b");
    let decision = decide(&next, &line(&newer), None, &records, 300).unwrap();
    let Record::Submitted(server) = &decision.records[0] else { panic!("a submission") };
    assert!(server.tags.keys().any(|tag| tag.as_str() == "1.4.0-all"), "{:?}", server.tags);
    assert!(decision.contradictions.is_empty());
    let older = OFFER.replace("\"1.4.0\"", "\"1.3.0\"");
    let path = pushed(&folder, "1.3.0", "c");
    assert!(matches!(decide(&older, &line(&path), None, &records, 300), Err(Stop::Refused(_))));
}

#[test]
fn a_push_that_failed_or_went_elsewhere_is_no_submission() {
    let folder = Folder::new();
    let path = pushed(&folder, "1.4.0", "a");
    let good = std::fs::read_to_string(&path).unwrap();
    for (from, to, words) in [
        ("\"pushed\"", "\"failed\"", "is failed"),
        ("live/tidepool", "staging/tidepool", "Microsoft copies it from"),
        ("1.4.0-test", "1.4.0-tests", "says nothing of the tag `1.4.0-test`"),
        ("\"plan\":\"probe\"", "\"plan\":\"other\"", "says nothing of the plan `probe`"),
        ("\"command\":\"push\"", "\"command\":\"verify\"", "is the result of `verify`"),
        ("\"result\"", "\"error\"", "no result of `wharf push"),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(&path, good.replace(from, to)).unwrap();
        let line = format!("o --target live --pushed {}", path.display());
        let Err(Stop::Other(error)) = decide(OFFER, &line, None, &[], 1) else { panic!("{words}") };
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let line = format!("o --target live --layouts {}", folder.path().with_file_name("x").display());
    let Err(Stop::Other(error)) = decide(OFFER, &line, None, &[], 1) else { panic!("no layouts") };
    assert!(
        error.to_string().contains("give --layouts, --pushed, --promoted or --tree"),
        "{error}"
    );
}

#[test]
fn a_promotion_to_another_registry_is_no_submission() {
    let folder = Folder::new();
    let path = folder.path().with_file_name("p.ledger");
    let side = |name: &str| json!({"name": name, "loginServer": "quayline.azurecr.io", "plainHttp": false, "offerFolder": "."});
    let digest = format!("sha256:{}", "a".repeat(64));
    let ledger = |to: &str, ends: bool| {
        let time = "2026-11-01T00:00:00Z";
        let items: Vec<_> = ["server", "probe"]
            .map(|plan| json!({"plan": plan, "destination": format!("live/tidepool/{plan}")}))
            .into();
        let mut lines = vec![json!({"time": time, "event": "begin", "planDigest": digest,
            "offer": "tidepool", "to": side(to), "items": items})];
        let file = fixture::parse(OFFER).unwrap();
        for image in file.offer.images() {
            for item in &image.image.expanded_tags {
                lines.push(json!({"time": time, "event": "tagging", "plan": image.id.to_string(),
                    "tag": item.tag, "before": null, "after": digest}));
            }
            if ends {
                lines.push(json!({"time": time, "event": "item", "plan": image.id.to_string(), "state": "promoted"}));
            }
        }
        lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n"
    };
    let decided = |text: String| {
        std::fs::write(&path, text).unwrap();
        decide(OFFER, &format!("o --target preview --promoted {}", path.display()), None, &[], 1)
    };
    let decision = decided(ledger("production", true)).unwrap();
    let Record::Submitted(server) = &decision.records[0] else { panic!("a submission") };
    assert!(
        server.target == SubmissionTarget::Preview && server.tags.values().all(Option::is_some)
    );
    for (text, words) in [
        (ledger("staging", true), "Microsoft copies `tidepool` from `production`"),
        (ledger("production", false), "did not end; resume it"),
    ] {
        let Err(Stop::Other(error)) = decided(text) else { panic!("{words}") };
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn what_a_tree_says_is_recorded_as_it_stands_there() {
    let schema =
        |name: &str| format!("https://schema.mp.microsoft.com/schema/{name}/2022-03-01-preview3");
    let digest = format!("sha256:{}", "a".repeat(64));
    let priced = |target: &str, id: &str, system: &str| {
        let tree = json!({"target": {"targetType": target}, "resources": [
            {"$schema": schema("product"), "id": "product/p", "identity": {"externalId": id}},
            {"$schema": schema("property"), "termsConditions": "standardMicrosoft"},
            {"$schema": schema("plan"), "id": "plan/p/1", "identity": {"externalId": "server"},
             "azureRegions": ["azureGlobal", "azureChina"]},
            {"$schema": schema("plan"), "id": "plan/p/2", "identity": {"externalId": "cluster"}},
            {"$schema": schema("plan"), "id": "plan/p/3", "identity": {"externalId": "old"},
             "lifecycleState": "deprecated"},
            {"$schema": schema("price-and-availability-plan"), "plan": "plan/p/1",
             "visibility": "visible", "audience": "public", "pricing": {"licenseModel": "byol"}},
            {"$schema": schema("price-and-availability-plan"), "plan": "plan/p/2",
             "pricing": {"licenseModel": "payAsYouGo",
                         "systemMeterPricing": {"priceInputOption": system}}},
            {"$schema": schema("container-plan-technical-configuration"), "plan": "plan/p/1",
             "payloadType": "image", "imageTags": ["latest", "1.3.0-all"],
             "imageRepositoryDetails": {"repositoryName": "live/tidepool/server", "password": "***"}},
            {"$schema": schema("container-plan-technical-configuration"), "plan": "plan/p/2",
             "payloadType": "cnab", "clusterExtensionType": "Quayline.Tidepool",
             "cnabReferences": [{"repositoryName": "b", "tag": "1.0.0", "digest": digest}]},
        ]});
        ResourceTree::parse(std::path::Path::new("t.json"), tree.to_string().as_bytes()).unwrap()
    };
    let tree = |target: &str, id: &str| priced(target, id, "free");
    let decided =
        |tree: &ResourceTree| decide(OFFER, "o --target live --tree t.json", Some(tree), &[], 5);
    let decision = decided(&tree("live", "tidepool")).unwrap();
    let state = LedgerState::of(&decision.records);
    let plans = &state.offer("quayline", "tidepool").unwrap().plans;
    assert_eq!(plans.keys().collect::<Vec<_>>(), ["cluster", "server"]);
    let regions: Vec<_> = plans["server"].regions.live().collect();
    assert_eq!(regions, ["azureChina", "azureGlobal"]);
    assert_eq!(plans["server"].live_tags().count(), 2);
    let digests = &plans["cluster"].bundles[&("b".to_owned(), "1.0.0".to_owned())].digests;
    assert_eq!(digests.latest().map(ToString::to_string), Some(digest.clone()));
    assert_eq!(plans["cluster"].licence.latest(), Some(&RecordedLicence::Free));
    assert_eq!(plans["server"].licence.latest(), Some(&RecordedLicence::Byol));
    let paid = decided(&priced("live", "tidepool", "perCore")).unwrap();
    let paid = LedgerState::of(&paid.records);
    let paid = &paid.offer("quayline", "tidepool").unwrap().plans["cluster"];
    assert_eq!(paid.licence.latest(), Some(&RecordedLicence::PayAsYouGo));
    for (tree, words) in [
        (tree("preview", "tidepool"), "targetType=live"),
        (tree("live", "lagoon"), "is of the offer `lagoon`"),
    ] {
        let Err(Stop::Other(error)) = decided(&tree) else { panic!("{words}") };
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn what_is_taken_back_is_a_record_of_its_own_and_must_have_been_there() {
    let folder = Folder::new();
    let path = pushed(&folder, "1.4.0", "a");
    let line = format!("o --target live --pushed {}", path.display());
    let mut records = decide(OFFER, &line, None, &[], 100).unwrap().records;
    let withdraw = |what: &str, records: &[Record]| {
        decide(OFFER, &format!("o --withdraw {what}"), None, records, 50)
    };
    for unknown in ["other", "server:9.9.9", "server:none"] {
        assert!(matches!(withdraw(unknown, &records), Err(Stop::Other(_))), "{unknown}");
    }
    let decision = withdraw("server:1.4.0", &records).unwrap();
    let Record::Withdrawn(back) = &decision.records[0] else { panic!("a withdrawal") };
    assert_eq!(back.versions.len(), 4, "{back:?}");
    // The clock of this machine is behind; a withdrawn version was there before all the same.
    assert_eq!(back.time.unix_seconds(), 100);
    records.extend(decision.records);
    let lives = |records: &[Record]| -> Life {
        let state = LedgerState::of(records);
        state.offer("quayline", "tidepool").unwrap().plans["server"].tags
            [&"1.4.0-all".parse().unwrap()]
            .life
    };
    assert!(!lives(&records).is_live());
    assert!(matches!(withdraw("server:1.4.0", &records), Err(Stop::Other(_))));
    // It is offered again, in the same second.
    let again = decide(OFFER, &line, None, &records, 100).unwrap();
    assert_eq!(again.unchanged, ["probe"]);
    records.extend(again.records);
    assert!(lives(&records).is_live());
    records.extend(withdraw("server", &records).unwrap().records);
    assert!(!lives(&records).is_live());
}

#[test]
fn a_bundle_without_a_version_of_its_own_is_recorded_with_that_of_its_manifest() {
    let folder = Folder::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    let with =
        |bundle: &str| fixture::with_application().replacen("    namespace: tidepool\n", bundle, 1);
    let bundle = format!(
        "    namespace: tidepool\n    bundle: {{ repository: tidepool/bundle, digest: \"{digest}\" }}\n"
    );
    let path = pushed(&folder, "1.4.0", "a");
    let line = format!("o --target live --pushed {}", path.display());
    let decided = |text: &str, records: &[Record]| {
        let file = OfferFile::parse(&folder.path(), text.as_bytes().to_vec()).unwrap();
        let content = content(&file).unwrap();
        let time = Timestamp::from_unix_seconds(100).unwrap();
        Asked { args: &args(&line), file: &file, content: &content, tree: None, time }
            .decide(records)
    };
    let bundles = |decision: &Decision| -> Vec<String> {
        let Some(Record::Submitted(own)) = decision.records.last() else { panic!("a submission") };
        assert_eq!(own.plan, "cluster");
        own.bundles.iter().map(|at| format!("{}:{}", at.repository, at.version)).collect()
    };
    let first = decided(&with(&bundle), &[]).unwrap();
    assert_eq!(bundles(&first), ["live/tidepool/bundle:1.0.0"]);
    assert!(first.contradictions.is_empty(), "{:?}", first.contradictions);
    // The next release keeps it, and is refused with another digest of the version.
    let manifest = fixture::APPLICATION_FILES[0].1;
    folder.write("manifest.yaml", manifest.replacen("version: 1.0.0", "version: 1.1.0", 1));
    let next = decided(&with(&bundle), &first.records).unwrap();
    assert_eq!(bundles(&next), ["live/tidepool/bundle:1.0.0", "live/tidepool/bundle:1.1.0"]);
    folder.write("manifest.yaml", manifest);
    let other = bundle.replace(&digest, &format!("sha256:{}", "b".repeat(64)));
    assert!(matches!(decided(&with(&other), &first.records), Err(Stop::Refused(_))));
    // Without any bundle the reader is told.
    let none = decided(&fixture::with_application(), &[]).unwrap();
    let [warning] = &none.contradictions[..] else { panic!("{:?}", none.contradictions) };
    assert!(!warning.is_certain && warning.message.contains("no bundle is recorded"));
}

#[test]
fn going_back_to_an_earlier_state_is_recorded() {
    let folder = Folder::new();
    let path = pushed(&folder, "1.4.0", "a");
    let line = format!("o --target live --pushed {}", path.display());
    let visible = OFFER.replace("visibility: hidden", "visibility: visible");
    let mut records = decide(OFFER, &line, None, &[], 100).unwrap().records;
    let there = decide(&visible, &line, None, &records, 200).unwrap();
    assert_eq!(there.unchanged, ["server"]);
    records.extend(there.records);
    let back = decide(OFFER, &line, None, &records, 300).unwrap();
    assert_eq!(back.unchanged, ["server"]);
    records.extend(back.records);
    let state = LedgerState::of(&records);
    let probe = &state.offer("quayline", "tidepool").unwrap().plans["probe"];
    assert_eq!(probe.visibility.latest(), Some(&crate::published::RecordedVisibility::Hidden));
    // The same once more adds nothing.
    assert!(decide(OFFER, &line, None, &records, 400).unwrap().records.is_empty());
}

#[test]
fn a_ledger_that_is_not_there_yet_has_no_records_and_no_other_one_stands_in() {
    let folder = tempfile::tempdir().unwrap();
    let (there, new) = (folder.path().join(LEDGER_NAME), folder.path().join("new.jsonl"));
    let record = Record::Withdrawn(crate::published::Withdrawal {
        time: Timestamp::default(),
        publisher: "quayline".to_owned(),
        offer: "tidepool".to_owned(),
        plan: "server".to_owned(),
        versions: std::collections::BTreeSet::new(),
    });
    append(&there, |_| Ok(Decision { records: vec![record.clone()], ..Decision::default() }))
        .unwrap();
    assert_eq!(known(&there).unwrap(), [record]);
    assert_eq!(known(&new).unwrap(), []);
    std::fs::write(&new, "no record\n").unwrap();
    assert!(known(&new).is_err());
}
