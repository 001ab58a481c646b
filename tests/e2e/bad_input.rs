//! Wrong input: each gets a clear response with the specification's code, or a message with the
//! wrong line, and no half-written content is visible afterwards.

mod addresses;
mod processes;
mod requests;
mod uploads;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::Api;

const REPO: &str = "acme/web";

/// Sends exactly these bytes on a connection of their own.
async fn send_raw(api: &Api, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(api.host()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Every byte until the other side closes, as text.
async fn read_raw(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
