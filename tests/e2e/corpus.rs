//! The corpus: small images and offers, each broken in one place, and the findings of `wharf`. Each
//! raises exactly its rule; healthy ones raise none. `make corpus` prints the table.

mod applications;
mod config;
mod entries;
mod evidence;
mod files;
mod integrity;
mod offers;
mod origin;
mod published;
pub(crate) mod run;
mod secrets;
mod selling;

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::handmade::{Handmade, Written};
use wharf_testkit::offers::Offer;

use self::run::{in_parallel, print, wharf};

/// The weight of a finding, and so the result of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Worth knowing; it passes.
    Warning,
    /// Undecidable; the run does not pass.
    NotProven,
    /// The run fails.
    Error,
}

use Weight::{Error, NotProven, Warning};

/// A case with one broken part.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// The one rule with a finding.
    pub(crate) rule: &'static str,
    /// The finding's weight.
    pub(crate) weight: Weight,
    /// The broken part, in a few words; no two cases have the same.
    pub(crate) what: &'static str,
    /// The change to a healthy image or offer.
    pub(crate) make: Make,
}

/// How a case is made.
#[derive(Clone, Copy)]
pub(crate) enum Make {
    /// An image for two platforms, by itself.
    Image(fn(&mut Handmade)),
    /// An offer, by itself.
    Offer(fn(&mut Offer)),
    /// An offer by itself, without Helm: the broken part would not render either.
    Unrendered(fn(&mut Offer)),
    /// An offer published after the first change, as recorded in its ledger, and then changed by
    /// the second.
    Recorded(fn(&mut Offer), fn(&mut Offer)),
    /// The same, as a saved resource tree says.
    Live(fn(&mut Offer)),
    /// An offer with the image of its plan.
    Both(fn(&mut Offer, &mut Handmade)),
    /// A healthy image with the report of a scanner.
    Scanned(fn(&Written) -> Value),
    /// A healthy offer and its image with the state of a registry.
    Registry(fn(&mut Handmade, &mut Value)),
    /// An image with waivers.
    Waived(fn(&mut Handmade), &'static str),
}

const fn image(
    rule: &'static str,
    weight: Weight,
    what: &'static str,
    make: fn(&mut Handmade),
) -> Case {
    Case { rule, weight, what, make: Make::Image(make) }
}

const fn offer(
    rule: &'static str,
    weight: Weight,
    what: &'static str,
    make: fn(&mut Offer),
) -> Case {
    Case { rule, weight, what, make: Make::Offer(make) }
}

const fn unrendered(
    rule: &'static str,
    weight: Weight,
    what: &'static str,
    make: fn(&mut Offer),
) -> Case {
    Case { rule, weight, what, make: Make::Unrendered(make) }
}

/// All cases.
pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    [
        integrity::CASES,
        entries::CASES,
        config::CASES,
        origin::CASES,
        files::CASES,
        secrets::CASES,
        evidence::CASES,
        offers::CASES,
        applications::CASES,
        selling::CASES,
        published::CASES,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn each_case_raises_exactly_its_rule() {
    let cases: Vec<&Case> = cases().collect();
    let whats: BTreeSet<&str> = cases.iter().map(|case| case.what).collect();
    assert_eq!(whats.len(), cases.len(), "two cases are described alike");
    assert!(cases.len() >= 80, "{} cases", cases.len());
    let folder = TempDir::with_prefix("corpus-").unwrap();
    let said = in_parallel(&cases, |number, case| {
        wharf(&case.make, &folder.path().join(format!("{number:03}")))
    });
    print(&cases, &said);
    let wrong: Vec<String> = cases
        .iter()
        .zip(&said)
        .filter_map(|(case, said)| {
            let expected = BTreeSet::from([(case.rule.to_owned(), case.weight)]);
            let code = i32::from(case.weight != Warning);
            let fits = said.found == expected && said.code == Some(code);
            (!fits).then(|| format!("{} ({} {:?}): {said}", case.what, case.rule, case.weight))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn what_is_healthy_raises_nothing() {
    let healthy: &[(&str, Make)] = &[
        ("an index of two platforms", Make::Image(|_| ())),
        ("one image", Make::Image(|image| *image = Handmade::healthy_alone())),
        ("an offer", Make::Offer(|_| ())),
        ("an offer with its image", Make::Both(|_, _| ())),
    ];
    let healthy: Vec<_> = healthy
        .iter()
        .chain(
            [
                integrity::HEALTHY,
                entries::HEALTHY,
                files::HEALTHY,
                secrets::HEALTHY,
                evidence::HEALTHY,
                applications::HEALTHY,
            ]
            .into_iter()
            .flatten(),
        )
        .collect();
    let folder = TempDir::with_prefix("corpus-").unwrap();
    let said = in_parallel(&healthy, |number, (_, make)| {
        wharf(make, &folder.path().join(format!("{number:03}")))
    });
    let wrong: Vec<_> = healthy
        .iter()
        .zip(&said)
        .filter(|(_, said)| !said.found.is_empty() || said.code != Some(0))
        .map(|((what, _), said)| format!("{what}: {said}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_case() {
    let listed = run::program().args(["rules", "--output-format", "json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let rules =
        listed["result"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap());
    let rules: BTreeSet<&str> = rules.collect();
    let seen: BTreeSet<&str> = cases().map(|case| case.rule).collect();
    let none: BTreeSet<&str> = rules.difference(&seen).copied().collect();
    let without: BTreeSet<&str> = WITHOUT.iter().copied().collect();
    assert_eq!(none, without, "rules without a case");
}

/// Rules without a case of their own.
const WITHOUT: &[&str] = &[
    // A layer of more than 200 GiB, a statement of 32 MiB, an image of 10 GiB, one of 300 layers.
    "IMG-004", "SUP-003", "REG-013", "REG-010",
    // Each volume is a finding of IMG-038; tags without any version, or without one for each
    // platform, break other rules about tags.
    "IMG-046", "TEC-012", "REG-006",
    // No input file of `wharf` contains the facts for these, so no run decides them.
    "REG-002", "REG-008", "REG-009",
    // A wrong word of the payload breaks another rule; a renamed offer has the repositories and
    // types of its predecessor; an application's files state its clusters and scope.
    "TEC-024", "OFR-003", "TEC-007", "OFR-016", "K8S-031",
];
