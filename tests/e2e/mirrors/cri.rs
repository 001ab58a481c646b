//! A kubelet's image pull at a node's runtime: one gRPC call over a socket, written out, so the
//! test needs no tool of a cluster.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

const METHOD: &str = "http://localhost/runtime.v1.ImageService/PullImage";
/// The first field of a message, as a length-delimited one.
const FIELD_1: u8 = 0x0a;

/// Pulls an image; returns the runtime's id of it, the digest of its config.
pub(super) async fn pull_image(socket: &Path, image: &str) -> anyhow::Result<String> {
    let stream = TokioIo::new(UnixStream::connect(socket).await?);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    // PullImageRequest { image: ImageSpec { image } }
    let message = framed(&field(&field(image.as_bytes())?)?)?;
    let request = Request::post(METHOD)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(message)))?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        anyhow::Ok((head.headers, body.collect().await?))
    };
    let (headers, body) = tokio::select! {
        answer = exchange => answer?,
        ended = connection => bail!("the runtime closed the connection: {ended:?}"),
    };
    let nothing = HeaderMap::new();
    let trailers = body.trailers().unwrap_or(&nothing);
    let said =
        |name| trailers.get(name).or_else(|| headers.get(name)).and_then(|v| v.to_str().ok());
    let status = said("grpc-status").context("no grpc-status")?;
    ensure!(status == "0", "PullImage: status {status}: {:?}", said("grpc-message"));
    // PullImageResponse { image_ref }
    match body.to_bytes().get(5..) {
        Some([FIELD_1, length, text @ ..]) if text.len() == usize::from(*length) => {
            Ok(String::from_utf8(text.to_vec())?)
        }
        other => bail!("not a PullImageResponse: {other:?}"),
    }
}

fn field(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    // Below 128 a length is one byte.
    let length = i8::try_from(content.len()).context("too long a name")?;
    Ok([&[FIELD_1, length.unsigned_abs()], content].concat())
}

/// A message as gRPC sends it: not compressed, after its length.
fn framed(message: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok([&[0], &u32::try_from(message.len())?.to_be_bytes()[..], message].concat())
}
