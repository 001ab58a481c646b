//! Timing: the time of a refusal does not show whether a user exists.
//!
//! The test compares two medians, taken in turns so other load slows both. Without a check of
//! unknown names one of them would be a tenth of the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::Instant;

use super::users::{Setup, Shown, Users};

/// Of each kind.
const SAMPLES: u8 = 40;
/// How much longer one may take than the other.
const FACTOR: u32 = 2;

/// A cost high enough to dominate the time of a request.
const HTPASSWD: &str = "\
    alice:$2y$10$abcdefghijklmnopqrstuuZ8x5zyHk/OWcnyt5S3g.ULVoOjZZfR.\n\
    bob:$2y$10$abcdefghijklmnopqrstuub5Q5aGoyEFz.nPwNUAOxddz458tpAM2\n\
    root:$2y$10$abcdefghijklmnopqrstuueHccOM2hq6DJLgrFgY1tl9zDCGZnLGy\n";

/// The time of a wrong login from its own address, because the throttle counts by address.
async fn refused(users: &Users, user: &str, address: [u8; 2]) -> Duration {
    let socket = TcpSocket::new_v4().unwrap();
    let from = IpAddr::V4(Ipv4Addr::new(127, 1, address[0], address[1]));
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    let mut stream = socket.connect(users.host().parse().unwrap()).await.unwrap();
    let head = format!(
        "GET /v2/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}\r\n",
        Shown::basic(user, &format!("wrong-{}-{}", address[0], address[1])).0
    );
    let began = Instant::now();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let took = began.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer));
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_take_the_same_time() {
    let users = Users::with(Setup { htpasswd: HTPASSWD, ..Setup::default() }).await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        let name = if sample % 2 == 0 { "alice" } else { "bob" };
        known.push(refused(&users, name, [sample, 1]).await);
        unknown.push(refused(&users, &format!("nobody-{sample}"), [sample, 2]).await);
    }
    let (known, unknown) = (median(known), median(unknown));
    println!("wrong password {known:?}, unknown user {unknown:?}");
    assert!(known <= unknown * FACTOR && unknown <= known * FACTOR, "{known:?} and {unknown:?}");
}
