//! The contract of referrers: found by their subject, read page by page, none twice and none left out.

use wharf_oci::{Digest, REFERRER_BYTES_MAX, Referrer, RepoName};

use super::samples::manifest;
use crate::manifests::ManifestStore;

/// Enough for every referrer of these tests.
const ALL: usize = 64 * REFERRER_BYTES_MAX;

fn all(store: &dyn ManifestStore, repo: &RepoName, subject: &Digest) -> Vec<Referrer> {
    let page = store.referrers(repo, subject, None, ALL).expect("referrers");
    assert!(!page.more);
    page.entries
}

pub(super) fn referrers_are_found_by_subject(
    store: &dyn ManifestStore,
    repo: &RepoName,
    subject: &Digest,
) {
    assert!(all(store, repo, subject).is_empty());
    let note = manifest(Some(subject), "note");
    store.put_manifest(repo, &note, &note.digest(), &[]).expect("put");
    assert_eq!(all(store, repo, subject), [Referrer::of(&note, &note.digest())]);
    let first = all(store, repo, subject).pop().expect("one");
    assert_eq!(first.artifact_type(), Some("application/note"));
    assert!(first.json().contains("\"annotations\":{\"note\":\"note\"}"), "{}", first.json());
    assert!(store.remove_manifest(repo, &note.digest()).expect("remove"));
    assert!(all(store, repo, subject).is_empty());
}

pub(super) fn referrers_are_read_page_by_page(
    store: &dyn ManifestStore,
    repo: &RepoName,
    subject: &Digest,
) {
    let huge = "x".repeat(3 * REFERRER_BYTES_MAX);
    let large = "x".repeat(REFERRER_BYTES_MAX / 2);
    let notes: Vec<_> = (0..20)
        .map(|number| match number % 3 {
            0 => manifest(Some(subject), &format!("{huge}{number}")),
            1 => manifest(Some(subject), &format!("{large}{number}")),
            _ => manifest(Some(subject), &number.to_string()),
        })
        .collect();
    for note in &notes {
        store.put_manifest(repo, note, &note.digest(), &[]).expect("put");
    }
    let mut expected: Vec<_> =
        notes.iter().map(|note| Referrer::of(note, &note.digest())).collect();
    expected.sort_by(|one, other| one.digest().cmp(other.digest()));
    assert_eq!(all(store, repo, subject), expected);
    for bytes_max in [REFERRER_BYTES_MAX + 1, 3 * REFERRER_BYTES_MAX, ALL] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.referrers(repo, subject, after.as_ref(), bytes_max).expect("page");
            let bytes: usize = page.entries.iter().map(|entry| entry.json().len() + 1).sum();
            assert!(bytes <= bytes_max, "{bytes} of {bytes_max}");
            found.extend(page.entries);
            if !page.more {
                break;
            }
            let last = found.last().expect("a page with room for one has one");
            after = Some(last.digest().parse().expect("a digest"));
        }
        assert_eq!(found, expected);
    }
    let none = store.referrers(repo, subject, None, 10).expect("page");
    assert!(none.entries.is_empty() && none.more);
    for note in &notes {
        assert!(store.remove_manifest(repo, &note.digest()).expect("remove"));
    }
}
