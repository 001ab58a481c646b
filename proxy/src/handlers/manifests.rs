//! `GET`, `HEAD` and `PUT` of manifests (distribution-spec end-3, end-7): reading them, and what a
//! body must be. What is done with it is in `push.rs`, deleting in `removals.rs`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::Incoming;
use tracing::Instrument as _;
use wharf_oci::{Digest, Manifest, MediaType, ParseError, Reference, RepoName, Tag};

use super::collected::{self, Taking};
use super::push::Push;
use super::{App, content};
use crate::Error;
use crate::access::Caller;
use crate::audit::Act;
use crate::config::Limits;
use crate::held::{Hold, Purse};
use crate::response::{self, Answer};
use crate::turns::{Place, Turn, Wanted};
use crate::upstream::{Accept, Conditions};
use crate::upstreams::Site;

/// Which manifest is put where.
pub(super) struct Put {
    pub(super) repo: RepoName,
    pub(super) reference: Reference,
    pub(super) tags: Vec<Tag>,
    /// Who asks, and from where.
    pub(super) caller: Caller,
    pub(super) client: IpAddr,
    /// What they hold in memory, and may hold.
    pub(super) purse: Purse,
}

impl Put {
    /// Every tag that it sets.
    pub(super) fn named_tags(&self) -> impl Iterator<Item = &Tag> {
        let named = match &self.reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        named.into_iter().chain(&self.tags)
    }
}

pub(super) async fn get(
    app: &App,
    repo: &RepoName,
    reference: &Reference,
    head: bool,
    (headers, caller, purse): (&HeaderMap, &Caller, &Purse),
) -> Result<Answer, Error> {
    let asked = (caller, Accept::of(headers), purse);
    let (manifest, outcome) = app.cache.manifest(repo, reference, asked).await?;
    app.metrics.outcome(outcome);
    if let Some(unchanged) = response::not_modified(headers, &manifest.digest, outcome) {
        return Ok(unchanged);
    }
    let size_bytes = manifest.bytes.len() as u64;
    let full = response::manifest(manifest, outcome);
    Ok(if head { response::head(full, size_bytes) } else { full })
}

/// Puts a manifest. Once it is somebody's turn it goes on to its end when the caller goes away: the
/// upstream may have done its part.
pub(super) async fn put(
    app: &Arc<App>,
    (put, act): (Put, Act),
    headers: &HeaderMap,
    body: (&mut Incoming, &Limits),
) -> Result<Answer, Error> {
    let (push, turns) = match prepare(app, put, headers, body).await {
        Ok(prepared) => prepared,
        Err(error) => return act.ended(Err(error)),
    };
    let work = async move {
        let done = act.ended(push.run().await);
        drop(turns);
        done
    };
    app.finishing.run(work.in_current_span()).await
}

/// A push whose manifest is proven, whose content is there, and whose turn it is.
async fn prepare(
    app: &Arc<App>,
    put: Put,
    headers: &HeaderMap,
    (body, limits): (&mut Incoming, &Limits),
) -> Result<(Push, (Option<Turn>, Turn)), Error> {
    let site =
        app.cache.upstreams.site_for(&put.repo, put.caller.login())?.for_party(put.caller.party());
    let conditions = Conditions::of(headers)?;
    let declared = declared(headers, &site)?;
    let (bytes, mut hold) = collect(headers, body, &put.purse, limits).await?;
    let length = bytes.len();
    let counted = bytes.clone();
    let outline_bytes =
        app.cache.bridge.read(length, move || Manifest::outline_bytes(&counted)).await;
    hold.grow_to(length as u64 + outline_bytes)?;
    let (is_local, reference) = (matches!(site, Site::Local), put.reference.clone());
    let read = move || {
        let manifest = if is_local {
            Manifest::accept(bytes, declared.as_ref())?
        } else {
            // What is a manifest is the upstream's to say.
            Manifest::read_outline(bytes, declared.as_ref())?
        };
        let digest = prove(&manifest, &reference)?;
        Ok::<_, Error>((manifest, digest))
    };
    let (manifest, digest) = app.cache.bridge.read(length, read).await?;
    content::require(app, &put.repo, &site, &manifest).await?;
    if let Site::Remote(_) = &site {
        app.deliveries.settle((&put.repo, &put.caller.party()), &manifest).await?;
    }
    let place = Place::of(&site, &put.repo);
    let keeping = keep(app, (&site, &place), &put, &manifest).await?;
    let wanted = Wanted::to_put(&place, digest, put.named_tags());
    // What is put on a condition is not there at the same time by somebody else's hand.
    let wanted = if conditions.is_empty() { wanted } else { wanted.alone() };
    let turn = app.turns.take(&put.caller.party(), wanted).await?;
    let app = Arc::clone(app);
    let manifest = Arc::new(manifest);
    Ok((Push { app, site, place, put, manifest, digest, conditions, _hold: hold }, (keeping, turn)))
}

/// For a write-once tag: from now on nothing of the repository is deleted until it is put. What was there
/// before may have gone while this waited.
async fn keep(
    app: &App,
    (site, place): (&Site, &Place),
    put: &Put,
    manifest: &Manifest,
) -> Result<Option<Turn>, Error> {
    if !put.named_tags().any(|tag| app.write_once.covers(site, place, tag)) {
        return Ok(None);
    }
    let turn = app.turns.take(&put.caller.party(), Wanted::to_keep(place)).await?;
    content::require(app, &put.repo, site, manifest).await?;
    Ok(Some(turn))
}

/// What a manifest is sent as. What is no media type is refused where nobody else is asked.
fn declared(headers: &HeaderMap, site: &Site) -> Result<Option<MediaType>, Error> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match (text.map(str::parse).transpose(), site) {
        (Ok(declared), _) => Ok(declared),
        (Err(error), Site::Local) => Err(Error::Parse(error)),
        (Err(_), Site::Remote(_)) => Ok(None),
    }
}

/// A manifest by digest must be that content, by the digest's own algorithm.
fn prove(manifest: &Manifest, reference: &Reference) -> Result<Digest, Error> {
    let Reference::Digest(expected) = reference else {
        return Ok(manifest.digest());
    };
    manifest.prove(expected).map_err(Error::DigestMismatch)?;
    Ok(*expected)
}

/// The body, refused as soon as it is known to be too large.
async fn collect(
    headers: &HeaderMap,
    body: &mut Incoming,
    purse: &Purse,
    limits: &Limits,
) -> Result<(Bytes, Hold), Error> {
    let limit_bytes = limits.manifest_bytes;
    let too_large =
        |size_bytes| Error::Parse(ParseError::ManifestTooLarge { size_bytes, limit_bytes });
    let taking = Taking { purse, limit_bytes, floor: limits.floor, too_large };
    collected::collect(headers, body, taking).await
}
