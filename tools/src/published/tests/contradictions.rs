//! The immutable facts of a publication.

use super::*;

/// Each change of a submission against the live one, with its contradiction.
#[test]
fn what_can_never_change_is_told_and_what_may_is_not() {
    type Row = (fn(&mut Submission), Option<About>);
    let rows: [Row; 22] = [
        (|_| (), None),
        (|own| own.visibility = Some(Visibility::Hidden), None),
        (|own| own.time = at(9), None),
        (|own| _ = own.regions.insert("azureGovernment".to_owned()), None),
        (|own| own.regions = ["azureGovernment".to_owned()].into(), Some(About::Regions)),
        (|own| own.regions.clear(), None),
        (|own| own.licence = Some(Licence::Free), Some(About::Licence)),
        (|own| own.licence = None, None),
        (|own| own.terms = Some(Terms::Custom), Some(About::Terms)),
        (|own| own.sell_through_microsoft = Some(true), Some(About::Sale)),
        (|own| own.kind = Kind::Kubernetes, Some(About::Sale)),
        (|own| own.audience = Some(Audience::Private), Some(About::Audience)),
        (|own| own.repository = Some("live/other".to_owned()), Some(About::Repository)),
        (|own| _ = own.tags.remove(&tag("1.4.0-all")), Some(About::Tag)),
        (|own| _ = own.tags.remove(&tag("latest")), Some(About::Tag)),
        (|own| _ = own.tags.insert(tag("1.5.0-all"), None), None),
        (|own| _ = own.tags.insert(tag("1.4.0-linux-arm64"), None), None),
        (|own| _ = own.tags.insert(tag("1.3.9-all"), None), Some(About::Version)),
        (|own| _ = own.tags.insert(tag("1.4.0-all"), Some(digest("x"))), Some(About::TagDigest)),
        (|own| _ = own.tags.insert(tag("1.4.0-all"), None), None),
        (|own| _ = own.tags.insert(tag("latest"), Some(digest("x"))), None),
        (|own| _ = own.tags.insert(tag("1.4"), Some(digest("x"))), None),
    ];
    let live = State::of(&[submitted(&image())]);
    let preview = State::of(&[submitted(&changed(|own| own.target = Target::Preview))]);
    for (place, (change, expected)) in rows.into_iter().enumerate() {
        let own = changed(change);
        let found = contradictions(&live, std::slice::from_ref(&own));
        let about: Vec<About> = found.iter().map(|found| found.about).collect();
        assert_eq!(about, expected.into_iter().collect::<Vec<_>>(), "row {place}: {found:?}");
        assert!(found.iter().all(|found| found.is_certain), "row {place}");
        // A preview's fields may change; a repository may be refused.
        let found = contradictions(&preview, &[own]);
        assert!(found.iter().all(|found| !found.is_certain), "row {place}: {found:?}");
    }
}

#[test]
fn applications_keep_their_type_their_scope_and_their_bundles() {
    type Row = (fn(&mut Submission), Option<About>, bool);
    let rows: [Row; 9] = [
        (|_| (), None, false),
        (|own| own.bundles.push(bundle("1.0.1", "two")), None, false),
        (|own| own.bundles.push(bundle("1.0", "two")), Some(About::Bundle), false),
        (|own| own.bundles.push(bundle("0.9.9", "two")), Some(About::Bundle), false),
        (|own| own.bundles.clear(), Some(About::Bundle), false),
        (|own| own.bundles = vec![bundle("1.0.0", "other")], Some(About::BundleDigest), true),
        (
            |own| own.extension_type = Some("Quayline.Other".to_owned()),
            Some(About::ExtensionType),
            true,
        ),
        (|own| own.scope = Some(Scope::Namespace), Some(About::Scope), false),
        (|own| own.scope = None, None, false),
    ];
    let of = |target| State::of(&[submitted(&Submission { target, ..application() })]);
    let (live, preview) = (of(Target::Live), of(Target::Preview));
    for (place, (change, expected, also_preview)) in rows.into_iter().enumerate() {
        let mut own = application();
        change(&mut own);
        let about = |state: &State| -> Vec<About> {
            let found = contradictions(state, std::slice::from_ref(&own));
            found.iter().map(|found| found.about).collect()
        };
        assert_eq!(about(&live), expected.into_iter().collect::<Vec<_>>(), "row {place}");
        let expected = expected.filter(|_| also_preview);
        assert_eq!(about(&preview), expected.into_iter().collect::<Vec<_>>(), "row {place}");
    }
}
