#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use wharf_oci::{Algorithm, Digester};

use super::*;

fn digest(text: &str) -> Digest {
    Digester::digest(Algorithm::Sha256, text.as_bytes())
}

fn begin() -> Event {
    let to = RegistryRef {
        name: "production".to_owned(),
        login_server: "r.example".parse().unwrap(),
        plain_http: false,
        credentials: None,
        offer_folder: ".".into(),
    };
    let destination = "prod/app".parse().unwrap();
    let items = vec![BeginItem {
        plan: "app".to_owned(),
        destination,
        tags: std::collections::BTreeMap::new(),
    }];
    Event::Begin { plan_digest: digest("plan"), offer: "o".to_owned(), to, items }
}

fn tagging(before: Option<&str>, after: &str) -> Event {
    Event::Tagging {
        plan: "app".to_owned(),
        tag: "1.0".parse().unwrap(),
        before: before.map(digest),
        after: digest(after),
    }
}

fn blob(text: &str) -> Event {
    let (plan, digest) = ("app".to_owned(), digest(text));
    Event::Blob { plan, digest, size_bytes: 7, how: UploadOutcome::Mounted }
}

#[test]
fn what_was_appended_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l");
    let ledger = Ledger::create(&path).unwrap();
    let state = ImageState::Promoted;
    let item = Event::Item { plan: "app".to_owned(), state, reason: String::new() };
    for event in [begin(), blob("b"), tagging(Some("old"), "new"), item, Event::End] {
        ledger.append(event).unwrap();
    }
    let history = open(&path).unwrap();
    assert!(history.is_ended);
    assert_eq!(history.counts(), [("promoted", 1)].into());
    assert!(history.items[0].blobs.contains(&digest("b")));
    assert_eq!(history.items[0].tags[0].before, Some(digest("old")));
}

#[test]
fn a_line_that_a_crash_cut_off_is_dropped_and_the_ledger_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l");
    let ledger = Ledger::create(&path).unwrap();
    ledger.append(begin()).unwrap();
    ledger.append(blob("a")).unwrap();
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in first..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(open(&path).unwrap().items[0].blobs.is_empty());
        let (ledger, history) = Ledger::reopen(&path).unwrap();
        assert!(history.items[0].blobs.is_empty() && !history.is_ended);
        ledger.append(blob("b")).unwrap();
        drop(ledger);
        assert!(open(&path).unwrap().items[0].blobs.contains(&digest("b")));
    }
}

#[test]
fn a_second_run_does_not_forget_what_a_tag_was_before_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l");
    let ledger = Ledger::create(&path).unwrap();
    let second = tagging(Some("new"), "new");
    for event in [begin(), tagging(Some("old"), "new"), Event::Resume, second] {
        ledger.append(event).unwrap();
    }
    assert_eq!(open(&path).unwrap().items[0].tags[0].before, Some(digest("old")));
    let (plan, tag) = ("app".to_owned(), "1.0".parse().unwrap());
    ledger.append(Event::Untagged { plan, tag, restored: digest("old") }).unwrap();
    assert!(open(&path).unwrap().items[0].tags.is_empty());
}

#[test]
fn a_ledger_is_never_written_over_or_shared_or_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l");
    let ledger = Ledger::create(&path).unwrap();
    ledger.append(begin()).unwrap();
    assert!(matches!(Ledger::create(&path), Err(LedgerError::Exists { .. })));
    assert!(matches!(Ledger::reopen(&path), Err(LedgerError::Busy { .. })));
    drop(ledger);
    std::fs::write(&path, "{\"event\":\"end\"}\n").unwrap();
    assert!(matches!(open(&path), Err(LedgerError::Malformed { line: 1, .. })));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(open(&path), Err(LedgerError::Malformed { .. })));
}
