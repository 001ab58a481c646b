//! The immutable facts of a publication.

use super::*;

/// Each change of a submission against the live one, with its contradiction.
#[test]
fn what_can_never_change_is_told_and_what_may_is_not() {
    type Row = (fn(&mut Submission), Option<ContradictionTopic>);
    let rows: [Row; 22] = [
        (|_| (), None),
        (|own| own.visibility = Some(RecordedVisibility::Hidden), None),
        (|own| own.time = at(9), None),
        (|own| _ = own.regions.insert("azureGovernment".to_owned()), None),
        (
            |own| own.regions = ["azureGovernment".to_owned()].into(),
            Some(ContradictionTopic::Regions),
        ),
        (|own| own.regions.clear(), None),
        (|own| own.licence = Some(RecordedLicence::Free), Some(ContradictionTopic::Licence)),
        (|own| own.licence = None, None),
        (|own| own.terms = Some(RecordedTerms::Custom), Some(ContradictionTopic::Terms)),
        (|own| own.sell_through_microsoft = Some(true), Some(ContradictionTopic::Sale)),
        (|own| own.kind = RecordedKind::Kubernetes, Some(ContradictionTopic::Sale)),
        (|own| own.audience = Some(RecordedAudience::Private), Some(ContradictionTopic::Audience)),
        (
            |own| own.repository = Some("live/other".to_owned()),
            Some(ContradictionTopic::Repository),
        ),
        (|own| _ = own.tags.remove(&tag("1.4.0-all")), Some(ContradictionTopic::Tag)),
        (|own| _ = own.tags.remove(&tag("latest")), Some(ContradictionTopic::Tag)),
        (|own| _ = own.tags.insert(tag("1.5.0-all"), None), None),
        (|own| _ = own.tags.insert(tag("1.4.0-linux-arm64"), None), None),
        (|own| _ = own.tags.insert(tag("1.3.9-all"), None), Some(ContradictionTopic::Version)),
        (
            |own| _ = own.tags.insert(tag("1.4.0-all"), Some(digest("x"))),
            Some(ContradictionTopic::TagDigest),
        ),
        (|own| _ = own.tags.insert(tag("1.4.0-all"), None), None),
        (|own| _ = own.tags.insert(tag("latest"), Some(digest("x"))), None),
        (|own| _ = own.tags.insert(tag("1.4"), Some(digest("x"))), None),
    ];
    let live = LedgerState::of(&[submitted(&image())]);
    let preview =
        LedgerState::of(&[submitted(&changed(|own| own.target = SubmissionTarget::Preview))]);
    for (place, (change, expected)) in rows.into_iter().enumerate() {
        let own = changed(change);
        let found = contradictions(&live, std::slice::from_ref(&own));
        let about: Vec<ContradictionTopic> = found.iter().map(|found| found.about).collect();
        assert_eq!(about, expected.into_iter().collect::<Vec<_>>(), "row {place}: {found:?}");
        assert!(found.iter().all(|found| found.is_certain), "row {place}");
        // A preview's fields may change; a repository may be refused.
        let found = contradictions(&preview, &[own]);
        assert!(found.iter().all(|found| !found.is_certain), "row {place}: {found:?}");
    }
}

#[test]
fn applications_keep_their_type_their_scope_and_their_bundles() {
    type Row = (fn(&mut Submission), Option<ContradictionTopic>, bool);
    let rows: [Row; 9] = [
        (|_| (), None, false),
        (|own| own.bundles.push(bundle("1.0.1", "two")), None, false),
        (|own| own.bundles.push(bundle("1.0", "two")), Some(ContradictionTopic::Bundle), false),
        (|own| own.bundles.push(bundle("0.9.9", "two")), Some(ContradictionTopic::Bundle), false),
        (|own| own.bundles.clear(), Some(ContradictionTopic::Bundle), false),
        (
            |own| own.bundles = vec![bundle("1.0.0", "other")],
            Some(ContradictionTopic::BundleDigest),
            true,
        ),
        (
            |own| own.extension_type = Some("Quayline.Other".to_owned()),
            Some(ContradictionTopic::ExtensionType),
            true,
        ),
        (|own| own.scope = Some(RecordedScope::Namespace), Some(ContradictionTopic::Scope), false),
        (|own| own.scope = None, None, false),
    ];
    let of = |target| LedgerState::of(&[submitted(&Submission { target, ..application() })]);
    let (live, preview) = (of(SubmissionTarget::Live), of(SubmissionTarget::Preview));
    for (place, (change, expected, also_preview)) in rows.into_iter().enumerate() {
        let mut own = application();
        change(&mut own);
        let about = |state: &LedgerState| -> Vec<ContradictionTopic> {
            let found = contradictions(state, std::slice::from_ref(&own));
            found.iter().map(|found| found.about).collect()
        };
        assert_eq!(about(&live), expected.into_iter().collect::<Vec<_>>(), "row {place}");
        let expected = expected.filter(|_| also_preview);
        assert_eq!(about(&preview), expected.into_iter().collect::<Vec<_>>(), "row {place}");
    }
}
