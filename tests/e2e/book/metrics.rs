//! The page of metrics: families of a running `wharfd`, with their help, kind and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{assert_current, escaped};
use crate::fixture::{Wharfd, eventually};

/// A family of the page.
#[derive(Default)]
struct Family {
    help: String,
    kind: String,
    labels: BTreeSet<String>,
}

/// Names of the labels of a row.
fn labels(row: &str) -> Vec<String> {
    let Some((_, rest)) = row.split_once('{') else { return Vec::new() };
    // Values are texts of ours and of the configuration below: none holds `="`.
    let names = rest.split("=\"").map(|part| part.rsplit(['{', ',']).next().unwrap_or(""));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.pop();
    names
}

fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (family, help) = help.split_once(' ').unwrap();
            family.clone_into(&mut name);
            help.clone_into(&mut families.entry(name.clone()).or_default().help);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (_, kind) = kind.split_once(' ').unwrap();
            kind.clone_into(&mut families.entry(name.clone()).or_default().kind);
        } else {
            let family = families.entry(name.clone()).or_default();
            family.labels.extend(labels(line).into_iter().filter(|label| label != "le"));
        }
    }
    families
}

/// A `wharfd` with every source of metrics: TLS, an upstream, one answered request.
async fn page_of_metrics() -> String {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let lines = format!(
        "[tls]\ncert = \"{}\"\nkey = \"{}\"\n[[upstream]]\nurl = \"http://127.0.0.1:9\"\n",
        cert.display(),
        key.display()
    );
    let wharfd = Wharfd::with_config(&lines).await;
    wharfd.admin("/healthz").await;
    eventually("the store in the metrics", async || {
        let text = wharfd.admin("/metrics").await.text();
        text.contains("wharfd_store_").then_some(text)
    })
    .await
}

#[tokio::test]
async fn the_page_of_metrics_is_current() {
    let text = page_of_metrics().await;
    let mut page = "# Metrics\n\nWritten by `make reference` from `/metrics` of a `wharfd` with TLS and an \
                    upstream; a test holds the two together.\nHistograms have `_bucket`, `_sum` and \
                    `_count`. Values of labels come from the code or from the configuration, never from\n\
                    requests. A dashboard and alerts are in `proxy/examples/grafana` and \
                    `proxy/examples/prometheus`.\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for (name, Family { help, kind, labels }) in families(&text) {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ =
            writeln!(page, "| `{name}` | {kind} | {} | {} |", labels.join(", "), escaped(&help));
    }
    assert_current("metrics.md", &page);
}

#[test]
fn labels_of_a_row_are_found() {
    assert_eq!(labels("a{b=\"c, d\",e=\"f\"} 1"), ["b", "e"]);
    assert_eq!(labels("a 1"), [""; 0]);
}
