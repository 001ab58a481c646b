//! Redirects that lead a client astray on order: loops, chains, another host.
//!
//! A hop is told in the query, so that an address redirects for as long as it says, whoever asks,
//! and no state is kept.

use std::net::SocketAddr;

use http::header::LOCATION;
use http::{Response, StatusCode, Uri};

use super::fault::Fault;
use super::refusal::with_header;
use super::route::Query;
use wharf_testkit::http::{Body, empty};

/// The field of the query that says how many redirects are left.
const HOP: &str = "_hop";
/// Its value at an address that redirects to itself for ever.
const LOOP: &str = "loop";

/// The redirect that stands in for an answer, if this fault is one to the same address.
pub(crate) fn ordered(fault: Fault, host: &str, uri: &Uri) -> Option<Response<Body>> {
    match fault {
        Fault::RedirectLoop => Some(to_itself(host, uri, LOOP)),
        Fault::RedirectHops { hops } => {
            Some(to_itself(host, uri, &hops.saturating_sub(1).to_string()))
        }
        _ => None,
    }
}

/// The redirect that such a redirect led to, until none is left.
pub(crate) fn next_hop(query: &Query, host: &str, uri: &Uri) -> Option<Response<Body>> {
    let hop = query.first(HOP)?;
    if hop == LOOP {
        return Some(to_itself(host, uri, LOOP));
    }
    let left = hop.parse::<u32>().ok()?.checked_sub(1)?;
    Some(to_itself(host, uri, &left.to_string()))
}

/// A redirect to the other host.
pub(crate) fn elsewhere(addr: SocketAddr, target: &str) -> Response<Body> {
    redirect(&format!("http://{addr}{target}"))
}

fn to_itself(host: &str, uri: &Uri, hop: &str) -> Response<Body> {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query.filter(|(name, _)| name != HOP))
        .append_pair(HOP, hop)
        .finish();
    redirect(&format!("http://{host}{}?{query}", uri.path()))
}

fn redirect(location: &str) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    with_header(response, LOCATION, location)
}
