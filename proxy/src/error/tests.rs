//! The table of errors, line by line.

use super::*;
use wharf_oci::{Algorithm, Digester};

fn mismatch() -> Mismatch {
    let digest = Digester::digest(Algorithm::Sha256, b"a");
    Mismatch { expected: digest, actual: digest, size_bytes: 1 }
}

#[test]
fn the_table_says_what_the_specification_says() {
    let repo: RepoName = "a/b".parse().unwrap();
    let digest = Digester::digest(Algorithm::Sha256, b"a");
    let tag: Tag = "v1".parse().unwrap();
    let write_once = Error::TagWriteOnce { repo: repo.clone(), tag, there: digest };
    let undecided = Error::TagUndecided {
        repo: repo.clone(),
        reference: "v1".to_owned(),
        retry_after_seconds: 3,
    };
    let not_locked =
        Error::NotLocked { repo: repo.clone(), reference: "v1".to_owned(), reason: String::new() };
    let in_part = Error::PutInPart {
        done: "v1".to_owned(),
        failed: "v2".to_owned(),
        source: Box::new(Error::UpstreamBusy { retry_after_seconds: 3 }),
    };
    let rows = [
        (Error::Parse("x".parse::<Digest>().unwrap_err()), 400, "DIGEST_INVALID"),
        (Error::Parse("X".parse::<RepoName>().unwrap_err()), 400, "NAME_INVALID"),
        (Error::BlobUnknown { repo: repo.clone(), digest }, 404, "BLOB_UNKNOWN"),
        (
            Error::ManifestBlobUnknown { repo: repo.clone(), missing: vec![digest] },
            404,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        (Error::UploadUnknown, 404, "BLOB_UPLOAD_UNKNOWN"),
        (Error::ChunkOutOfOrder { offset: 5, location: String::new() }, 416, "BLOB_UPLOAD_INVALID"),
        (Error::DigestMismatch(mismatch()), 400, "DIGEST_INVALID"),
        (Error::UpstreamLied(mismatch()), 502, "UNKNOWN"),
        (Error::UpstreamBusy { retry_after_seconds: 3 }, 429, "TOOMANYREQUESTS"),
        (Error::UpstreamDown { retry_after_seconds: 3 }, 429, "TOOMANYREQUESTS"),
        (Error::Unanswered { held_seconds: 45 }, 429, "TOOMANYREQUESTS"),
        (
            Error::Undelivered { blobs: 1, reason: String::new(), retry_after_seconds: 3 },
            429,
            "TOOMANYREQUESTS",
        ),
        (Error::PendingFull { limit_bytes: 3, whose: "of all" }, 507, "UNKNOWN"),
        (Error::Stopping, 429, "TOOMANYREQUESTS"),
        (Error::MethodNotAllowed { allowed: "GET" }, 405, "UNSUPPORTED"),
        (Error::AccessUndecided { retry_after_seconds: 3 }, 429, "TOOMANYREQUESTS"),
        (Error::UpstreamAstray { operation: "o", reason: String::new() }, 502, "UNKNOWN"),
        (Error::UrlTooLong { limit_bytes: 3 }, 414, "UNSUPPORTED"),
        (Error::TooManyHeaders { limit: 3 }, 431, "UNSUPPORTED"),
        (Error::HeadMalformed(""), 400, "UNSUPPORTED"),
        (Error::BodyTooSlow, 408, "BLOB_UPLOAD_INVALID"),
        (Error::TooOften { retry_after_seconds: 3 }, 429, "TOOMANYREQUESTS"),
        (Error::TooMany(Bound::Uploads), 429, "TOOMANYREQUESTS"),
        (Error::TooManyBytes(MemoryOwner::All), 429, "TOOMANYREQUESTS"),
        (Error::TooManyBytes(MemoryOwner::Party), 429, "TOOMANYREQUESTS"),
        (Error::TooManyBytes(MemoryOwner::Connection), 429, "TOOMANYREQUESTS"),
        (Error::NoRandomness(String::new()), 500, "UNKNOWN"),
        (write_once, 409, "DENIED"),
        (Error::ReferrersUnsupported(repo.clone()), 404, "UNSUPPORTED"),
        (undecided, 429, "TOOMANYREQUESTS"),
        (not_locked, 502, "UNKNOWN"),
        (in_part, 429, "TOOMANYREQUESTS"),
        (Error::NameUnknown(repo), 404, "NAME_UNKNOWN"),
        (Error::LoginNeeded { scope: String::new() }, 401, "UNAUTHORIZED"),
        (Error::ScopeNeeded { scope: String::new() }, 401, "UNAUTHORIZED"),
        (Error::LoginRefused, 401, "UNAUTHORIZED"),
        (Error::Denied, 403, "DENIED"),
        (Error::ForeignPage, 403, "DENIED"),
        (Error::HostUnlisted("evil.test".to_owned()), 403, "DENIED"),
        (Error::TooManyLogins { retry_after_seconds: 3 }, 429, "TOOMANYREQUESTS"),
    ];
    assert_responses(&rows);
}

fn assert_responses(rows: &[(Error, u16, &str)]) {
    for (error, status, code) in rows {
        let shown = error.response();
        assert_eq!((shown.status.as_u16(), shown.code.as_str()), (*status, *code), "{error}");
    }
}

#[test]
fn names_that_cannot_exist_and_conditions_that_do_not_hold_are_in_the_table() {
    let (repo, tag): (RepoName, Tag) = ("a/b".parse().unwrap(), "v1".parse().unwrap());
    let there = Digester::digest(Algorithm::Sha256, b"a");
    let failed =
        |there| Error::PreconditionFailed { repo: repo.clone(), reference: "v1".to_owned(), there };
    let impossible = wharf_oci::Endpoint::parse("/v2/a/manifests/-x").unwrap_err();
    assert_responses(&[
        (failed(None), 412, "PRECONDITION_FAILED"),
        (failed(Some(there)), 412, "PRECONDITION_FAILED"),
        (Error::TagReadStale { repo: repo.clone(), tag }, 412, "PRECONDITION_FAILED"),
        (Error::NameImpossible("X".parse::<RepoName>().unwrap_err()), 404, "NAME_INVALID"),
        (Error::ReferenceImpossible(repo.clone()), 404, "MANIFEST_UNKNOWN"),
        (Error::Parse(impossible), 400, "MANIFEST_INVALID"),
    ]);
}

#[test]
fn a_store_failure_shows_no_path() {
    let cause = std::io::Error::other("secret-cause");
    let error: Error =
        StoreError::Io { operation: "reading", path: "/var/secret-path".into(), source: cause }
            .into();
    assert_eq!(error.response().status, 500);
    assert!(!error.message().contains("secret"));
    assert!(
        error.to_string().contains("secret-path") && error.to_string().contains("secret-cause")
    );
}

#[test]
fn a_bound_that_is_reached_is_named() {
    assert_eq!(Error::TooMany(Bound::Uploads).message(), "too many uploads at once");
    let changes = Error::TooMany(Bound::PartyChanges).message();
    assert_eq!(changes, "too many changes of tags and blobs of one party at once");
}

#[test]
fn a_system_without_random_numbers_is_no_load() {
    let error = Error::NoRandomness("secret-cause".to_owned());
    assert_eq!(error.fault(), Fault::System);
    assert!(!error.passes() && !error.is_held_back() && !error.is_refusal());
    assert!(!error.message().contains("secret"));
}
