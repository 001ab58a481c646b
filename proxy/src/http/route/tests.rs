//! Properties of the URL grammar, and malformed requests.

use super::*;
use proptest::prelude::*;

fn repo() -> impl Strategy<Value = RepoName> {
    "[a-z0-9]{1,6}(/(blobs|tags|uploads|[a-z0-9]{1,6})){0,2}".prop_map(|name| name.parse().unwrap())
}

fn digest() -> impl Strategy<Value = Digest> {
    proptest::collection::vec(any::<u8>(), 32)
        .prop_map(|raw| Digest::from_raw(Algorithm::Sha256, &raw).unwrap())
}

fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        digest().prop_map(Reference::Digest),
        "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,9}".prop_map(|tag| tag.parse().unwrap()),
    ]
}

fn cursor() -> impl Strategy<Value = Cursor> {
    (0..=PAGE_ENTRIES_MAX, proptest::option::of("[ -~äß]{1,9}"))
        .prop_map(|(limit, last)| Cursor { limit, last })
}

fn start() -> impl Strategy<Value = UploadStart> {
    prop_oneof![
        Just(UploadStart::Session(None)),
        Just(UploadStart::Session(Some(Algorithm::Sha512))),
        digest().prop_map(UploadStart::Whole),
        (digest(), proptest::option::of(repo()))
            .prop_map(|(digest, from)| UploadStart::Mount { digest, from }),
    ]
}

fn route() -> impl Strategy<Value = Route> {
    let id = any::<u128>().prop_map(UploadId::from_u128);
    let tags =
        proptest::collection::vec("[a-z0-9]{1,5}".prop_map(|tag| tag.parse().unwrap()), 0..4);
    prop_oneof![
        Just(Route::Base),
        cursor().prop_map(Route::Catalog),
        (repo(), digest(), any::<bool>()).prop_map(|(repo, digest, head)| Route::Blob {
            repo,
            digest,
            head
        }),
        (repo(), digest()).prop_map(|(repo, digest)| Route::DeleteBlob { repo, digest }),
        (repo(), reference(), any::<bool>())
            .prop_map(|(repo, reference, head)| { Route::Manifest { repo, reference, head } }),
        (repo(), reference(), tags).prop_map(|(repo, reference, tags)| Route::PutManifest {
            repo,
            reference,
            tags
        }),
        (repo(), reference())
            .prop_map(|(repo, reference)| Route::DeleteManifest { repo, reference }),
        (repo(), any::<bool>()).prop_map(|(repo, delete)| Route::NoManifest { repo, delete }),
        (repo(), start()).prop_map(|(repo, start)| Route::StartUpload { repo, start }),
        (repo(), id.clone()).prop_map(|(repo, id)| Route::UploadStatus { repo, id }),
        (repo(), id.clone()).prop_map(|(repo, id)| Route::PatchUpload { repo, id }),
        (repo(), id.clone(), digest()).prop_map(|(repo, id, digest)| Route::FinishUpload {
            repo,
            id,
            digest
        }),
        (repo(), id).prop_map(|(repo, id)| Route::CancelUpload { repo, id }),
        (repo(), cursor()).prop_map(|(repo, cursor)| Route::Tags { repo, cursor }),
        (repo(), digest(), proptest::option::of("[ -~]{0,20}"), referrers_cursor()).prop_map(
            |(repo, digest, artifact_type, cursor)| {
                Route::Referrers { repo, digest, artifact_type, cursor }
            }
        ),
    ]
}

fn referrers_cursor() -> impl Strategy<Value = ReferrersCursor> {
    prop_oneof![
        Just(ReferrersCursor::Start),
        ("\\PC{0,40}", any::<usize>()).prop_map(|(query, at)| {
            ReferrersCursor::There { query: wharf_oci::PageQuery::parse(&query).unwrap(), at }
        }),
        proptest::option::of(digest()).prop_map(ReferrersCursor::Here),
        digest().prop_map(ReferrersCursor::Stale),
    ]
}

fn split(url: &str) -> (&str, Option<&str>) {
    url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)))
}

proptest! {
    #[test]
    fn parse_undoes_render(route in route()) {
        let (method, url) = render(&route);
        let (path, query) = split(&url);
        prop_assert_eq!(parse(&method, path, query).unwrap(), route);
    }

    #[test]
    fn any_url_parses_or_is_refused_without_panic(url in "/v2/[ -~]{0,60}|\\PC{0,60}") {
        let (path, query) = split(&url);
        for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
            let _ = parse(&method, path, query);
        }
    }
}

#[test]
fn malformed_parameters_are_refused() {
    let refused = |method: &Method, path, query| parse(method, path, Some(query)).is_err();
    assert!(refused(&Method::GET, "/v2/a/tags/list", "n=-1"));
    assert!(refused(&Method::GET, "/v2/a/tags/list", "n=ten"));
    assert!(refused(&Method::GET, "/v2/a/tags/list", "n=1&n=2"));
    assert!(refused(&Method::POST, "/v2/a/blobs/uploads/", "digest=sha256:12"));
    assert!(refused(&Method::PUT, "/v2/a/manifests/b", "tag=-x"));
    assert!(
        parse(&Method::PUT, &upload_path(&"a".parse().unwrap(), UploadId::from_u128(1)), None)
            .is_err()
    );
    assert!(matches!(parse(&Method::PUT, "/v2/", None), Err(Error::MethodNotAllowed { .. })));
}

#[test]
fn a_name_that_no_manifest_can_have_is_read_as_one_that_none_has() {
    let long = "a".repeat(129);
    for reference in [".x", "-x", "a+b", "", &*long, "sha256:12", "sha256:A", "md5:00", "a%2Fb"] {
        let path = format!("/v2/a/b/manifests/{reference}");
        let route = |method| parse(&method, &path, None);
        let repo: RepoName = "a/b".parse().unwrap();
        for (method, delete) in
            [(Method::GET, false), (Method::HEAD, false), (Method::DELETE, true)]
        {
            let expected = Route::NoManifest { repo: repo.clone(), delete };
            assert_eq!(route(method).unwrap(), expected, "{path}");
        }
        // A PUT under an impossible name is answered with the reason.
        assert!(matches!(route(Method::PUT), Err(Error::Parse(_))), "{path}");
    }
    let impossible = parse(&Method::GET, "/v2/A/b/manifests/v1", None);
    assert!(matches!(impossible, Err(Error::NameImpossible(_))));
}

/// Replays the corpus of the fuzz target `route` on the stable compiler.
#[test]
fn the_fuzz_corpus_parses_to_routes_that_render_to_themselves() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/route");
    let mut routes = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let url = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (path, query) = split(&url);
        for method in [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
            if let Ok(route) = parse(&method, path, query) {
                let (method, url) = render(&route);
                let (path, query) = split(&url);
                assert_eq!(parse(&method, path, query).unwrap(), route);
                routes += 1;
            }
        }
    }
    assert!(routes > 0);
}

/// The same for the target `upload_headers`.
#[test]
fn the_fuzz_corpus_of_upload_headers_is_read_as_it_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/upload_headers");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(!files.is_empty());
    for file in files {
        read_upload_words(&std::fs::read_to_string(file.unwrap().path()).unwrap());
    }
    // A client's input without a format.
    read_upload_words("mount=sha256%3A&from=..%2F..\n--");
}

#[test]
fn a_method_that_is_not_allowed_is_told_those_that_are() {
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
    let digest = format!("sha256:{}", "a".repeat(64));
    let upload = UploadId::from_u128(7);
    for path in [
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        format!("/v2/a/b/blobs/{digest}"),
        "/v2/a/b/manifests/v1".to_owned(),
        "/v2/a/b/blobs/uploads/".to_owned(),
        format!("/v2/a/b/blobs/uploads/{upload}"),
        "/v2/a/b/tags/list".to_owned(),
        format!("/v2/a/b/referrers/{digest}"),
    ] {
        let (mut taken, mut told) = (Vec::new(), None);
        for method in methods {
            let query = format!("digest={digest}");
            match parse(&method.parse().unwrap(), &path, Some(&query)) {
                Ok(_) => taken.push(method),
                Err(Error::MethodNotAllowed { allowed }) => told = Some(allowed),
                Err(error) => panic!("{method} {path}: {error}"),
            }
        }
        assert_eq!(told.unwrap(), taken.join(", "), "{path}");
    }
}
