//! Redirects that lead a client astray on order: loops, chains, another host.
//!
//! The query carries the number of remaining redirects, so the double keeps no state and every
//! client gets the same redirects.

use std::net::SocketAddr;

use http::header::LOCATION;
use http::{Response, StatusCode, Uri};

use super::fault::Fault;
use super::refusal::with_header;
use super::route::Query;
use wharf_testkit::http::{Body, empty};

/// The field of the query with the number of remaining redirects.
const HOP: &str = "_hop";
/// Its value for an address with an endless redirect to itself.
const LOOP: &str = "loop";

/// The redirect ordered by this fault, for a fault with a redirect to the same address.
pub(crate) fn ordered(fault: Fault, host: &str, uri: &Uri) -> Option<Response<Body>> {
    match fault {
        Fault::RedirectLoop => Some(to_itself(host, uri, LOOP)),
        Fault::RedirectHops { hops } => {
            Some(to_itself(host, uri, &hops.saturating_sub(1).to_string()))
        }
        _ => None,
    }
}

/// The next redirect of a chain, until the query counts no more.
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
