//! Redirects astray: loops, chains, another host.

use wharf_double::{Credentials, Fault, Kind};
use wharf_testkit::http::Answer;

use super::Trap;

const CONTENT: &[u8] = b"0123456789";

/// Follows a bounded number of redirects, like a client with the same credentials at every hop.
async fn follow(trap: &Trap, start: String, token: Option<&str>, most: u32) -> (Answer, u32) {
    let (mut url, mut hops) = (start, 0);
    loop {
        let call = trap.stage.client.get(&url);
        let call = match token {
            Some(token) => call.bearer(token),
            None => call,
        };
        let answer = call.send().await.unwrap();
        if answer.status != 307 || hops == most {
            return (answer, hops);
        }
        answer.header("location").clone_into(&mut url);
        hops += 1;
    }
}

#[tokio::test]
async fn a_redirect_loop_at_the_storage_never_ends() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::RedirectLoop);
    let (last, hops) = follow(&trap, trap.link().await, None, 50).await;
    assert_eq!((last.status.as_u16(), hops), (307, 50));
    assert_eq!(trap.stage.double.counts().answered(Kind::StorageGet, 307), 51);
    trap.is_over().await;
}

#[tokio::test]
async fn a_redirect_loop_at_the_registry_never_ends_and_asks_for_credentials_each_time() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::BlobGet, Fault::RedirectLoop);
    let (last, hops) = follow(&trap, trap.url(), Some(&trap.token), 50).await;
    assert_eq!((last.status.as_u16(), hops), (307, 50));
    let bare = trap.stage.client.get(last.header("location")).send().await.unwrap();
    assert_eq!(bare.status, 401);
    trap.is_over().await;
}

#[tokio::test]
async fn a_chain_of_redirects_ends_at_the_content() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::RedirectHops { hops: 3 });
    let (last, hops) = follow(&trap, trap.link().await, None, 50).await;
    assert_eq!((last.status.as_u16(), &last.body[..], hops), (200, CONTENT, 3));

    trap.set(Kind::BlobHead, Fault::RedirectHops { hops: 1 });
    let head = trap.stage.client.head(trap.url()).bearer(&trap.token).send().await.unwrap();
    let again = trap.stage.client.head(head.header("location")).bearer(&trap.token);
    let again = again.send().await.unwrap();
    assert!(again.header("location").contains("sig="), "{:?}", again.headers);
    trap.is_over().await;
}

#[tokio::test]
async fn another_host_serves_the_content_and_records_what_credentials_came() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    let host = format!("http://{}/", trap.stage.double.elsewhere_addr());
    for kind in [Kind::BlobGet, Kind::StorageGet] {
        trap.set(kind, Fault::RedirectElsewhere);
        let away = match kind {
            Kind::BlobGet => trap.stage.client.get(trap.url()).bearer(&trap.token).send().await,
            _ => trap.fetch().await,
        };
        let away = away.unwrap();
        assert_eq!(away.status, 307);
        let there = away.header("location");
        assert!(there.starts_with(&host), "{there}");
        let clean = trap.stage.client.get(there).header("range", "bytes=4-").send().await.unwrap();
        assert_eq!((clean.status.as_u16(), &clean.body[..]), (206, &CONTENT[4..]));
        let leaked = trap.stage.client.get(there).bearer(&trap.token).send().await.unwrap();
        assert_eq!((leaked.status.as_u16(), &leaked.body[..]), (200, CONTENT));
    }
    let journal = trap.stage.double.journal();
    let there = journal.iter().filter(|entry| entry.kind == Kind::Elsewhere);
    let seen: Vec<_> = there.map(|entry| (entry.credentials, entry.digest.as_deref())).collect();
    let digest = Some(trap.digest.as_str());
    let once = [(Credentials::None, digest), (Credentials::Bearer, digest)];
    assert_eq!(seen, [once, once].concat());
    let put = trap.stage.client.put(format!("{host}v2/x/manifests/y")).bytes("x").send().await;
    assert_eq!(put.unwrap().status, 404, "nothing is written there");
    trap.is_over().await;
}
