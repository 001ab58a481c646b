//! Published offers with an irrevocable change.

use wharf_testkit::offers::Offer;

use super::applications::{CHART, MANIFEST, edit};
use super::{Case, Error, Make, Weight};

const fn recorded(
    rule: &'static str,
    weight: Weight,
    what: &'static str,
    make: fn(&mut Offer),
) -> Case {
    Case { rule, weight, what, make: Make::Recorded(|_| (), make) }
}

/// The offer with a bundle of this version and digest, as the manifest and the chart have it, too.
fn bundle(at: &mut Offer, version: &str, letter: &str) {
    let digest = letter.repeat(64);
    let begin = at.text.find("    bundle: ").unwrap();
    let end = begin + at.text[begin..].find('\n').unwrap();
    let said = format!(
        "    bundle: {{ repository: tide/bundle, version: \"{version}\", digest: \"sha256:{digest}\" }}"
    );
    at.text.replace_range(begin..end, &said);
    for name in [MANIFEST, CHART] {
        edit(at, name, "version: 1.0.0", &format!("version: {version}"));
    }
}

pub(super) const CASES: &[Case] = &[
    recorded("PLN-008", Error, "a live plan leaves a cloud", |at| {
        at.add_after("    licence: byol\n", "    regions: [azureGovernment]\n");
        at.add_after(
            "  supportUrl: https://quayline.dev/help\n",
            "  governmentSupportUrl: https://quayline.dev/gov\n",
        );
    }),
    recorded("TEC-018", Error, "a live tag is dropped", |at| {
        at.replace(
            "version: \"1.4.0\"",
            "version: \"1.5.0\"\n      publishedTags: [1.4.0-all, 1.4.0-test]",
        );
    }),
    Case {
        rule: "OFR-011",
        weight: Error,
        what: "the standard contract is given up",
        make: Make::Recorded(
            |at| at.replace("  terms: { file: terms.txt }", "  standardContract: true"),
            |at| at.replace("  standardContract: true", "  terms: { file: terms.txt }"),
        ),
    },
    Case {
        rule: "K8S-032",
        weight: Error,
        what: "a bundle is older than the live one",
        make: Make::Recorded(|at| bundle(at, "1.0.0", "a"), |at| bundle(at, "0.9.0", "b")),
    },
    Case {
        rule: "K8S-033",
        weight: Error,
        what: "a live version of a bundle has another digest",
        make: Make::Recorded(|at| bundle(at, "1.0.0", "a"), |at| bundle(at, "1.0.0", "b")),
    },
    recorded("PLN-002", Error, "a published plan is left out", |at| {
        let begin = at.text.find("  - id: tide-cluster").unwrap();
        at.text.truncate(begin);
    }),
    recorded("PLN-007", Error, "a live plan has another licence", |at| {
        at.replace("    licence: byol\n    image:", "    licence: free\n    image:");
    }),
    recorded("TEC-008", Error, "a live plan has another repository", |at| {
        at.replace("repository: tide/service", "repository: tide/servants");
    }),
    recorded("K8S-030", Error, "a live application has another extension type", |at| {
        at.replace("Quayline.Tide", "Quayline.Waves");
    }),
    Case {
        rule: "API-003",
        weight: Error,
        what: "the payload takes a live plan's repository away",
        make: Make::Live(|at| at.replace("repository: tide/service", "repository: tide/servants")),
    },
];
