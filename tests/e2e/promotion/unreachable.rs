//! A registry that no answer comes from ends a command at once, however many images are asked for.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;

use tempfile::TempDir;

use crate::sources::{Said, wharf};

const IMAGES: usize = 20;

/// Plans twenty images between these hosts.
async fn plan(from: &str, to: &str, plain_http: bool) -> Said {
    let folder = TempDir::with_prefix("unreachable-").unwrap();
    let mut text = format!(
        "version: 1\nregistries:\n  a: {{ loginServer: \"{from}\", plainHttp: {plain_http} }}\n  b: {{ \
         loginServer: \"{to}\", plainHttp: {plain_http} }}\nimages:\n"
    );
    for number in 0..IMAGES {
        let _ = writeln!(text, "  - {{ repository: team/image-{number}, tags: ['1.0'] }}");
    }
    let images = folder.path().join("images.yaml");
    fs::write(&images, text).unwrap();
    let images = images.to_str().unwrap();
    wharf(&["promote", "plan", "--images", images, "--from", "a", "--to", "b"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_and_an_unknown_host_are_said_once() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = plan(&closed, &closed, true).await;
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert!(said.stderr.contains("nothing listens there"), "{}", said.stderr);
    assert_eq!(said.stderr.matches("cannot reach").count(), 1, "{}", said.stderr);
    let said = plan("no-such-host.invalid", "no-such-host.invalid", false).await;
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert_eq!(said.stderr.matches("cannot reach").count(), 1, "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_a_plain_port_is_said_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let mut calls = 0;
        // A plain server hangs up on what it cannot read.
        while let Ok((stream, _)) = listener.accept() {
            calls += 1;
            let mut first = [0; 1];
            let _ = std::io::Read::read(&mut &stream, &mut first);
            if first == *b"X" {
                break;
            }
        }
        calls
    });
    let said = plan(&addr, &addr, false).await;
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert!(said.stderr.contains("--plain-http"), "{}", said.stderr);
    let mut last = std::net::TcpStream::connect(&addr).unwrap();
    std::io::Write::write_all(&mut last, b"X").unwrap();
    assert!(server.join().unwrap() <= 4, "twenty images ask no more often than one");
}
