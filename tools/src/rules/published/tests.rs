#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::offer::fixture::{Folder, changed, with_application};
use crate::published::{Published, Record, Submission};
use crate::rules::evidence::Evidence;
use crate::rules::{Finding, Outcome, Profile, judge_offer};

/// The findings of the rules over an offer with itself as the live state, after one change to the
/// state.
fn findings(text: &str, change: impl Fn(&mut Submission)) -> Vec<Finding> {
    judged(text, |submissions| submissions.iter_mut().for_each(&change))
}

fn judged(text: &str, change: impl FnOnce(&mut Vec<Submission>)) -> Vec<Finding> {
    let (file, content) = Folder::new().load(text).unwrap();
    let mut live = submissions(
        &file,
        &content,
        &LedgerState::default(),
        SubmissionTarget::Live,
        Timestamp::default(),
    );
    change(&mut live);
    let records: Vec<Record> =
        live.into_iter().map(|own| Record::Submitted(Box::new(own))).collect();
    let published = Published::of(LedgerState::of(&records), &file, &content);
    let evidence = Evidence { published: Some(published), ..Evidence::default() };
    let judgement = judge_offer(&file, &content, &evidence, Profile::Strict);
    assert!(!judgement.gaps.contains_key(&Gap::Ledger), "a ledger was given");
    judgement.findings
}

fn of_rule(findings: Vec<Finding>, rule: &str) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.rule == rule).collect()
}

fn with_bundle() -> String {
    let bundle = format!(
        "    namespace: tidepool\n    bundle: {{ repository: tidepool/bundle, version: 1.0.0, digest: \"sha256:{}\" }}\n",
        "a".repeat(64)
    );
    with_application().replacen("    namespace: tidepool\n", &bundle, 1)
}

#[test]
fn an_offer_that_is_what_is_live_breaks_no_rule() {
    let text = with_bundle();
    let state: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    let mut others = vec!["OFR-004", "OFR-006", "TEC-016", "TEC-017"];
    others.extend(state);
    let found = findings(&text, |_| ());
    let found: Vec<_> = found.iter().filter(|finding| others.contains(&finding.rule)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn each_rule_is_raised_at_its_key() {
    type Row = (&'static str, &'static str, fn(&mut Submission));
    let other = |own: &mut Submission| own.offer = "tidepool-old".to_owned();
    let rows: [Row; 15] = [
        ("OFR-003", "offer.id", other),
        ("TEC-007", "plans[0].image.repository", other),
        ("OFR-004", "publisher", |own| own.publisher = "harbour".to_owned()),
        ("OFR-006", "offer.sellThroughMicrosoft", |own| own.sell_through_microsoft = Some(true)),
        ("OFR-011", "legal", |own| own.terms = Some(crate::published::RecordedTerms::Standard)),
        ("PLN-007", "plans[0].licence", |own| {
            own.licence = Some(crate::published::RecordedLicence::Free);
        }),
        ("PLN-008", "plans[0].regions", |own| _ = own.regions.insert("azureGovernment".into())),
        ("TEC-008", "plans[0].image.repository", |own| {
            own.repository = own.repository.as_ref().map(|_| "live/first".to_owned());
        }),
        ("TEC-016", "plans[0].image.version", |own| {
            own.tags = [("1.5.0-all".parse().unwrap(), None)].into();
        }),
        ("TEC-018", "plans[0].image.tags", |own| {
            own.tags.insert("1.3.0-all".parse().unwrap(), None);
        }),
        ("K8S-030", "plans[2].extensionType", |own| {
            own.extension_type = own.extension_type.as_ref().map(|_| "Quayline.First".to_owned());
        }),
        ("K8S-031", "plans[2].scope", |own| {
            own.scope = own.scope.map(|_| crate::published::RecordedScope::Namespace);
        }),
        ("K8S-032", "plans[2].bundle", |own| {
            own.bundles.iter_mut().for_each(|at| at.version = "1.0.1".to_owned());
        }),
        ("K8S-033", "plans[2].bundle", |own| {
            own.bundles.iter_mut().for_each(|at| {
                at.digest = Some(format!("sha256:{}", "b".repeat(64)).parse().unwrap());
            });
        }),
        ("PLN-002", "plans", |own| {
            if own.plan == "probe" {
                own.plan = "probe-first".to_owned();
                own.repository = None;
            }
        }),
    ];
    for (rule, key, change) in rows {
        let found = of_rule(findings(&with_bundle(), change), rule);
        let keys: Vec<&str> = found.iter().filter_map(|at| at.place.key.as_deref()).collect();
        assert!(keys.contains(&key), "{rule}: {found:?}");
        assert!(found.iter().all(|at| at.severity == Severity::Error), "{rule}: {found:?}");
        assert!(of_rule(findings(&with_bundle(), |_| ()), rule).is_empty(), "{rule}");
    }
}

#[test]
fn a_public_plan_cannot_become_private() {
    let text = with_application().replacen(
        "    namespace: tidepool\n",
        "    namespace: tidepool\n    audience: { tenants: [{ id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386 }] }\n",
        1,
    );
    let public =
        |own: &mut Submission| own.audience = Some(crate::published::RecordedAudience::Public);
    let found = of_rule(findings(&text, public), "PLN-011");
    assert_eq!(found[0].place.key.as_deref(), Some("plans[2].audience"));
    assert!(of_rule(findings(&text, |_| ()), "PLN-011").is_empty());
}

#[test]
fn a_repository_of_the_preview_may_be_refused_and_a_bundle_that_is_gone_is() {
    let found = findings(&with_bundle(), |own| {
        own.target = SubmissionTarget::Preview;
        own.repository = own.repository.as_ref().map(|_| "live/first".to_owned());
    });
    let found = of_rule(found, "TEC-008");
    assert!(!found.is_empty() && found.iter().all(|at| at.severity == Severity::Warning));
    // The offer says nothing of a bundle, and one is live.
    let (file, content) = Folder::new().load(&with_application()).unwrap();
    let (live, live_content) = Folder::new().load(&with_bundle()).unwrap();
    let live = submissions(
        &live,
        &live_content,
        &LedgerState::default(),
        SubmissionTarget::Live,
        Timestamp::default(),
    );
    let records: Vec<Record> =
        live.into_iter().map(|own| Record::Submitted(Box::new(own))).collect();
    let published = Published::of(LedgerState::of(&records), &file, &content);
    let evidence = Evidence { published: Some(published), ..Evidence::default() };
    let judgement = judge_offer(&file, &content, &evidence, Profile::Strict);
    assert_eq!(of_rule(judgement.findings, "K8S-032").len(), 1);
}

#[test]
fn a_bundle_that_is_raised_goes_beside_the_live_ones() {
    let raised = with_bundle().replacen("version: 1.0.0, digest", "version: 1.0.1, digest", 1);
    let (file, content) = Folder::new().load(&raised).unwrap();
    let found = judged(&raised, |live| {
        for own in live {
            own.bundles.iter_mut().for_each(|at| at.version = "1.0.0".to_owned());
        }
    });
    assert!(of_rule(found, "K8S-032").is_empty());
    let live =
        LedgerState::of(&[Record::Submitted(Box::new(crate::published::tests::application()))]);
    let own = submissions(&file, &content, &live, SubmissionTarget::Live, Timestamp::default());
    let versions: Vec<&str> = own[2].bundles.iter().map(|at| at.version.as_str()).collect();
    assert_eq!(versions, ["1.0.0", "1.0.1"]);
}

#[test]
fn tags_of_the_ledger_count_where_tags_of_the_offer_do() {
    let (mut file, content) = Folder::new().load(&changed(&[])).unwrap();
    let mut live = submissions(
        &file,
        &content,
        &LedgerState::default(),
        SubmissionTarget::Live,
        Timestamp::default(),
    );
    for number in 0..12 {
        live[0].tags.insert(format!("1.3.{number}-all").parse().unwrap(), None);
    }
    let records: Vec<Record> =
        live.into_iter().map(|own| Record::Submitted(Box::new(own))).collect();
    let state = LedgerState::of(&records);
    crate::published::complete(&mut file, &state);
    let published = Published::of(state, &file, &content);
    let evidence = Evidence { published: Some(published), ..Evidence::default() };
    let judgement = judge_offer(&file, &content, &evidence, Profile::Strict);
    assert_eq!(judgement.outcomes.get("TEC-009"), Some(&Outcome::Failed));
    assert_eq!(judgement.outcomes.get("TEC-016"), Some(&Outcome::Passed));
    assert_eq!(judgement.outcomes.get("TEC-018"), Some(&Outcome::Passed));
}

#[test]
fn without_a_ledger_it_is_named() {
    let (file, content) = Folder::new().load(&with_application()).unwrap();
    let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
    let named = &judgement.gaps[&Gap::Ledger];
    for rule in RULES {
        assert!(named.contains(rule.id), "{}", rule.id);
    }
}

#[test]
fn a_version_tag_that_moved_is_found_in_the_images() {
    let (file, content) = Folder::new().load(&changed(&[])).unwrap();
    let mut live = submissions(
        &file,
        &content,
        &LedgerState::default(),
        SubmissionTarget::Live,
        Timestamp::default(),
    );
    let (one, other) = (crate::published::tests::digest("1"), crate::published::tests::digest("2"));
    for known in live[0].tags.values_mut() {
        *known = Some(one);
    }
    let records: Vec<Record> =
        live.into_iter().map(|own| Record::Submitted(Box::new(own))).collect();
    let published = Published::of(LedgerState::of(&records), &file, &content);
    let evidence = Evidence { published: Some(published), ..Evidence::default() };
    let images = |digest| {
        let image = file.image(0).unwrap();
        let tags = image.image.expanded_tags.iter().map(|item| (item.tag.clone(), digest));
        vec![(Some(0), ImageFacts { tags: tags.collect(), ..ImageFacts::default() })]
    };
    let same = crate::rules::judge_published(&file, &evidence, &images(one));
    assert!(same.findings.is_empty());
    let moved = crate::rules::judge_published(&file, &evidence, &images(other)).findings;
    assert!(!moved.is_empty() && moved.iter().all(|at| at.rule == "TEC-017"));
    assert!(moved.iter().all(|at| !at.message.contains("`latest`")), "{moved:?}");
}
