//! `/acr/v1/…`: ACR's metadata of repositories, tags and manifests besides their content, and the
//! locks on them.
//!
//! Times are not kept. A repository's manifests are the manifests with a tag: the backing registry
//! lists no others.

use std::collections::BTreeMap;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::call::Call;
use super::credentials::host;
use super::locks::{Change, Target};
use super::manifests::{self, digest_of, head};
use super::paging::whole_list;
use super::refusal::{Refusal, json_response};
use super::route::Metadata;
use super::shared::Shared;
use wharf_testkit::http::{Body, read_to_limit};

/// The largest change in a request body.
const CHANGE_BYTES_MAX: usize = 64 * 1024;
/// The most tags of one list with a look-up.
const TAGS_MAX: usize = 100;

/// Answers one request below `/acr/v1/<name>`.
pub(crate) async fn handle(
    shared: &Shared,
    call: &Call,
    (name, what): (&str, &Metadata),
    body: Body,
) -> Result<Response<Body>, Refusal> {
    match (call.parts.method.as_str(), what) {
        ("GET", _) => read(shared, call, name, what).await,
        ("PATCH", Metadata::One(target)) => change(shared, name, target, body).await,
        ("DELETE", Metadata::One(Target::Tag(reference) | Target::Manifest(reference))) => {
            manifests::delete(shared, call, (name, reference), None).await
        }
        _ => Err(Refusal::RouteUnknown),
    }
}

async fn change(
    shared: &Shared,
    name: &str,
    target: &Target,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let body = read_to_limit(body, CHANGE_BYTES_MAX).await;
    let body = body.map_err(|_| Refusal::FormInvalid("the change is too large or broke off"))?;
    let change: Change = serde_json::from_slice(&body)
        .map_err(|_| Refusal::FormInvalid("the change is not of attributes"))?;
    if let Target::Tag(reference) | Target::Manifest(reference) = target {
        head(shared, name, reference).await?.ok_or(Refusal::ManifestUnknown)?;
    }
    shared.locks.change(name, target.clone(), change)?;
    Ok(json_response(StatusCode::OK, &json!({})))
}

async fn read(
    shared: &Shared,
    call: &Call,
    name: &str,
    what: &Metadata,
) -> Result<Response<Body>, Refusal> {
    let mut answer = json!({ "registry": host(&call.parts.headers)?, "imageName": name });
    let mut say = |key: &str, value: Value| {
        if let Some(fields) = answer.as_object_mut() {
            fields.insert(key.to_owned(), value);
        }
    };
    match what {
        Metadata::One(Target::Repository) => {
            let (tags, manifests) = contents(shared, name).await?;
            say("tagCount", tags.len().into());
            say("manifestCount", manifests.len().into());
            say("changeableAttributes", attributes(shared, name, &Target::Repository));
        }
        Metadata::One(Target::Tag(tag)) => {
            let headers = head(shared, name, tag).await?.ok_or(Refusal::ManifestUnknown)?;
            say("tag", tag_value(shared, name, tag, &headers));
        }
        Metadata::One(Target::Manifest(digest)) => {
            let headers = head(shared, name, digest).await?.ok_or(Refusal::ManifestUnknown)?;
            say("manifest", manifest_value(shared, name, digest, &headers));
        }
        Metadata::Tags => say("tags", contents(shared, name).await?.0.into()),
        Metadata::Manifests => say("manifests", contents(shared, name).await?.1.into()),
    }
    Ok(json_response(StatusCode::OK, &answer))
}

/// The tags of a repository, and the tags' manifests.
async fn contents(shared: &Shared, name: &str) -> Result<(Vec<Value>, Vec<Value>), Refusal> {
    let path = format!("/v2/{name}/tags/list");
    let listed = whole_list(&shared.backing, &path, "tags").await?;
    let names = listed.map_err(|_| Refusal::NameUnknown)?;
    let (mut tags, mut manifests) = (Vec::new(), BTreeMap::new());
    for tag in names.into_iter().take(TAGS_MAX) {
        let Some(headers) = head(shared, name, &tag).await? else { continue };
        if shared.locks.is_listed(name, &Target::Tag(tag.clone())) {
            tags.push(tag_value(shared, name, &tag, &headers));
        }
        if let Some(digest) = digest_of(&headers) {
            let value = manifest_value(shared, name, &digest, &headers);
            manifests.insert(digest, value);
        }
    }
    Ok((tags, manifests.into_values().collect()))
}

fn tag_value(shared: &Shared, name: &str, tag: &str, headers: &HeaderMap) -> Value {
    json!({
        "name": tag,
        "digest": digest_of(headers),
        "changeableAttributes": attributes(shared, name, &Target::Tag(tag.to_owned())),
    })
}

fn manifest_value(shared: &Shared, name: &str, digest: &str, headers: &HeaderMap) -> Value {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    json!({
        "digest": digest,
        "imageSize": text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()),
        "mediaType": text(CONTENT_TYPE),
        "changeableAttributes": attributes(shared, name, &Target::Manifest(digest.to_owned())),
    })
}

fn attributes(shared: &Shared, name: &str, target: &Target) -> Value {
    serde_json::to_value(shared.locks.attributes(name, target)).unwrap_or_default()
}
