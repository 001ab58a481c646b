#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use wharf_oci::{Algorithm, Descriptor, Digester, Manifest, MediaType, Tag};

use super::fake::{Fake, Fault, Shared, start};
use super::*;
use crate::offer::secrets::SecretValue;

const CHUNK_BYTES: u64 = 1000;

fn quick() -> Options {
    Options {
        policy: Policy {
            attempts: 4,
            first_pause: Duration::from_millis(1),
            pause_max: Duration::from_millis(2),
            asked_pause_max: Duration::from_millis(5),
        },
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(5),
            answer: Duration::from_secs(5),
        },
        chunk_bytes: CHUNK_BYTES,
        quota: Quota::default(),
        ca_file: None,
        proxies: Arc::default(),
        notice: Notice::default(),
    }
}

fn registry(address: &str) -> Registry {
    let password = SecretValue::new("hunter2".to_owned());
    let login = Login::Basic { username: "user".to_owned(), password };
    Registry::new(address.parse().unwrap(), true, Some(login), quick()).unwrap()
}

fn repo() -> RepoName {
    "prod/app".parse().unwrap()
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    let digest = Digester::digest(Algorithm::Sha256, bytes);
    Descriptor::new(MediaType::OCI_LAYER_GZIP, digest, bytes.len() as u64)
}

/// A blob in the middle of a file, as pushes from an archive have it.
fn source(bytes: &[u8]) -> BlobSource {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"before").unwrap();
    file.write_all(bytes).unwrap();
    BlobSource::file(std::sync::Arc::new(file), 6, descriptor(bytes))
}

/// Uploads with these faults, and says how it ended.
async fn upload(
    size: usize,
    faults: Vec<Fault>,
    fake: Fake,
) -> (Shared, Result<UploadOutcome, RegistryError>) {
    let bytes = content(size);
    let (shared, address) = start(Fake { faults: faults.into(), ..fake }).await;
    let mut source = source(&bytes);
    let result = registry(&address).upload(&repo(), &mut source, &[]).await;
    if result.is_ok() {
        let fake = shared.lock().unwrap();
        let key = ("prod/app".to_owned(), descriptor(&bytes).digest.to_string());
        assert!(fake.blobs[&key] == bytes, "the registry has the bytes");
        assert!(fake.faults.is_empty(), "every fault happened");
    }
    (shared, result)
}

/// The parts of a blob that were sent: by PATCH, or by the PUT that ends the session.
fn patches(shared: &Shared) -> Vec<String> {
    let fake = shared.lock().unwrap();
    let ranges = fake.seen.iter().filter_map(|seen| seen.headers.get("content-range"));
    ranges.map(|range| range.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_blob_goes_up_in_chunks_and_is_not_sent_twice() {
    for size in [0, 1, 999, 1000, 2500] {
        let (shared, result) = upload(size, Vec::new(), Fake::default()).await;
        assert_eq!(result.unwrap(), UploadOutcome::Sent, "{size} bytes");
        assert_eq!(patches(&shared).len(), size.div_ceil(1000));
    }
    let bytes = content(2500);
    let key = ("prod/app".to_owned(), descriptor(&bytes).digest.to_string());
    let fake = Fake { blobs: [(key, Bytes::from(bytes))].into(), ..Fake::default() };
    let (shared, result) = upload(2500, Vec::new(), fake).await;
    assert_eq!(result.unwrap(), UploadOutcome::Existed);
    assert_eq!(shared.lock().unwrap().seen.len(), 1);
}

#[tokio::test]
async fn a_small_blob_takes_two_requests_and_a_refused_end_becomes_an_empty_one() {
    let (shared, result) = upload(500, Vec::new(), Fake::default()).await;
    assert_eq!(result.unwrap(), UploadOutcome::Sent);
    let sent = |shared: &Shared| {
        let fake = shared.lock().unwrap();
        let methods = fake.seen.iter().map(|seen| seen.method.to_string());
        methods.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(sent(&shared), "HEAD POST PUT");
    for status in [405, 411, 413] {
        let faults = vec![Fault::Answer(Method::PUT, status, Vec::new())];
        let (shared, result) = upload(500, faults, Fake::default()).await;
        assert_eq!(result.unwrap(), UploadOutcome::Sent, "{status}");
        assert_eq!(sent(&shared), "HEAD POST PUT GET PATCH PUT", "{status}");
    }
}

#[tokio::test]
async fn a_registry_without_locks_is_told_from_one_without_the_tag() {
    let errors = |code: &str, message: &str| {
        Bytes::from(format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#))
    };
    for (status, body, expected) in [
        (200, Bytes::from_static(b"{}"), Some(LockAnswer::Locked)),
        (404, Bytes::from_static(b"404 page not found"), Some(LockAnswer::Unsupported)),
        (405, Bytes::new(), Some(LockAnswer::Unsupported)),
        (404, errors("TAG_UNKNOWN", "the tag is not there"), None),
        (405, errors("UNSUPPORTED", "The operation is disallowed."), None),
    ] {
        let (shared, address) = start(Fake { acr: Some((status, body)), ..Fake::default() }).await;
        let reference = Reference::Tag("1.0".parse().unwrap());
        let answer = registry(&address).lock(&repo(), &reference).await;
        assert_eq!(answer.as_ref().ok().copied(), expected, "{status}: {answer:?}");
        if status == 405 && expected.is_none() {
            assert!(matches!(answer, Err(RegistryError::Locked { .. })));
        }
        let seen = shared.lock().unwrap().seen.clone();
        assert_eq!(seen[0].path, "/acr/v1/prod/app/_tags/1.0");
    }
}

#[tokio::test]
async fn throttling_is_waited_out_on_every_verb() {
    let retry = || vec![("retry-after", "0".to_owned())];
    let faults = [Method::HEAD, Method::POST, Method::PATCH, Method::PUT]
        .into_iter()
        .flat_map(|method| [429, 503].map(|status| Fault::Answer(method.clone(), status, retry())))
        .collect();
    let (_, result) = upload(2500, faults, Fake::default()).await;
    assert_eq!(result.unwrap(), UploadOutcome::Sent);
}

#[tokio::test]
async fn patience_ends_and_the_session_is_cancelled() {
    let faults = (0..9).map(|_| Fault::Answer(Method::PATCH, 500, Vec::new())).collect();
    let (shared, result) = upload(2500, faults, Fake::default()).await;
    let error = result.unwrap_err();
    assert!(matches!(error, RegistryError::Exhausted { attempts: 4, .. }), "{error}");
    assert!(error.to_string().contains("500"), "{error}");
    assert_eq!(shared.lock().unwrap().open_sessions(), 0);
}

#[tokio::test]
async fn a_broken_connection_goes_on_where_the_registry_is() {
    let faults = vec![Fault::BreakAfter(Method::PATCH), Fault::BreakBefore(Method::PATCH)];
    let (shared, result) = upload(3500, faults, Fake::default()).await;
    assert_eq!(result.unwrap(), UploadOutcome::Sent);
    // The first chunk had arrived although its answer was lost; the second had not.
    assert_eq!(patches(&shared), ["0-999", "1000-1999", "1000-1999", "2000-2999", "3000-3499"]);
}

#[tokio::test]
async fn a_chunk_that_was_taken_in_part_goes_on_from_there() {
    let (shared, result) = upload(2500, vec![Fault::TakeOnly(300)], Fake::default()).await;
    assert_eq!(result.unwrap(), UploadOutcome::Sent);
    assert_eq!(patches(&shared), ["0-999", "300-1299", "1300-2299", "2300-2499"]);
}

#[tokio::test]
async fn a_range_that_is_refused_is_realigned() {
    let faults = vec![Fault::Answer(Method::PATCH, 416, Vec::new())];
    let (shared, result) = upload(1500, faults, Fake::default()).await;
    assert_eq!(result.unwrap(), UploadOutcome::Sent);
    let seen = shared.lock().unwrap().seen.clone();
    assert!(seen.iter().any(|seen| seen.method == Method::GET && seen.path.contains("uploads")));
}

#[tokio::test]
async fn a_lost_session_starts_the_blob_again() {
    for method in [Method::PATCH, Method::PUT] {
        let faults = vec![Fault::ForgetSessions(method)];
        let (_, result) = upload(2500, faults, Fake::default()).await;
        assert_eq!(result.unwrap(), UploadOutcome::Sent);
    }
    let faults = (0..99).map(|_| Fault::ForgetSessions(Method::PATCH)).collect();
    let (_, result) = upload(2500, faults, Fake::default()).await;
    assert_eq!(result.unwrap_err().status(), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_looked_up() {
    let (shared, result) = upload(500, vec![Fault::BreakAfter(Method::PUT)], Fake::default()).await;
    assert_eq!(result.unwrap(), UploadOutcome::Sent);
    let seen = shared.lock().unwrap().seen.clone();
    assert_eq!(seen.iter().filter(|seen| seen.method == Method::PUT).count(), 1);
}

#[tokio::test]
async fn a_byte_changed_on_the_way_is_sent_again() {
    let (_, result) = upload(2500, vec![Fault::Corrupt], Fake::default()).await;
    assert_eq!(result.unwrap(), UploadOutcome::Sent);
}

#[tokio::test]
async fn a_chunk_that_is_too_large_becomes_smaller() {
    let bytes = content(700_000);
    let faults = vec![Fault::Answer(Method::PATCH, 413, Vec::new())];
    let (shared, address) = start(Fake { faults: faults.into(), ..Fake::default() }).await;
    let mut source = source(&bytes);
    let options = Options { chunk_bytes: 600_000, ..quick() };
    let registry = Registry::new(address.parse().unwrap(), true, None, options).unwrap();
    registry.upload(&repo(), &mut source, &[]).await.unwrap();
    assert_eq!(patches(&shared), ["0-599999", "0-299999", "300000-599999", "600000-699999"]);
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_expires() {
    let faults = vec![Fault::ExpireTokens(Method::PATCH)];
    let fake = Fake { tokens: Some(0), ..Fake::default() };
    let (shared, result) = upload(2500, faults, fake).await;
    assert_eq!(result.unwrap(), UploadOutcome::Sent);
    let fake = shared.lock().unwrap();
    assert_eq!(fake.tokens, Some(2));
    let asked: Vec<_> = fake.seen.iter().filter(|seen| seen.path == "/token").collect();
    assert!(asked[0].query.contains("scope=repository%3Aprod%2Fapp%3Apull%2Cpush"));
    assert!(asked[0].headers["authorization"].to_str().unwrap().starts_with("Basic "));
    let others = fake.seen.iter().filter(|seen| seen.path != "/token");
    for seen in others {
        let header = seen.headers.get("authorization").map(|value| value.to_str().unwrap());
        assert!(header.is_none_or(|header| header.starts_with("Bearer ")));
    }
}

#[tokio::test]
async fn wrong_credentials_are_said_without_showing_them() {
    let refusal = || {
        let basic = vec![("www-authenticate", "Basic realm=\"x\"".to_owned())];
        Fault::Answer(Method::HEAD, 401, basic)
    };
    let (_, result) = upload(10, vec![refusal(), refusal()], Fake::default()).await;
    let error = result.unwrap_err();
    assert!(error.is_unauthorized());
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_mount_is_used_and_a_refused_mount_goes_on_as_upload() {
    let bytes = content(2500);
    let from: RepoName = "stage/app".parse().unwrap();
    for (mounts, expected) in [(true, UploadOutcome::Mounted), (false, UploadOutcome::Sent)] {
        let key = (from.to_string(), descriptor(&bytes).digest.to_string());
        let blobs = [(key, Bytes::from(bytes.clone()))].into();
        let (shared, address) =
            start(Fake { mounts, blobs, tokens: Some(0), ..Fake::default() }).await;
        let mut source = source(&bytes);
        let registry = registry(&address);
        let uploaded = registry.upload(&repo(), &mut source, std::slice::from_ref(&from)).await;
        assert_eq!(uploaded.unwrap(), expected);
        let fake = shared.lock().unwrap();
        let posts: Vec<_> = fake.seen.iter().filter(|seen| seen.method == Method::POST).collect();
        assert!(posts.iter().all(|seen| seen.query.contains("&from=stage/app")));
        let token = fake.seen.iter().find(|seen| seen.path == "/token").unwrap();
        assert!(token.query.contains("scope=repository%3Astage%2Fapp%3Apull"), "both scopes");
        assert_eq!(fake.open_sessions(), 0);
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_token_and_the_bytes_are_proven() {
    let bytes = content(2500);
    let (other, other_address) = start(Fake::default()).await;
    let key = ("stage/app".to_owned(), descriptor(&bytes).digest.to_string());
    other.lock().unwrap().blobs.insert(key.clone(), Bytes::from(bytes.clone()));
    let (_from, from_address) = start(Fake {
        blobs: [(key, Bytes::from(bytes.clone()))].into(),
        tokens: Some(0),
        redirect: Some(format!("http://{other_address}/elsewhere/blob?sig=secret")),
        ..Fake::default()
    })
    .await;
    let (to, to_address) = start(Fake::default()).await;
    let from = Arc::new(registry(&from_address));
    let copy = |descriptor: Descriptor| {
        BlobSource::remote(Arc::clone(&from), "stage/app".parse().unwrap(), descriptor)
    };
    let to_registry = registry(&to_address);
    to_registry.upload(&repo(), &mut copy(descriptor(&bytes)), &[]).await.unwrap();
    assert_eq!(to.lock().unwrap().blobs.len(), 1);
    for seen in &other.lock().unwrap().seen {
        assert!(!seen.headers.contains_key("authorization"));
    }
    // The storage behind the registry has rotted.
    let mut rotten = bytes.clone();
    rotten[7] ^= 1;
    *other.lock().unwrap().blobs.values_mut().next().unwrap() = Bytes::from(rotten);
    to.lock().unwrap().blobs.clear();
    let error = to_registry.upload(&repo(), &mut copy(descriptor(&bytes)), &[]).await.unwrap_err();
    assert!(matches!(error, RegistryError::Content { .. }), "{error}");
    let fake = to.lock().unwrap();
    assert_eq!((fake.blobs.len(), fake.open_sessions()), (0, 0));
}

#[tokio::test]
async fn manifests_keep_their_bytes_and_are_retried_too() {
    let text = r#"{ "schemaVersion":2, "manifests":[ ] }"#;
    let manifest = Manifest::parse(Bytes::from(text), Some(&MediaType::OCI_INDEX)).unwrap();
    let retry = vec![("retry-after", "0".to_owned())];
    let faults = vec![
        Fault::Answer(Method::PUT, 429, retry),
        Fault::BreakAfter(Method::PUT),
        Fault::Answer(Method::GET, 502, Vec::new()),
    ];
    let (_shared, address) = start(Fake { faults: faults.into(), ..Fake::default() }).await;
    let registry = registry(&address);
    let tag = Reference::Tag("1.0".parse::<Tag>().unwrap());
    assert_eq!(registry.head_manifest(&repo(), &tag).await.unwrap(), None);
    registry.put_manifest(&repo(), &tag, &manifest).await.unwrap();
    let head = registry.head_manifest(&repo(), &tag).await.unwrap().unwrap();
    assert_eq!(head, manifest.descriptor());
    let fetched = registry.manifest(&repo(), &Reference::Digest(manifest.digest())).await;
    assert_eq!(fetched.unwrap().unwrap().bytes(), manifest.bytes());
}

#[tokio::test]
async fn a_manifest_with_other_bytes_than_its_digest_is_refused() {
    let (shared, address) = start(Fake::default()).await;
    let asked = Digester::digest(Algorithm::Sha256, b"asked");
    let lie = Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#);
    let key = ("prod/app".to_owned(), asked.to_string());
    shared.lock().unwrap().manifests.insert(key, (MediaType::OCI_INDEX.to_string(), lie));
    let error = registry(&address).manifest(&repo(), &Reference::Digest(asked)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Content { .. }), "{error}");
}

#[tokio::test]
async fn silence_is_not_borne_for_ever() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accept = tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            silent.push(stream);
        }
    });
    let short = Duration::from_millis(30);
    let timeouts = Timeouts { idle: short, answer: short, ..Timeouts::default() };
    let options = Options { timeouts, ..quick() };
    let registry = Registry::new(address.parse().unwrap(), true, None, options).unwrap();
    let digest = Digester::digest(Algorithm::Sha256, b"x");
    let error = registry.head_blob(&repo(), &digest).await.unwrap_err();
    assert!(error.to_string().contains("made no progress"), "{error}");
    accept.abort();
}

#[test]
fn locations_are_resolved_and_their_queries_kept() {
    let base: Uri = "http://h:5/v2/a/blobs/uploads/?x=1".parse().unwrap();
    let resolved = |text| resolve(&base, text).map(|uri| uri.to_string());
    assert_eq!(resolved("/v2/u?_state=a%2Fb").unwrap(), "http://h:5/v2/u?_state=a%2Fb");
    assert_eq!(resolved("https://o/v2/u").unwrap(), "https://o/v2/u");
    assert_eq!(resolved("//o/u").unwrap(), "http://o/u");
    assert_eq!(resolved("uuid?q=1").unwrap(), "http://h:5/v2/a/blobs/uploads/uuid?q=1");
    assert_eq!(resolved("?q=1").unwrap(), "http://h:5/v2/a/blobs/uploads/?q=1");
    assert_eq!(resolved("http://bad host/"), None);
}

/// The error of the first request to a registry at this address.
async fn first_contact(address: &str, plain_http: bool) -> RegistryError {
    let registry = Registry::new(address.parse().unwrap(), plain_http, None, quick()).unwrap();
    let reference = Reference::Tag("1.0".parse().unwrap());
    registry.head_manifest(&repo(), &reference).await.unwrap_err()
}

#[tokio::test]
async fn nobody_at_an_address_is_told_at_once_with_what_to_do() {
    // Bound but not listening: connections are refused, and no other process can take the port.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = held.local_addr().unwrap().to_string();
    let (_shared, plain) = start(Fake::default()).await;
    for (address, plain_http, advice) in [
        (closed.as_str(), true, "nothing listens there"),
        (closed.as_str(), false, "nothing listens there"),
        ("no-such-host.invalid", false, "how the host is spelled"),
        (plain.as_str(), false, "--plain-http"),
    ] {
        let error = first_contact(address, plain_http).await;
        assert!(matches!(error, RegistryError::Unreachable { .. }), "{address}: {error}");
        assert!(error.to_string().contains(advice), "{address}: {error}");
        assert_eq!(crate::exit::Exit::of(&error), crate::exit::Exit::Network);
        assert_eq!(crate::exit::Exit::Network.hint_for(&error), None);
    }
}

#[tokio::test]
async fn a_challenge_that_is_cut_off_is_no_challenge() {
    let cut = vec![("www-authenticate", "Bearer realm=\"http://127.0.0.1:1/token".to_owned())];
    let faults = [Fault::Answer(Method::HEAD, 401, cut)].into();
    let (_shared, address) = start(Fake { faults, ..Fake::default() }).await;
    let reference = Reference::Tag("1.0".parse().unwrap());
    let error = registry(&address).head_manifest(&repo(), &reference).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
    assert!(error.to_string().contains("does not say how to authenticate"), "{error}");
}

/// The same through a proxy for plain HTTP.
fn behind_proxy(proxy: &str) -> Registry {
    let proxy = format!("http://{proxy}");
    let proxies = OutboundProxies::of(|name| (name == "HTTP_PROXY").then(|| proxy.clone()));
    let options = Options { proxies: Arc::new(proxies.unwrap()), ..quick() };
    Registry::new("registry.example.com".parse().unwrap(), true, None, options).unwrap()
}

#[tokio::test]
async fn a_registry_is_reached_through_the_proxy_of_the_network() {
    let (shared, address) = start(Fake::default()).await;
    let reference = Reference::Tag("1.0".parse().unwrap());
    let found = behind_proxy(&address).head_manifest(&repo(), &reference).await;
    assert!(found.unwrap().is_none());
    assert_eq!(shared.lock().unwrap().seen[0].headers["host"], "registry.example.com");
    // Bound but not listening.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = held.local_addr().unwrap().to_string();
    let error = behind_proxy(&closed).head_manifest(&repo(), &reference).await.unwrap_err();
    assert!(error.to_string().contains("NO_PROXY"), "{error}");
}

#[tokio::test]
async fn plain_http_to_a_server_of_tls_is_told_at_once() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // An alert of TLS, web servers' answers, and an empty answer.
    for answer in [
        b"".as_slice(),
        b"\x15\x03\x01\x00\x02\x02\x46".as_slice(),
        b"HTTP/1.0 400 Bad Request\r\n\r\n",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0_u8; 4096];
                let _ = stream.read(&mut asked).await.unwrap();
                stream.write_all(answer).await.unwrap();
            }
        });
        let error = first_contact(&address, true).await;
        assert!(error.to_string().contains("it may speak TLS"), "{error}");
        server.abort();
    }
}

#[tokio::test]
async fn a_host_that_answered_before_is_asked_again() {
    let (shared, address) = start(Fake::default()).await;
    let registry = registry(&address);
    let reference = Reference::Tag("1.0".parse().unwrap());
    assert!(registry.head_manifest(&repo(), &reference).await.unwrap().is_none());
    shared.lock().unwrap().faults.push_back(Fault::BreakBefore(Method::HEAD));
    assert!(registry.head_manifest(&repo(), &reference).await.unwrap().is_none());
    let breaks = (0..4).map(|_| Fault::BreakBefore(Method::HEAD));
    shared.lock().unwrap().faults.extend(breaks);
    let error = registry.head_manifest(&repo(), &reference).await.unwrap_err();
    assert!(matches!(error, RegistryError::Exhausted { attempts: 4, .. }), "{error}");
}

#[tokio::test]
async fn a_registry_that_does_not_say_what_refers_is_not_one_without_signatures() {
    let subject = descriptor(b"image").digest;
    for (status, is_error) in [(403, true), (429, true), (500, true), (404, false), (501, false)] {
        let retry = || vec![("retry-after", "0".to_owned())];
        let times = if status == 429 || status == 500 { 4 } else { 1 };
        let faults = (0..times).map(|_| Fault::Answer(Method::GET, status, retry())).collect();
        let (_shared, address) = start(Fake { faults, ..Fake::default() }).await;
        let listed = registry(&address).referrers(&repo(), &subject).await;
        assert_eq!(listed.is_err(), is_error, "{status}: {listed:?}");
    }
}
