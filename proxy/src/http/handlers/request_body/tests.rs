//! Bodies that arrive slowly.

use super::*;
use std::convert::Infallible;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

const RATE: MinRate =
    MinRate { window: Duration::from_secs(10), bytes_per_second: 100, silence: None };

/// Reads a body of `parts`, each with the seconds before it, with a `pause` after each.
async fn read(parts: &[(u64, usize)], pause: Duration) -> Result<usize, Error> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let (told, mut outcome) = mpsc::channel(1);
    let service = service_fn(move |request: Request<Incoming>| {
        let told = told.clone();
        async move {
            let mut body = request.into_body();
            let mut arriving = IncomingBody::new(&mut body, RATE);
            let mut bytes = 0;
            let ended = loop {
                match arriving.next().await {
                    Ok(Some(part)) => bytes += part.len(),
                    Ok(None) => break Ok(bytes),
                    Err(error) => break Err(error),
                }
                tokio::time::sleep(pause).await;
            };
            let _ = told.send(ended).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let mut http = http1::Builder::new();
    let http = http.header_read_timeout(None).serve_connection(TokioIo::new(server), service);
    let http = tokio::spawn(http);
    let all: usize = parts.iter().map(|(_, bytes)| bytes).sum();
    let head = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {all}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let send = async {
        for (seconds, bytes) in parts {
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
            client.write_all(&vec![7; *bytes]).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = outcome.recv() => outcome.unwrap(),
        () = send => unreachable!(),
    };
    http.abort();
    outcome
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_is_not_slow() {
    let parts = [(1, 1_000), (1, 1_000), (1, 1_000)];
    assert_eq!(read(&parts, Duration::from_hours(1)).await.unwrap(), 3_000);
}

#[tokio::test(start_paused = true)]
async fn who_keeps_the_pace_may_take_as_long_as_it_takes_and_half_of_it_is_too_slow() {
    assert_eq!(read(&[(1, 100); 200], Duration::ZERO).await.unwrap(), 20_000);
    let refused = read(&[(1, 50); 200], Duration::ZERO).await;
    assert!(matches!(refused, Err(Error::BodyTooSlow)));
    let still = read(&[(0, 500), (11, 500)], Duration::ZERO).await;
    assert!(matches!(still, Err(Error::BodyTooSlow)));
}
