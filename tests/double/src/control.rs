//! `/_double/…` on the registry's port: counts, journal, faults and expiry for other processes.
//!
//! The control API needs no credentials, is not counted, and meets no faults. A real registry has
//! no such path, so no request through a proxy reaches it.
//!
//! | request | does |
//! | --- | --- |
//! | `GET counts` | the counts as JSON |
//! | `GET journal` | the last requests as JSON |
//! | `POST reset` | forgets counts and journal |
//! | `GET`, `POST`, `DELETE faults` | lists, adds (one rule as JSON), clears |
//! | `POST expire-tokens`, `POST expire-links` | everything handed out so far is expired |
//! | `POST refill` | every bucket of requests is full |
//! | `POST catch-up` | the replica knows everything pushed so far |
//! | `GET uploads` | how many uploads are open |
//! | `GET held`, `POST release` | how many answers are held; lets them go |

use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::faults::FaultRule;
use super::refusal::{Refusal, json_response};
use super::shared::Shared;
use wharf_testkit::http::{Body, read_to_limit};

/// The largest rule in a request body.
const RULE_BYTES_MAX: usize = 64 * 1024;

pub(crate) async fn handle(
    shared: &Shared,
    method: &Method,
    action: &str,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let value = match (method.as_str(), action) {
        ("GET", "counts") => encode(&shared.recorder.counts())?,
        ("GET", "journal") => encode(&shared.recorder.journal())?,
        ("GET", "faults") => encode(&shared.faults.waiting())?,
        ("GET", "held") => json!({ "held": shared.holds.held() }),
        ("GET", "uploads") => json!({ "open": shared.uploads.count() }),
        ("POST", "release") => {
            shared.holds.release();
            json!({})
        }
        ("POST", "refill") => {
            shared.meters.refill();
            json!({})
        }
        ("POST", "catch-up") => {
            shared.replicas.catch_up();
            json!({})
        }
        ("POST", "reset") => {
            shared.recorder.reset();
            json!({})
        }
        ("DELETE", "faults") => {
            shared.faults.clear();
            json!({})
        }
        ("POST", "expire-tokens") => {
            shared.authority.tokens().expire_all();
            json!({})
        }
        ("POST", "expire-links") => {
            shared.links.expire_all();
            json!({})
        }
        ("POST", "faults") => {
            let body = read_to_limit(body, RULE_BYTES_MAX).await;
            let body = body.map_err(|_| Refusal::FormInvalid("the fault is too large"))?;
            let rule: FaultRule = match serde_json::from_slice(&body) {
                Ok(rule) => rule,
                Err(error) => {
                    let value = json!({ "error": format!("not a fault: {error}") });
                    return Ok(json_response(StatusCode::BAD_REQUEST, &value));
                }
            };
            if !shared.faults.add(rule) {
                return Err(Refusal::FormInvalid("too many faults wait, or this one hits nothing"));
            }
            json!({})
        }
        _ => return Err(Refusal::RouteUnknown),
    };
    Ok(json_response(StatusCode::OK, &value))
}

fn encode(value: &impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|error| Refusal::BackingFailed(error.to_string()))
}
