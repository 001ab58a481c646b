//! The page of rules: the text of `wharf rules` on each.

use std::fmt::Write as _;
use std::process::Command;

use serde::Deserialize;
use wharf_testkit::processes::product;

use super::{assert_current, escaped};

#[derive(Deserialize)]
struct Answer {
    result: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    id: String,
    title: String,
    severity: String,
    checks: String,
    source: String,
    why: String,
    fix: String,
}

fn rules() -> Vec<Rule> {
    let mut command = Command::new(product("wharf").unwrap());
    let output = command.args(["rules", "--output-format", "json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut rules = serde_json::from_slice::<Answer>(&output.stdout).unwrap().result;
    rules.sort_by(|one, other| one.id.cmp(&other.id));
    rules
}

/// The subject of each family of rules, by the letters of its ids.
const FAMILIES: [(&str, &str); 11] = [
    ("API", "the payload of the Product Ingestion API"),
    ("DEP", "what a container asks for when it runs"),
    ("IMG", "images"),
    ("K8S", "plans of Kubernetes applications"),
    ("LST", "the listing"),
    ("OFR", "the offer"),
    ("PLN", "plans"),
    ("REG", "the registry that the offer is published from"),
    ("SUP", "the supply chain: SBOM, signatures, attestations"),
    ("TEC", "versions, tags and technical configuration"),
    ("WVR", "waivers"),
];

fn family(rule: &Rule) -> &str {
    rule.id.split_once('-').map_or("", |(family, _)| family)
}

#[test]
fn the_page_of_rules_is_current() {
    let rules = rules();
    let count = |what: &str| rules.iter().filter(|rule| rule.checks == what).count();
    let mut page = format!(
        "# Rules\n\nWritten by `make reference` from `wharf rules`; a test holds the two together. \
         {} rules look at an offer and need\nno network, {} look at images, {} at waivers. `wharf \
         rules ID` shows one. An error makes the exit code 1, a warning only with\n`--fail-on \
         warning`. The source names keys and pages of Microsoft's documentation, or INFERENCE.\n",
        count("offer"),
        count("image"),
        count("waivers"),
    );
    let mut last = "";
    for rule in &rules {
        if family(rule) != last {
            last = family(rule);
            let about = FAMILIES.iter().find(|(name, _)| *name == last);
            let (_, about) = about.unwrap_or_else(|| panic!("what is {last} about?"));
            let _ = write!(page, "\n## {last}: {about}\n");
        }
        let Rule { id, title, severity, checks, source, why, fix } = rule;
        let (title, why, fix) = (escaped(title), escaped(why), escaped(fix));
        let _ = write!(
            page,
            "\n### {id}\n\n**{title}** ({severity}, {checks})\n\n- Why: {why}\n- Fix: {fix}\n- Source: {}\n",
            escaped(source),
        );
    }
    assert_current("rules.md", &page);
}
