//! The acts of clients, chosen by chance.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Method;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use crate::client::{Ask, Visitor, Went};
use crate::counts::What;
use crate::world::{Layer, MANIFEST_TYPE, PUSHED_BYTES_MAX, PUSHED_CONTENTS, manifest};

/// How many images of its own a client keeps.
const KEPT_MAX: usize = 4;
const PART_BYTES_MAX: u64 = 400_000;

pub(crate) async fn next(visitor: &mut Visitor) -> anyhow::Result<()> {
    match visitor.dice.below(100) {
        0..40 => pull(visitor).await.context("pulling"),
        40..55 => part(visitor).await.context("reading a part"),
        55..61 => hang_up(visitor).await.context("breaking off"),
        61..75 => push(visitor).await.context("pushing"),
        75..83 => pull_own(visitor).await.context("pulling its own"),
        83..89 => delete(visitor).await.context("deleting"),
        89..93 => abandon(visitor).await.context("giving an upload up"),
        _ => list(visitor).await.context("listing"),
    }
}

/// Deletes the client's pushed images, so the next client of this number starts with an empty
/// repository.
pub(crate) async fn tidy(visitor: &mut Visitor) -> anyhow::Result<()> {
    while !visitor.pushed.is_empty() {
        delete(visitor).await.context("tidying up")?;
    }
    Ok(())
}

async fn pull(visitor: &mut Visitor) -> anyhow::Result<()> {
    let world = std::sync::Arc::clone(&visitor.world);
    let image = &world.images[visitor.dice.index(world.images.len())];
    let digest = sha256(&image.manifest);
    let reference = if visitor.dice.percent(60) { "v1" } else { digest.as_str() };
    let mut whole = visitor.read_manifest(&image.repo, reference, &image.manifest).await?;
    for blob in &image.blobs {
        // Like a client with most layers at hand already.
        if blob.size > 1_000_000 && visitor.dice.percent(75) {
            continue;
        }
        whole &= visitor.read_blob(&image.repo, blob, None, None).await?;
    }
    if whole {
        visitor.world.counts.one(What::Pulled);
    }
    Ok(())
}

async fn part(visitor: &mut Visitor) -> anyhow::Result<()> {
    let world = std::sync::Arc::clone(&visitor.world);
    let image = &world.images[visitor.dice.index(world.images.len())];
    let blob = &image.blobs[visitor.dice.index(image.blobs.len())];
    let first = visitor.dice.index(blob.size);
    let most = usize::try_from(visitor.dice.size(1, PART_BYTES_MAX))?;
    let last = (first + most - 1).min(blob.size - 1);
    if visitor.read_blob(&image.repo, blob, Some((first, last)), None).await? {
        visitor.world.counts.one(What::Ranges);
    }
    Ok(())
}

async fn hang_up(visitor: &mut Visitor) -> anyhow::Result<()> {
    let world = std::sync::Arc::clone(&visitor.world);
    let image = &world.images[visitor.dice.index(world.images.len())];
    let blob = &image.blobs[visitor.dice.index(image.blobs.len())];
    let stop = visitor.dice.index(blob.size);
    visitor.read_blob(&image.repo, blob, None, Some(stop)).await?;
    visitor.world.counts.one(What::HungUp);
    Ok(())
}

fn own_repo(visitor: &Visitor) -> String {
    format!("own/{}", visitor.number)
}

/// One of the contents common to all pushes.
fn some_layer(visitor: &mut Visitor) -> Layer {
    let content = visitor.dice.below(PUSHED_CONTENTS);
    let size = usize::try_from(2_000 + content * 7_919 % (PUSHED_BYTES_MAX as u64 - 2_000));
    visitor.world.layer(format!("pushed content {content}\n"), size.unwrap_or(2_000))
}

async fn push(visitor: &mut Visitor) -> anyhow::Result<()> {
    let repo = own_repo(visitor);
    while visitor.pushed.len() >= KEPT_MAX {
        delete(visitor).await?;
    }
    let mut blobs = vec![visitor.world.layer(format!("config of {repo}\n"), 200)];
    for _ in 0..=visitor.dice.below(2) {
        blobs.push(some_layer(visitor));
    }
    for blob in &blobs {
        if !push_blob(visitor, &repo, blob).await? {
            return Ok(());
        }
    }
    visitor.pushes += 1;
    let (tag, note) = (format!("t{}", visitor.pushes), (visitor.number << 32) | visitor.pushes);
    let content = manifest(&blobs, note);
    let path = format!("/v2/{repo}/manifests/{tag}");
    let put = Ask::new(Method::PUT, path).header("content-type", MANIFEST_TYPE);
    let put = put.content(content.clone());
    // A refused push may still have arrived, so it is deleted like a successful one.
    if matches!(visitor.send(put, &[201]).await?, Went::Well(_)) {
        visitor.world.counts.one(What::Pushed);
        visitor.pushed.push((tag, content, blobs));
    }
    Ok(())
}

/// As clients do: ask, open, send, end. `false` when it was turned away.
async fn push_blob(visitor: &mut Visitor, repo: &str, blob: &Layer) -> anyhow::Result<bool> {
    let path = format!("/v2/{repo}/blobs/{}", blob.digest);
    let head = Ask::new(Method::HEAD, path);
    match visitor.send(head, &[200, 404]).await? {
        Went::Well(answer) if answer.status == 404 => {}
        Went::Well(_) => return Ok(true),
        Went::Away => return Ok(false),
    }
    let Some(location) = open(visitor, repo).await? else { return Ok(false) };
    let content = visitor.world.content(blob);
    let pieces = visitor.dice.percent(50);
    let mut at = location.clone();
    if visitor.dice.percent(50) {
        let chunk = Ask::new(Method::PATCH, &location).content(content).in_pieces(pieces);
        match visitor.send(chunk, &[202]).await? {
            Went::Well(answer) => answer.header("location").clone_into(&mut at),
            Went::Away => return give_up(visitor, &location).await.map(|()| false),
        }
        return end(visitor, &at, blob, Bytes::new()).await;
    }
    end(visitor, &at, blob, content).await
}

async fn open(visitor: &mut Visitor, repo: &str) -> anyhow::Result<Option<String>> {
    let path = format!("/v2/{repo}/blobs/uploads/");
    let post = Ask::new(Method::POST, path);
    let Went::Well(answer) = visitor.send(post, &[202]).await? else { return Ok(None) };
    Ok(Some(answer.header("location").to_owned()))
}

async fn end(
    visitor: &mut Visitor,
    location: &str,
    blob: &Layer,
    last: Bytes,
) -> anyhow::Result<bool> {
    let path = format!("{location}?digest={}", blob.digest);
    let put = Ask::new(Method::PUT, path).content(last);
    match visitor.send(put, &[201]).await? {
        Went::Well(answer) => {
            let named = answer.header("docker-content-digest");
            ensure!(named == blob.digest, "{named} instead of {}", blob.digest);
            Ok(true)
        }
        Went::Away => give_up(visitor, location).await.map(|()| false),
    }
}

/// Cancels an upload, if it is still open.
async fn give_up(visitor: &mut Visitor, location: &str) -> anyhow::Result<()> {
    for _ in 0..100 {
        let cancel = Ask::new(Method::DELETE, location);
        match visitor.send(cancel, &[204, 404, 409]).await? {
            // An earlier request, broken off by the client, still holds the session.
            Went::Well(answer) if answer.status == 409 => {}
            Went::Well(_) => return Ok(()),
            Went::Away => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("an upload that cannot be cancelled: {location}")
}

async fn pull_own(visitor: &mut Visitor) -> anyhow::Result<()> {
    if visitor.pushed.is_empty() {
        return Ok(());
    }
    let index = visitor.dice.index(visitor.pushed.len());
    let (tag, content, blobs) = visitor.pushed[index].clone();
    let repo = own_repo(visitor);
    visitor.read_manifest(&repo, &tag, &content.into()).await?;
    for blob in &blobs {
        visitor.read_blob(&repo, blob, None, None).await?;
    }
    Ok(())
}

/// A refused deletion may have happened; only the absence in the end counts.
async fn delete(visitor: &mut Visitor) -> anyhow::Result<()> {
    let Some((tag, content, _)) = visitor.pushed.pop() else { return Ok(()) };
    let repo = own_repo(visitor);
    let path = format!("/v2/{repo}/manifests/{}", sha256(content.as_bytes()));
    for attempt in 0..50 {
        let call = Ask::new(Method::DELETE, &path);
        let right: &[u16] = if attempt == 0 { &[202] } else { &[202, 404] };
        if let Went::Well(_) = visitor.send(call, right).await? {
            visitor.world.counts.one(What::Deleted);
            let path = format!("/v2/{repo}/manifests/{tag}");
            let gone = Ask::get(path);
            visitor.send(gone, &[404]).await.context("after a deletion")?;
            return Ok(());
        }
    }
    anyhow::bail!("{path} cannot be deleted")
}

/// Half of a body, then the connection goes, then the upload is cancelled.
async fn abandon(visitor: &mut Visitor) -> anyhow::Result<()> {
    let repo = own_repo(visitor);
    let Some(location) = open(visitor, &repo).await? else { return Ok(()) };
    let blob = some_layer(visitor);
    let content = visitor.world.content(&blob);
    let (host, shown) = (visitor.world.host(), visitor.world.shown(visitor.number));
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {host}\r\nauthorization: {shown}\r\n\
         content-length: {}\r\n\r\n",
        content.len()
    );
    let mut stream = TcpStream::connect(&host).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&content[..content.len() / 2]).await?;
    drop(stream);
    give_up(visitor, &location).await?;
    visitor.world.counts.one(What::Abandoned);
    Ok(())
}

async fn list(visitor: &mut Visitor) -> anyhow::Result<()> {
    let world = std::sync::Arc::clone(&visitor.world);
    let image = &world.images[visitor.dice.index(world.images.len())];
    // The upstream may have no referrers API.
    let (path, expected): (_, &[u16]) = match visitor.dice.below(3) {
        0 => (format!("/v2/{}/tags/list", image.repo), &[200]),
        1 => (format!("/v2/{}/referrers/{}", image.repo, sha256(&image.manifest)), &[200, 404]),
        _ => ("/v2/_catalog".to_owned(), &[200]),
    };
    let call = Ask::get(&path);
    if let Went::Well(answer) = visitor.send(call, expected).await? {
        check_list(&path, &answer)?;
        visitor.world.counts.one(What::Listed);
    }
    Ok(())
}

fn check_list(path: &str, answer: &Answer) -> anyhow::Result<()> {
    let json = answer.json()?;
    if path.ends_with("/tags/list") {
        ensure!(json["tags"] == serde_json::json!(["v1"]), "{path}: {json}");
    }
    Ok(())
}
