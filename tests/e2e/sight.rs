//! The operator's view of a running `wharfd`, and the changes to it: lines of requests, metrics,
//! traces, the audit log, readiness, and the reloaded configuration.

mod audit;
mod collector;
mod dashboard;
mod lines;
mod metrics;
mod page;
mod readiness;
mod reload;
mod traces;

use serde_json::Value;

use crate::fixture::{Wharfd, eventually};

const REPO: &str = "acme/web";
const TYPE: &str = "application/vnd.oci.image.index.v1+json";
const INDEX: &str = "{\"schemaVersion\":2,\"manifests\":[]}";

/// The first line of the log with all of these words, once there is one.
async fn line_with(wharfd: &Wharfd, words: &[&str]) -> String {
    let has = |line: &&str| words.iter().all(|word| line.contains(word));
    let look = async || wharfd.log().lines().find(has).map(str::to_owned);
    eventually(&format!("a line with {words:?}"), look).await
}

/// The objects of a text with one on each line.
fn objects(text: &str) -> Vec<Value> {
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    text.lines().map(parse).collect()
}
