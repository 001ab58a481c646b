#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::{Cli, Command, OfferCommand};
use crate::offer::fixture::{APPLICATION, Folder, with_application};
use crate::promote::ImageState;
use crate::promote::ledger::{BeginItem, Event, Ledger};
use crate::promote::plan::RegistryRef;
use crate::rules::evidence::Evidence;
use crate::rules::{Finding, Profile, Severity, judge_offer};

const VALUES: &str = "chart/values.yaml";
/// Where the offer is published from.
const PUBLISHED: &str = "live/tidepool/web";

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

/// The command's result for an offer of this text.
fn run_in(folder: &Folder, offer: &str, words: &[&str]) -> Result<Exit, String> {
    folder.write("offer.yaml", offer);
    let path = folder.path();
    let start = ["wharf", "--quiet", "offer", "pin", path.to_str().unwrap()];
    let cli = Cli::try_parse_from(start.iter().chain(words)).unwrap();
    let Command::Offer { command: OfferCommand::Pin(args) } = cli.command else { panic!() };
    run(&args, &Context::new(cli.global)).map_err(|error| format!("{error:#}"))
}

fn at(folder: &Folder, name: &str) -> PathBuf {
    folder.path().with_file_name(name)
}

fn values(folder: &Folder) -> String {
    fs::read_to_string(at(folder, VALUES)).unwrap()
}

/// The result of a push of the image to the offer's login server.
fn push(folder: &Folder, repository: &str) -> String {
    let tags = ["1.0-all", "1.0", "latest"].map(|tag| json!({ "tag": tag, "digest": digest('a') }));
    let item = json!({ "plan": "cluster.web", "repository": repository, "tags": tags });
    let result = json!({ "registry": "quayline.azurecr.io", "items": [item] });
    let said = json!({ "schemaVersion": 1, "command": "push", "result": result });
    folder.write("push.json", said.to_string());
    at(folder, "push.json").to_str().unwrap().to_owned()
}

/// The ledger of a promotion of the image.
fn promotion(folder: &Folder, repository: &str) -> String {
    let to = RegistryRef {
        name: "production".to_owned(),
        login_server: "quayline.azurecr.io".parse().unwrap(),
        plain_http: false,
        credentials: None,
        offer_folder: ".".into(),
    };
    let tags = ["1.0-all", "1.0", "latest"];
    let tags = tags.map(|tag| (tag.parse().unwrap(), digest('a').parse().unwrap()));
    let (plan, destination) = ("cluster.web".to_owned(), repository.parse().unwrap());
    let items = vec![BeginItem { plan: plan.clone(), destination, tags: tags.into() }];
    let (plan_digest, offer) = (digest('1').parse().unwrap(), "tidepool".to_owned());
    let path = at(folder, &format!("{}.ledger", repository.replace('/', "-")));
    let ledger = Ledger::create(&path).unwrap();
    ledger.append(Event::Begin { plan_digest, offer, to, items }).unwrap();
    let (state, reason) = (ImageState::Promoted, String::new());
    ledger.append(Event::Item { plan, state, reason }).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_went_to_another_prefix_of_the_login_server_is_not_there() {
    type Bring = fn(&Folder, &str) -> String;
    let ways: [(&str, Bring); 2] = [("--pushed", push), ("--promoted", promotion)];
    for (option, bring) in ways {
        let folder = Folder::new();
        let before = values(&folder);
        for other in ["staging/tidepool/web", "tidepool/web", "live/live/tidepool/web"] {
            let said = run_in(&folder, &with_application(), &[option, &bring(&folder, other)]);
            let wanted =
                format!("web went to {other}, and the offer is published from {PUBLISHED}");
            let said = said.unwrap_err();
            assert!(said.contains(&wanted), "{option}: {said}");
            assert_eq!(values(&folder), before);
        }
        let there = bring(&folder, PUBLISHED);
        let done = run_in(&folder, &with_application(), &[option, &there]).unwrap();
        assert_eq!(done, Exit::Ok);
        assert!(values(&folder).contains(&digest('a')), "{option}: {}", values(&folder));
    }
}

#[test]
fn plans_that_share_a_chart_agree_on_its_images() {
    let folder = Folder::new();
    let second = APPLICATION
        .replace("id: cluster", "id: second")
        .replace("chart: chart", "chart: ./chart")
        .replace("Quayline.Tidepool", "Quayline.Second");
    let other = second.replace("tidepool/web", "tidepool/other");
    let before = values(&folder);
    let offer = format!("{}{other}", with_application());
    let digest = format!("web={}", digest('a'));
    let said = run_in(&folder, &offer, &["--image", &digest]).unwrap_err();
    assert!(said.contains("the plans cluster and second share"), "{said}");
    assert_eq!(values(&folder), before);
    // Lint says it before, also where one plan alone is pinned.
    let (file, content) = folder.load(&offer).unwrap();
    let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
    let shared = |finding: &&Finding| {
        finding.rule == "K8S-012"
            && finding.severity == Severity::Error
            && finding.message.contains("`cluster` has the same chart")
    };
    let found: Vec<_> = judgement.findings.iter().filter(shared).collect();
    assert_eq!(found.len(), 1, "{:?}", judgement.findings);
    // Two plans of one image under one name are fine.
    let offer = format!("{}{second}", with_application());
    assert_eq!(run_in(&folder, &offer, &["--image", &digest]).unwrap(), Exit::Ok);
    let (file, content) = folder.load(&offer).unwrap();
    let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
    assert!(!judgement.findings.iter().any(|at| shared(&at)), "{:?}", judgement.findings);
}

#[test]
fn permissions_stay() {
    let folder = Folder::new();
    let path = at(&folder, VALUES);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let digest = format!("web={}", digest('a'));
    run_in(&folder, &with_application(), &["--image", &digest]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}
