//! Every rule about files with an image at fault, with good ones, and with ones outside its scope.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::zero_sized_map_values)]

mod contents;
mod start;

use std::collections::BTreeSet;
use std::sync::Arc;

use contents::{FILE_ROWS, KEY, NOT_APPLICABLE, PACKAGE_ROWS, SECRET_ROWS};
use start::{MACHINE_ROWS, START_ROWS};

use super::file_fixture::*;
use super::image_fixture::{digest, evidence, facts};
use super::*;
use crate::image::config::{Empty, ImageConfig};
use crate::image::facts::{ImageFacts, LayerFacts};
use crate::image::files::{Elf, ElfKind, FileKind, FileView, LayerFiles, Machine, Magic};
use crate::offer::fixture::{OFFER, parse};

type Change = fn(&mut Tree, &mut ImageConfig);
type Row = (&'static str, Option<Severity>, Change);

/// The image of the tests with other files on linux/amd64.
fn changed(change: Change) -> ImageFacts {
    let mut facts = facts();
    let mut tree = base(Machine::X86_64);
    let image = &mut facts.images[0];
    change(&mut tree, image.config.as_mut().unwrap());
    image.files = Some(view(&tree));
    let model = image.layers[0].clone();
    let layers = (0..tree.len()).map(|place| {
        let mut descriptor = model.descriptor.clone();
        descriptor.digest = digest(&format!("layer {place}"));
        LayerFacts { descriptor, ..model }
    });
    image.layers = layers.collect();
    facts
}

fn judged(facts: &ImageFacts) -> Judgement {
    let file = parse(OFFER).unwrap();
    judge_image(facts, Some((&file, 0)), &evidence(), Profile::Strict)
}

const ERROR: Option<Severity> = Some(Severity::Error);
const WARNING: Option<Severity> = Some(Severity::Warning);
/// The rule has nothing to say.
const PEACE: Option<Severity> = None;
const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

fn start(config: &mut ImageConfig, words: &[&str]) {
    config.config.entrypoint = words.iter().map(|word| (*word).to_owned()).collect();
}

fn env(config: &mut ImageConfig, entry: &str) {
    config.config.env.push(entry.to_owned());
}

const ROWS: [&[Row]; 5] = [START_ROWS, MACHINE_ROWS, SECRET_ROWS, PACKAGE_ROWS, FILE_ROWS];

/// The rules this file has rows for.
pub(super) fn ids() -> BTreeSet<&'static str> {
    ROWS.into_iter().flatten().filter(|row| row.1.is_some()).map(|row| row.0).collect()
}

/// The rules it shows not to apply somewhere.
pub(super) fn not_applicable_ids() -> BTreeSet<&'static str> {
    NOT_APPLICABLE.iter().map(|row| row.0).collect()
}

#[test]
fn every_file_rule_finds_what_breaks_it_and_nothing_else() {
    let mut wrong = Vec::new();
    for (row, (id, expected, change)) in ROWS.into_iter().flatten().enumerate() {
        let found = judged(&changed(*change)).findings;
        let of_rule: Vec<_> = found.iter().filter(|at| at.rule == *id).collect();
        let fits = match expected {
            None => of_rule.is_empty(),
            Some(severity) => of_rule.iter().any(|at| at.severity == *severity),
        };
        if !fits {
            wrong.push(format!("row {row} {id} {expected:?}: {of_rule:#?}"));
        }
        for finding in of_rule {
            assert_eq!(finding.place.platforms, ["linux/amd64"]);
            assert!(finding.severity <= find(id).unwrap().severity);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn file_rules_say_of_what_they_are_not_about_that_they_do_not_apply() {
    for (row, (id, change)) in NOT_APPLICABLE.iter().enumerate() {
        let mut facts = changed(*change);
        facts.images.truncate(1);
        assert_eq!(judged(&facts).outcomes[id], Outcome::NotApplicable, "row {row} {id}");
    }
}

#[test]
fn without_all_files_nothing_is_said_of_what_is_not_there() {
    let mut facts = changed(|tree, config| {
        tree[0].clear();
        tree[0].push(file("app/tls.key", KEY));
        config.config.user = "app".to_owned();
    });
    facts.images.truncate(1);
    let known = facts.images[0].files.as_ref().unwrap().layers().to_vec();
    let layers = [known, vec![Arc::new(LayerFiles::unread())]].concat();
    facts.images[0].files = Some(Arc::new(FileView::merge(&layers)));
    let judgement = judged(&facts);
    for id in ids().into_iter().filter(|id| *id != "IMG-016") {
        let expected = if id == "IMG-018" { Outcome::Failed } else { Outcome::NotLookedAt };
        assert_eq!(judgement.outcomes[id], expected, "{id}");
        assert!(judgement.gaps[&Gap::Files].contains(id), "{id}");
    }
    facts.images[0].files = None;
    let judgement = judged(&facts);
    let mut looked = ids().into_iter().filter(|id| *id != "IMG-016");
    assert!(looked.all(|id| judgement.outcomes[id] == Outcome::NotLookedAt));
}

#[test]
fn what_an_upper_layer_hides_is_named_with_its_layer_and_said_to_be_there() {
    let facts = changed(|tree, _| {
        tree[0].push(file("app/tls.key", KEY));
        tree.push(vec![text("app/.wh.tls.key", "")]);
    });
    let found = judged(&facts).findings;
    let key = found.iter().find(|at| at.rule == "IMG-018").unwrap();
    assert!(key.message.contains("can still be pulled"), "{}", key.message);
    assert_eq!(key.place.path.as_deref(), Some("/app/tls.key"));
    assert_eq!(key.place.layer.unwrap().number, 1);
}

#[test]
fn many_findings_of_one_rule_are_counted_and_not_listed() {
    let facts = changed(|tree, _| {
        for number in 0..1000 {
            tree[0].push(file(&format!("app/{number}.key"), KEY));
            tree[0].push(with_mode(0o4755, elf(&format!("bin/s{number}"), |_| {})));
        }
    });
    let found = judged(&facts).findings;
    let of = |id: &str| found.iter().filter(|at| at.rule == id).count();
    assert_eq!((of("IMG-018"), of("IMG-026")), (21, 1));
    let rest = found.iter().rfind(|at| at.rule == "IMG-018").unwrap();
    assert!(rest.message.contains("980"), "{}", rest.message);
    assert!(found.iter().all(|at| at.message.len() < 500));
}
