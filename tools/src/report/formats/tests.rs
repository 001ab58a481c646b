#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::exit::Exit;
use crate::report::Report;
use crate::report::UnreadTarget;
use crate::report::fixture::{HOSTILE, at_offer, in_image, of, written};
use crate::report::markdown::STEP_SUMMARY_BYTES_MAX;
use crate::rules::{AppliedWaiver, Finding, Gap, Severity};

fn some() -> Report {
    of(vec![
        at_offer("OFR-001", Severity::Error, "the ID is wrong"),
        at_offer("OFR-002", Severity::Warning, "it ends with -"),
        in_image("IMG-001", Severity::Warning, "it holds a key"),
    ])
}

fn sarif(report: &Report) -> Value {
    serde_json::from_str(&written(report, ReportFormat::Sarif)).unwrap()
}

#[test]
fn text_shows_the_line_and_the_place_in_the_image() {
    let expected = "\
── a b/offer.yaml ── 1 error, 1 warning

a b/offer.yaml:7:7: error[OFR-001]: the ID is wrong
  |
7 |   id: Big
  |       ^^^
  = at: offer.id
  = fix: write it

a b/offer.yaml:7:7: warning[OFR-002]: it ends with -
  |
7 |   id: Big
  |       ^^^
  = at: offer.id
  = fix: write it

── out/a ── 0 errors, 1 warning

out/a: warning[IMG-001]: it holds a key
    = for: linux/amd64, linux/arm64
    = layer: 2 (sha256:abababababab)
    = path: etc/ssh/key
    = fix: take it out

";
    let text = written(&some(), ReportFormat::Text);
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("\nfailed: 1 error, 2 warnings ("), "{text}");
    let ending = format!("\n    fix: {}\n", Gap::ScannerReport.how());
    assert!(text.ends_with(&ending), "{text}");
}

#[test]
fn a_terminal_gets_lines_that_fit() {
    let long = "the ID holds what no ID holds ".repeat(10);
    let report = of(vec![at_offer("OFR-001", Severity::Error, long.trim())]);
    let text = report.text(Paint::PLAIN.at_most(60));
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    assert!(text.contains("a b/offer.yaml:7:7: error[OFR-001]: the ID"), "{text}");
}

#[test]
fn no_text_of_a_stranger_is_obeyed_in_any_format() {
    let mut findings = vec![
        at_offer("OFR-001", Severity::Error, HOSTILE),
        in_image("IMG-001", Severity::Error, HOSTILE),
    ];
    for finding in &mut findings {
        finding.place.snippet = finding.place.snippet.as_ref().map(|_| HOSTILE.to_owned());
        finding.place.path = Some(HOSTILE.to_owned());
        finding.place.platforms = vec![HOSTILE.to_owned()];
        finding.place.file = HOSTILE.into();
    }
    findings[1].place.image = Some("out/a".to_owned());
    let report = of(findings);
    let formats = [
        ReportFormat::Text,
        ReportFormat::Junit,
        ReportFormat::Sarif,
        ReportFormat::Markdown,
        ReportFormat::Html,
        ReportFormat::Github,
        ReportFormat::Azure,
    ];
    for format in formats {
        let text = written(&report, format);
        let obeyed =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(obeyed), "{format:?}: {text:?}");
        let commands = text.lines().filter(|line| line.trim_start().starts_with("::")).count();
        assert_eq!(commands, if format == ReportFormat::Github { 2 } else { 0 }, "{text}");
        assert!(!text.contains("##vso[task.complete]"), "{format:?}: {text}");
    }
    let xml = written(&report, ReportFormat::Junit);
    assert!(!xml.contains("<script>") && xml.contains("&lt;script&gt;"), "{xml}");
    let azure = written(&report, ReportFormat::Azure);
    let head = azure.lines().next().unwrap();
    // Its own bracket ends the command; none of the name does.
    assert!(head.split_once(']').unwrap().0.ends_with("code=IMG-001;"), "{head}");
}

#[test]
fn junit_has_a_suite_for_each_subject_and_skips_what_was_not_decided() {
    let text = written(&some(), ReportFormat::Junit);
    assert_eq!(text.matches("<testsuite ").count(), 2, "{text}");
    assert!(
        text.contains("<testsuites name=\"wharf verify\" tests=\"10\" failures=\"1\""),
        "{text}"
    );
    assert_eq!(text.matches(" skipped=\"").count(), 2, "{text}");
    assert!(text.contains("<testsuite name=\"wharf verify: out/a\""), "{text}");
    assert!(text.contains("<failure message=\"the ID is wrong\" type=\"OFR-001\">"), "{text}");
    assert!(text.contains("a b/offer.yaml:7:7: error: the ID is wrong"), "{text}");
    assert!(text.contains("<skipped message=\"not looked at: no vulnerability report\"/>"));
    assert!(text.contains("<skipped message=\"not applicable\"/>"), "{text}");
    assert!(text.contains("classname=\"wharf.verify.out/a\""), "{text}");
    assert_eq!(text.matches("<system-out>").count(), 2, "{text}");
}

#[test]
fn sarif_points_at_the_line_of_the_offer_and_into_the_image() {
    let value = sarif(&some());
    let results = value["runs"][0]["results"].as_array().unwrap();
    let (first, image) = (&results[0], &results[2]);
    assert_eq!(first["ruleId"], "OFR-001");
    let place = &first["locations"][0]["physicalLocation"];
    let artifact = json!({"uri": "a%20b/offer.yaml", "uriBaseId": "%SRCROOT%"});
    assert_eq!(place["artifactLocation"], artifact);
    let region = json!({
        "startLine": 7, "startColumn": 7, "endColumn": 10, "snippet": {"text": "  id: Big"},
    });
    assert_eq!(place["region"], region);
    assert!(first["partialFingerprints"]["primaryLocationLineHash"].is_string());
    let logical = &image["locations"][0]["logicalLocations"];
    assert_eq!(logical.as_array().unwrap().len(), 2);
    let name = logical[1]["fullyQualifiedName"].as_str().unwrap();
    assert!(name.starts_with("out/a layer 2 sha256:ab"), "{name}");
    assert!(name.ends_with(" etc/ssh/key (linux/arm64)"), "{name}");
    let rules = value["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let index = usize::try_from(image["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(rules[index]["id"], "IMG-001");
    assert!(rules.iter().all(|rule| rule["helpUri"].as_str().unwrap().starts_with("https://")));
    let notes = &value["runs"][0]["invocations"][0]["toolConfigurationNotifications"];
    assert!(notes[0]["message"]["text"].as_str().unwrap().contains("vulnerability report"));
}

#[test]
fn fingerprints_hold_no_digest_and_tell_results_apart() {
    let prints = |message: &str| {
        let finding = in_image("IMG-001", Severity::Error, message);
        let value = sarif(&of(vec![finding.clone(), finding]));
        let print = |at: usize| {
            let prints = &value["runs"][0]["results"][at]["partialFingerprints"];
            prints["primaryLocationLineHash"].as_str().unwrap().to_owned()
        };
        (print(0), print(1))
    };
    let (one, two) = (format!("sha256:{}", "0a".repeat(32)), format!("sha256:{}", "1b".repeat(32)));
    let first = prints(&format!("{one}: it is missing"));
    assert_eq!(first, prints(&format!("{two}: it is missing")));
    assert_ne!(first.0, first.1);
    assert_ne!(first.0, prints(&format!("{two}: it has another size")).0);
}

#[test]
fn a_plan_that_moves_in_the_offer_keeps_its_fingerprints() {
    let print = |number: usize, plan: &str| {
        let mut finding = at_offer("PLN-001", Severity::Error, "no");
        finding.place.key = Some(format!("plans[{number}].name"));
        finding.place.plan = Some(plan.to_owned());
        let value = sarif(&of(vec![finding]));
        value["runs"][0]["results"][0]["partialFingerprints"].clone()
    };
    assert_eq!(print(0, "cache"), print(3, "cache"));
    assert_ne!(print(0, "cache"), print(0, "probe"));
}

#[test]
fn what_could_not_be_decided_is_neither_passed_nor_failed_anywhere() {
    let mut open = at_offer("OFR-002", Severity::Warning, "it ends with -");
    open.not_proven = true;
    let report = of(vec![open]);
    assert!(!report.summary.passed && report.summary.not_proven == 1);
    let text = written(&report, ReportFormat::Text);
    assert!(text.contains("not proven[OFR-002]"), "{text}");
    assert!(text.contains("\nnot proven: 0 errors, 1 warning ("), "{text}");
    let text = written(&report, ReportFormat::Junit);
    assert!(text.contains("<skipped message=\"not proven: it ends with -\"/>"), "{text}");
    let value = sarif(&report);
    let result = &value["runs"][0]["results"][0];
    assert_eq!((&result["kind"], &result["level"]), (&json!("open"), &json!("none")));
    let text = written(&report, ReportFormat::Json);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["result"]["summary"]["passed"], false);
    assert_eq!(value["result"]["findings"][0]["notProven"], true);
    let text = written(&report, ReportFormat::Markdown);
    assert!(text.starts_with("## ❔ wharf verify: not proven\n"), "{text}");
}

#[test]
fn json_is_the_envelope() {
    let value: Value = serde_json::from_str(&written(&some(), ReportFormat::Json)).unwrap();
    let result = &value["result"];
    assert_eq!(result["summary"]["errors"], 1);
    assert_eq!(result["findings"][1]["line"], 7);
    assert_eq!(result["outcomes"]["IMG-033"], "notLookedAt");
    assert_eq!(result["notLookedAt"][0]["gap"], "scannerReport");
}

#[test]
fn annotations_show_the_gravest_and_say_how_many_are_left() {
    let mut findings: Vec<Finding> =
        (0..14).map(|at| in_image("IMG-001", Severity::Warning, &format!("w{at}"))).collect();
    findings.extend((0..11).map(|at| at_offer("OFR-001", Severity::Error, &format!("e{at}"))));
    findings[3].not_proven = true;
    let report = of(findings);
    let text = written(&report, ReportFormat::Github);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 21, "{text}");
    assert_eq!(
        lines[0],
        "::error file=a b/offer.yaml,line=7,col=7,endColumn=10,title=OFR-001 error::\
         e0. Fix: write it"
    );
    assert!(lines[10].contains("title=IMG-001 not proven::w3 (out/a: etc/ssh/key)"), "{text}");
    assert_eq!(
        lines[20],
        "::notice title=wharf::1 error and 4 warnings more are in the report, not among the annotations"
    );
    let text = written(&report, ReportFormat::Azure);
    assert_eq!(text.matches("##vso[task.logissue type=error;").count(), 10, "{text}");
    assert!(
        text.starts_with(
            "##vso[task.logissue type=error;sourcepath=a b/offer.yaml;linenumber=7;\
             columnnumber=7;code=OFR-001;]e0. Fix: write it\n"
        ),
        "{text}"
    );
}

#[test]
fn markdown_stays_within_what_its_reader_takes() {
    let long = "x|".repeat(400);
    let findings = (0..2000).map(|_| in_image("IMG-001", Severity::Error, &long)).collect();
    let report = of(findings);
    let text = written(&report, ReportFormat::Markdown);
    assert!(text.len() <= STEP_SUMMARY_BYTES_MAX, "{}", text.len());
    assert!(text.contains(" findings more did not fit here."), "{}", &text[text.len() - 500..]);
    assert!(text.contains("### Not looked at"));
    // Five bars make four cells; those of the text are no bars.
    let rows = text.lines().filter(|line| line.starts_with("| ❌"));
    assert!(rows.clone().count() > 100 && rows.clone().all(|row| row.matches('|').count() == 5));
}

#[test]
fn what_is_waived_is_shown_everywhere_and_counts_nowhere() {
    let mut waived = in_image("IMG-001", Severity::Error, "it holds a key");
    waived.waived = Some(AppliedWaiver {
        reason: "a key of the tests".to_owned(),
        expires: Some("2027-01-31".to_owned()),
        owner: None,
        file: "waivers.yaml".into(),
    });
    let report = of(vec![waived, at_offer("OFR-002", Severity::Warning, "it ends with -")]);
    assert!(report.summary.passed && report.summary.waived == 1);
    let words = "until 2027-01-31, a key of the tests";
    let text = written(&report, ReportFormat::Text);
    assert!(text.contains("out/a: waived[IMG-001]: it holds a key"), "{text}");
    assert!(text.contains(&format!("    = waived: {words}\n")), "{text}");
    assert!(text.contains("passed: 0 errors, 1 warning, 1 waived ("), "{text}");
    let text = written(&report, ReportFormat::Junit);
    assert!(text.contains(&format!("<skipped message=\"waived: {words}\"/>")), "{text}");
    let results = &sarif(&report)["runs"][0]["results"];
    let suppressions = |at: usize| results[at]["suppressions"].as_array().unwrap().clone();
    assert_eq!(suppressions(0).len(), 0);
    assert_eq!(suppressions(1)[0]["justification"], words);
    assert!(!written(&report, ReportFormat::Github).contains("IMG-001"));
    let text = written(&report, ReportFormat::Markdown);
    assert!(text.contains("| ➖ waived | [IMG-001]("), "{text}");
}

#[test]
fn a_target_that_could_not_be_read_is_said_everywhere() {
    let unread = UnreadTarget { target: HOSTILE.to_owned(), error: "it is gone".to_owned() };
    let report = some().with_unread(vec![unread], Exit::Network);
    assert!(written(&report, ReportFormat::Text).contains("not read: x"));
    let junit = written(&report, ReportFormat::Junit);
    assert!(junit.contains("<error message=\"it is gone\" type=\"unread\"/>"), "{junit}");
    let value = sarif(&report);
    let invocation = &value["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let text = &invocation["toolExecutionNotifications"][0]["message"]["text"];
    assert!(text.as_str().unwrap().ends_with("it is gone"));
    for format in [ReportFormat::Github, ReportFormat::Azure] {
        let text = written(&report, format);
        assert!(text.lines().next().unwrap().contains("not read: x"), "{text}");
    }
    let text = written(&report, ReportFormat::Markdown);
    assert!(text.contains("\n❌ **not read:** x"), "{text}");
    let page = written(&report, ReportFormat::Html);
    assert!(page.contains("<strong>Not read: </strong>"));
}

#[test]
fn what_one_rule_says_of_one_place_is_said_with_one_snippet() {
    let said = |text: &str| at_offer("OFR-001", Severity::Error, text);
    let text = written(&of(vec![said("one"), said("two")]), ReportFormat::Text);
    let heads =
        "a b/offer.yaml:7:7: error[OFR-001]: one\na b/offer.yaml:7:7: error[OFR-001]: two\n";
    assert!(text.contains(&format!("{heads}  |\n7 |   id: Big\n")), "{text}");
    assert_eq!(text.matches("write it").count(), 1, "{text}");
}

#[test]
fn what_is_found_outside_of_everything_looked_at_is_shown_all_the_same() {
    let mut finding = in_image("IMG-001", Severity::Error, "it is about nothing here");
    finding.place.image = Some("elsewhere".to_owned());
    let report = of(vec![finding]);
    for format in
        [ReportFormat::Text, ReportFormat::Junit, ReportFormat::Markdown, ReportFormat::Html]
    {
        let text = written(&report, format);
        assert!(text.contains("it is about nothing here"), "{format:?}: {text}");
    }
}
