#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::marketplace::diff::ChangeKind;
use crate::offer::fixture::{Folder, with_application};

fn change(key: &str, refused: Option<&'static str>) -> Change {
    let (before, after) = (Some(json!("one | `two`")), Some(json!("x".repeat(500))));
    let plan = Some("server".to_owned());
    Change { plan, key: key.to_owned(), how: ChangeKind::Changed, before, after, refused }
}

#[test]
fn only_what_is_allowed_is_expected() {
    let changes = [change("listing[en-us].title", None), change("plan[server].alias", None)];
    let unexpected = |globs: &[&str]| {
        let globs: Vec<Regex> = globs.iter().map(|glob| matcher(glob).unwrap()).collect();
        unexpected(&changes, &globs)
    };
    assert!(unexpected(&[]).is_empty());
    assert!(unexpected(&["*"]).is_empty());
    assert_eq!(unexpected(&["listing*"]), ["plan[server].alias"]);
    assert_eq!(unexpected(&["listing[en-us].title"]), ["plan[server].alias"]);
    assert_eq!(unexpected(&["listing"]).len(), 2);
    assert!(unexpected(&["listing[*].title", "*.alias"]).is_empty());
}

#[test]
fn both_values_are_shown_and_no_text_breaks_a_table() {
    let changes = vec![change("a", Some("it is frozen")), change("b", None)];
    let diff = TreeDiff { target: "live", changes, untouched: vec!["reseller".to_owned()] };
    let plain = text::plain(&diff, &["b".to_owned()], Paint::PLAIN);
    for words in [
        "plan server\n",
        "  changed a\n    - one | `two`\n    + xxx",
        "x…\n",
        "    refused: it is frozen\n",
        "not allowed by --allow",
        "2 changes against what is in live, 1 refused, 1 not allowed",
        "they stay as they are: reseller",
    ] {
        assert!(plain.contains(words), "{words}: {plain}");
    }
    let markdown = text::markdown(&diff, &[]);
    let row = markdown.lines().find(|line| line.contains("`a`")).unwrap();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 7, "{row}");
    assert!(row.contains("**refused**: it is frozen"));
}

fn with_bundle() -> String {
    let bundle = format!(
        "    namespace: tidepool\n    bundle: {{ repository: tidepool/bundle, digest: \"sha256:{}\" }}\n",
        "a".repeat(64)
    );
    let text = with_application().replacen("    namespace: tidepool\n", &bundle, 1);
    let tenant = "      tenantId: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386\n";
    let azure = "      registryName: quayline\n";
    text.replacen(azure, &format!("{azure}{tenant}"), 1)
}

#[test]
fn a_published_version_with_another_digest_is_refused_and_the_rest_compared() {
    let (file, content) = Folder::new().load(&with_bundle()).unwrap();
    let rendered = render(&file, &content, &Secrets::Placeholders, None).unwrap();
    let payload = serde_json::to_value(&rendered.payload).unwrap();
    let tree = |digest: &str| {
        let mut resources = payload["resources"].clone();
        for resource in resources.as_array_mut().unwrap() {
            if let Some(reference) = resource.pointer_mut("/cnabReferences/0") {
                reference["digest"] = json!(digest);
            }
            if resource.get("termsConditions").is_some() {
                resource["appVersion"] = json!("0.9");
            }
        }
        let tree = json!({"target": {"targetType": "live"}, "resources": resources});
        ResourceTree::parse(std::path::Path::new("t.json"), tree.to_string().as_bytes()).unwrap()
    };
    let keys = |digest: &str| -> Vec<(String, bool)> {
        let diff = of(&file, &content, &tree(digest), &LedgerState::default()).unwrap();
        let changes = diff.changes.into_iter();
        changes.map(|change| (change.key, change.refused.is_some())).collect()
    };
    let version = ("property.appVersion".to_owned(), false);
    let capitals = keys(&format!("sha256:{}", "A".repeat(64)));
    assert_eq!(capitals, std::slice::from_ref(&version));
    let key = "container-plan-technical-configuration[cluster]\
               .cnabReferences[live/tidepool/bundle:1.0.0].digest";
    let other = keys(&format!("sha256:{}", "b".repeat(64)));
    assert_eq!(other, [version, (key.to_owned(), true)]);
}

#[test]
fn why_there_is_nothing_to_compare_is_one_line_without_an_excerpt() {
    let tenant = "      tenantId: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386\n";
    let (file, content) = Folder::new().load(&with_bundle().replacen(tenant, "", 1)).unwrap();
    let tree = json!({"resources": [{"id": "product/p",
        "$schema": "https://schema.mp.microsoft.com/schema/product/2022-03-01-preview3"}]});
    let tree =
        ResourceTree::parse(std::path::Path::new("t.json"), tree.to_string().as_bytes()).unwrap();
    let why = evidence(&file, &content, &tree, &LedgerState::default()).unwrap_err();
    assert!(why.contains("offer.yaml:") && why.contains("no `azure.tenantId`"), "{why}");
    assert!(!why.contains('\n') && !why.contains('^'), "{why}");
}
