#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod contradictions;

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use wharf_oci::{Algorithm, Digest, Digester, Tag};

use super::*;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(1_790_000_000 + seconds).unwrap()
}

pub(crate) fn digest(text: &str) -> Digest {
    Digester::digest(Algorithm::Sha256, text.as_bytes())
}

/// A live image plan `server` of the offer `tidepool`.
pub(crate) fn image() -> Submission {
    let tags = ["latest", "1.4.0-all", "1.4.0-linux-amd64"];
    Submission {
        time: at(0),
        target: SubmissionTarget::Live,
        publisher: "quayline".to_owned(),
        offer: "tidepool".to_owned(),
        sell_through_microsoft: Some(false),
        terms: Some(RecordedTerms::Standard),
        plan: "server".to_owned(),
        kind: RecordedKind::Image,
        licence: Some(RecordedLicence::Byol),
        visibility: Some(RecordedVisibility::Visible),
        audience: Some(RecordedAudience::Public),
        regions: ["azureGlobal".to_owned()].into(),
        repository: Some("live/tidepool/server".to_owned()),
        tags: tags.map(|tag| (tag.parse().unwrap(), Some(digest("1.4.0")))).into(),
        extension_type: None,
        scope: None,
        bundles: Vec::new(),
    }
}

/// A live plan `cluster` of the same offer.
pub(crate) fn application() -> Submission {
    Submission {
        plan: "cluster".to_owned(),
        kind: RecordedKind::Kubernetes,
        licence: Some(RecordedLicence::PayAsYouGo),
        repository: None,
        tags: BTreeMap::new(),
        extension_type: Some("Quayline.Tidepool".to_owned()),
        scope: Some(RecordedScope::Cluster),
        bundles: vec![bundle("1.0.0", "one")],
        ..image()
    }
}

pub(crate) fn bundle(version: &str, content: &str) -> RecordedBundle {
    RecordedBundle {
        repository: "live/tidepool/bundle".to_owned(),
        version: version.to_owned(),
        digest: Some(digest(content)),
    }
}

pub(crate) fn withdrawal(plan: &str, versions: &[&str], seconds: u64) -> Record {
    Record::Withdrawn(Withdrawal {
        time: at(seconds),
        publisher: "quayline".to_owned(),
        offer: "tidepool".to_owned(),
        plan: plan.to_owned(),
        versions: versions.iter().map(|version| (*version).to_owned()).collect(),
    })
}

pub(crate) fn submitted(submission: &Submission) -> Record {
    Record::Submitted(Box::new(submission.clone()))
}

fn changed(change: impl FnOnce(&mut Submission)) -> Submission {
    let mut submission = image();
    change(&mut submission);
    submission
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

#[test]
fn a_line_is_the_record_that_it_was_made_from() {
    for record in [submitted(&image()), submitted(&application()), withdrawal("server", &["a"], 3)]
    {
        let line = record.line();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        assert_eq!(Record::read(line.trim_end().as_bytes()).unwrap(), record);
        // Laid out anew it is the same.
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        assert_eq!(Record::read(&pretty).unwrap(), record);
    }
}

#[test]
fn an_edit_is_seen_wherever_it_is() {
    let line = submitted(&image()).line();
    for (from, to) in [
        ("byol", "free"),
        ("1.4.0-all", "1.4.1-all"),
        ("\"live\"", "\"preview\""),
        ("\"hash\":\"sha256:", "\"hash\":\"sha256:0"),
    ] {
        let edited = line.replacen(from, to, 1);
        assert_ne!(edited, line, "{from}");
        let error = Record::read(edited.trim_end().as_bytes()).unwrap_err();
        assert!(error.contains("hash"), "{from}: {error}");
    }
}

#[test]
fn what_is_no_record_is_an_error_with_its_line() {
    let good = submitted(&image()).line();
    let newer = good.replacen("\"wharfPublished\":1", "\"wharfPublished\":2", 1);
    let unknown = good.replacen("\"wharfPublished\":1", "\"wharfPublished\":1,\"more\":1", 1);
    let record = serde_json::json!({"event": "sold"});
    let hash = digest(&record.to_string());
    let foreign = format!("{{\"wharfPublished\":1,\"hash\":\"{hash}\",\"record\":{record}}}\n");
    let cut = good[..good.len() / 2].to_owned();
    let many = changed(|at| {
        at.tags = (0..1001).map(|number| (tag(&format!("1.0.{number}")), None)).collect();
    });
    let cases = [
        ("{}\n", "no number `wharfPublished`"),
        ("[]\n", "no object"),
        ("plan: server\n", "no JSON"),
        (cut.as_str(), "no JSON"),
        (newer.as_str(), "it has the format 2, this wharf reads 1; update wharf"),
        (unknown.as_str(), "the key `more` is not known"),
        (foreign.as_str(), "sold"),
        ("<<<<<<< HEAD\n", "a merge was not finished"),
        (">>>>>>> branch\n", "a merge was not finished"),
        (&submitted(&many).line(), "1000 is the most"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LEDGER_NAME);
    for (bad, words) in cases {
        std::fs::write(&path, format!("{good}\n{bad}")).unwrap();
        let error = PublishedFile::open(&path).unwrap_err().to_string();
        let place = format!("{}:3 ", path.display());
        assert!(error.starts_with(&place) && error.contains(words), "{words}: {error}");
    }
    let long = format!("{{\"wharfPublished\":1{}}}", " ".repeat(300 * 1024));
    std::fs::write(&path, long).unwrap();
    let error = PublishedFile::open(&path).unwrap_err().to_string();
    assert!(error.contains(":1 ") && error.contains("more than 262144 bytes"), "{error}");
}

#[test]
fn what_editors_leave_says_nothing() {
    let (one, other) = (submitted(&image()).line(), submitted(&application()).line());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LEDGER_NAME);
    let plain = format!("{one}{other}");
    let windows = format!("\u{feff}{}\r\n", plain.replace('\n', "\r\n"));
    let doubled = format!("{other}\n\n{one}{other}{one}");
    let states = [plain, windows, doubled].map(|text| {
        std::fs::write(&path, text).unwrap();
        let ledger = PublishedFile::open(&path).unwrap();
        assert_eq!(ledger.records().len(), 2);
        ledger.state()
    });
    assert!(states.iter().all(|state| *state == states[0]));
}

#[test]
fn a_missing_ledger_is_none_unless_it_was_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(PublishedFile::find(folder.path(), None).unwrap().is_none());
    let named = folder.path().join("other");
    assert!(PublishedFile::find(folder.path(), Some(&named)).is_err());
    std::fs::write(folder.path().join(LEDGER_NAME), "").unwrap();
    let empty = PublishedFile::find(folder.path(), None).unwrap().unwrap();
    assert!(empty.state().offers.is_empty());
}

#[test]
fn an_append_is_whole_or_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LEDGER_NAME);
    let add = |record: Record| {
        PublishedFile::append(&path, |_| Ok::<_, PublishedError>(vec![record.clone()]))
    };
    let nothing = PublishedFile::append(&path, |_| Ok::<_, PublishedError>(Vec::new())).unwrap();
    assert!(nothing.records.is_empty() && !path.exists(), "an empty ledger says a thing");
    let refused = PublishedFile::append(&path, |_| {
        Err::<Vec<Record>, _>(PublishedError::Busy { path: path.clone() })
    });
    assert!(refused.is_err() && !path.exists());
    assert!(add(submitted(&image())).unwrap().is_new);
    // An editor took the end of the last line away.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.trim_end()).unwrap();
    assert!(!add(submitted(&application())).unwrap().is_new);
    assert_eq!(PublishedFile::open(&path).unwrap().records().len(), 2);
    // Into a damaged file nothing is written.
    std::fs::write(&path, "x\n").unwrap();
    let error = add(submitted(&image())).unwrap_err().to_string();
    assert!(error.contains(":1 "), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "x\n");
}

#[test]
fn programs_that_append_at_once_lose_nothing_and_see_each_other() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 12;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LEDGER_NAME);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let path = &path;
            scope.spawn(move || {
                for number in 0..EACH {
                    // Each record counts those before it: two of one count would have seen the same.
                    let append = PublishedFile::append(path, |records| {
                        let count = records.len() as u64;
                        let plan = format!("plan-{count}");
                        let record = changed(|own| {
                            own.plan = plan;
                            own.time = at(writer * EACH + number);
                        });
                        Ok::<_, PublishedError>(vec![submitted(&record)])
                    });
                    append.unwrap();
                }
            });
        }
    });
    let ledger = PublishedFile::open(&path).unwrap();
    assert_eq!(ledger.records().len() as u64, WRITERS * EACH);
    let state = ledger.state();
    let plans = &state.offer("quayline", "tidepool").unwrap().plans;
    assert_eq!(plans.len() as u64, WRITERS * EACH);
}

#[test]
fn what_was_taken_back_is_gone_until_it_is_submitted_again() {
    let state = |records: &[Record]| LedgerState::of(records);
    let plan =
        |state: &LedgerState| state.offer("quayline", "tidepool").unwrap().plans["server"].clone();
    let first = submitted(&image());
    let back = withdrawal("server", &["1.4.0-all"], 5);
    let again = submitted(&changed(|own| own.time = at(6)));
    let live =
        |plan: &PlanState| plan.live_tags().map(|(tag, _)| tag.to_string()).collect::<Vec<_>>();
    let gone = plan(&state(&[back.clone(), first.clone()]));
    assert_eq!(live(&gone), ["1.4.0-linux-amd64", "latest"]);
    assert!(gone.life.is_live());
    let there = plan(&state(&[again, back, first.clone()]));
    assert_eq!(live(&there).len(), 3);
    let whole = plan(&state(&[first, withdrawal("server", &[], 0)]));
    assert!(live(&whole).is_empty() && !whole.life.is_live() && whole.life.was_live());
}

#[test]
fn a_tag_that_was_taken_back_comes_again_only_as_what_it_was() {
    let state = LedgerState::of(&[submitted(&image()), withdrawal("server", &["1.4.0-all"], 5)]);
    let found = |change: fn(&mut Submission)| contradictions(&state, &[changed(change)]);
    assert_eq!(found(|_| ()), []);
    assert_eq!(found(|own| _ = own.tags.remove(&tag("1.4.0-all"))), []);
    let moved = found(|own| _ = own.tags.insert(tag("1.4.0-all"), Some(digest("x"))));
    let [moved] = &moved[..] else { panic!("{moved:?}") };
    assert!(moved.about == ContradictionTopic::TagDigest && moved.is_certain);
    assert!(moved.message.contains("`1.4.0-all` was live as"), "{}", moved.message);
}

#[test]
fn offers_are_told_apart_and_one_that_was_renamed_is_found() {
    let state = LedgerState::of(&[submitted(&image()), submitted(&application())]);
    let of = |change: fn(&mut Submission)| -> Vec<ContradictionTopic> {
        let both = [image(), application()].map(|mut own| {
            change(&mut own);
            own
        });
        contradictions(&state, &both).into_iter().map(|found| found.about).collect()
    };
    assert_eq!(of(|_| ()), []);
    let renamed = of(|own| own.offer = "tidepool-2".to_owned());
    assert!(
        renamed.contains(&ContradictionTopic::OfferId)
            && renamed.contains(&ContradictionTopic::TakenRepository)
    );
    assert!(renamed.contains(&ContradictionTopic::ExtensionType));
    assert_eq!(of(|own| own.publisher = "harbour".to_owned()), [ContradictionTopic::Publisher]);
    // An offer of other plans, unknown to the ledger, is a new one.
    let new = of(|own| {
        own.offer = "lagoon".to_owned();
        own.plan = format!("{}-2", own.plan);
        own.repository = own.repository.as_ref().map(|_| "live/lagoon".to_owned());
        own.extension_type = own.extension_type.as_ref().map(|_| "Quayline.Lagoon".to_owned());
    });
    assert_eq!(new, []);
    // So is one with the same names of plans.
    let second = of(|own| {
        own.offer = "lagoon".to_owned();
        own.repository = own.repository.as_ref().map(|_| "live/lagoon".to_owned());
        own.extension_type = own.extension_type.as_ref().map(|_| "Quayline.Lagoon".to_owned());
    });
    assert_eq!(second, []);
    let gone = contradictions(&state, &[image()]);
    let [gone] = &gone[..] else { panic!("{gone:?}") };
    assert_eq!(gone.about, ContradictionTopic::Plan);
    assert!(gone.message.contains("`cluster`") && gone.message.contains("--withdraw cluster"));
    let records = [submitted(&image()), submitted(&application()), withdrawal("cluster", &[], 1)];
    assert_eq!(contradictions(&LedgerState::of(&records), &[image()]), []);
}

#[test]
fn an_offer_gets_the_tags_of_earlier_versions_that_it_does_not_list() {
    use crate::offer::fixture;
    let old = changed(|own| {
        own.tags = ["latest", "1.3.0-all", "1.3.0-linux-amd64", "1.4.0-all"]
            .map(|text| (tag(text), None))
            .into();
    });
    let state = LedgerState::of(&[submitted(&old)]);
    let mut file = fixture::parse(fixture::OFFER).unwrap();
    complete(&mut file, &state);
    let published = |file: &OfferFile, place: usize| -> Vec<String> {
        let image = file.image(place).unwrap();
        image.image.published_tags.iter().map(ToString::to_string).collect()
    };
    assert_eq!(published(&file, 0), ["1.3.0-all", "1.3.0-linux-amd64"]);
    assert!(published(&file, 1).is_empty());
    let listed = fixture::changed(&[(
        "version: \"1.4.0\"\n      created",
        "version: \"1.4.0\"\n      publishedTags: [\"1.3.0-all\"]\n      created",
    )]);
    let mut file = fixture::parse(&listed).unwrap();
    complete(&mut file, &state);
    assert_eq!(published(&file, 0), ["1.3.0-all"]);
    let found = contradictions(
        &state,
        &submissions(&file, &Content::default(), &state, SubmissionTarget::Live, at(1)),
    );
    let dropped = found.iter().filter(|found| found.about == ContradictionTopic::Tag).count();
    assert_eq!(dropped, 1, "{found:?}");
}

fn any_record() -> impl Strategy<Value = Record> {
    let plan = prop::sample::select(vec!["server", "cluster"]);
    let tags = prop::collection::btree_map(
        prop::sample::select(vec!["latest", "1.0.0-all", "1.1.0-all"]).prop_map(tag),
        prop::option::of(prop::sample::select(vec!["a", "b"]).prop_map(digest)),
        0..3,
    );
    let words = (
        prop::bool::ANY,
        prop::sample::select(vec![RecordedLicence::Free, RecordedLicence::Byol]),
        prop::sample::select(vec![RecordedAudience::Public, RecordedAudience::Private]),
        prop::sample::select(vec!["1.0.0", "1.1.0"]),
    );
    let when = 0_u64..6;
    (plan, tags, words, when, 0_u8..4).prop_map(|(plan, tags, words, when, kind)| {
        let (is_live, licence, audience, version) = words;
        if kind == 0 {
            let versions: &[&str] = if is_live { &[] } else { &["1.0.0-all", "1.0.0"] };
            return withdrawal(plan, versions, when);
        }
        let base = if plan == "server" { image() } else { application() };
        let bundles = if plan == "server" { Vec::new() } else { vec![bundle(version, "x")] };
        submitted(&Submission {
            time: at(when),
            target: if is_live { SubmissionTarget::Live } else { SubmissionTarget::Preview },
            licence: Some(licence),
            audience: Some(audience),
            tags: if plan == "server" { tags } else { BTreeMap::new() },
            bundles,
            ..base
        })
    })
}

/// The file of these lines, read.
fn read(folder: &Path, lines: &[String]) -> LedgerState {
    let path = folder.join(LEDGER_NAME);
    std::fs::write(&path, lines.concat()).unwrap();
    PublishedFile::open(&path).unwrap().state()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A ledger of any bytes is read or refused, without a panic.
    #[test]
    fn any_line_is_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        record in any_record(),
        flip in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let _ = Record::read(&bytes);
        let mut line = record.line().trim_end().as_bytes().to_vec();
        let place = flip.index(line.len());
        line[place] ^= 1 << bit;
        // Only a flip in white space or in the case of the hash keeps the meaning: none here.
        if let Ok(read) = Record::read(&line) {
            prop_assert_eq!(read, record);
        }
    }

    /// Two branches append to one file; every merge of the lines, with any repeated, means the
    /// same.
    #[test]
    fn any_merge_of_two_histories_means_the_same(
        base in prop::collection::vec(any_record(), 0..4),
        ours in prop::collection::vec(any_record(), 0..6),
        theirs in prop::collection::vec(any_record(), 0..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 16),
        again in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let lines = |records: &[Record]| records.iter().map(Record::line).collect::<Vec<_>>();
        let (base, ours, theirs) = (lines(&base), lines(&ours), lines(&theirs));
        let straight = [base.clone(), ours.clone(), theirs.clone()].concat();
        let expected = read(folder.path(), &straight);
        let other_way = [base.clone(), theirs, ours].concat();
        prop_assert_eq!(&read(folder.path(), &other_way), &expected);
        let mut mixed = straight;
        if !mixed.is_empty() {
            for index in &again {
                let line = mixed[index.index(mixed.len())].clone();
                mixed.push(line);
            }
            let count = mixed.len();
            for (place, index) in order.iter().enumerate() {
                mixed.swap(place % count, index.index(count));
            }
        }
        prop_assert_eq!(&read(folder.path(), &mixed), &expected);
    }
}
