//! Whether the records agree: each blob is found by its digest, its number and the order of use,
//! and the totals are right.
//!
//! Invariant: a check reads each family once, changes nothing, and reports instead of failing.

use std::collections::{HashMap, HashSet};

use rocksdb::{IteratorMode, Snapshot};
use wharf_oci::Digest;

use super::engine::Engine;
use super::options::scan_options;
use super::parents;
use super::records::{BlobRecord, DoomedRecord, NumberRecord, QuarantineRecord, Session, Totals};
use super::schema::{
    self, BLOBS, DOOMED, FAMILIES, HOLDERS, JOURNAL, LINKS, MANIFESTS, META, NUMBERS, PARENTS,
    QUARANTINE, RECENCY, REFERRERS, REPOS, SESSIONS, SMALL, TAGS, TOTALS,
};
use crate::Result;
use crate::blob_info::Retention;
use crate::journal::Delivery;
use crate::upkeep::ScrubReport;

/// Checks every family, then the agreement of the families.
pub(super) fn check(engine: &Engine, found: &mut ScrubReport) -> Result<()> {
    for family in FAMILIES {
        check_family(engine, family, found)?;
    }
    check_agreement(engine, found)
}

fn check_family(engine: &Engine, family: &'static str, found: &mut ScrubReport) -> Result<()> {
    let handle = engine.family(family)?;
    let entries = engine.db().iterator_cf_opt(&handle, scan_options(), IteratorMode::Start);
    let mut bad = 0_u64;
    for entry in entries {
        match entry {
            Ok((key, value)) if decodes(family, &key, &value) => {}
            Ok(_) => bad += 1,
            Err(error) => {
                found.add_records(family, error.to_string());
                return Ok(());
            }
        }
    }
    if bad > 0 {
        found.add_records(family, format!("{bad} records do not decode"));
    }
    Ok(())
}

fn decodes(family: &str, key: &[u8], value: &[u8]) -> bool {
    match family {
        BLOBS => schema::decode_digest(key).is_some() && BlobRecord::decode(value).is_some(),
        NUMBERS => schema::decode_number(key).is_some() && NumberRecord::decode(value).is_some(),
        RECENCY => schema::decode_recency(key).is_some() && schema::decode_digest(value).is_some(),
        DOOMED => schema::decode_number(key).is_some() && DoomedRecord::decode(value).is_some(),
        SMALL => schema::decode_segment(key).is_some(),
        LINKS => schema::decode_link(key).is_some(),
        HOLDERS => schema::decode_holder(key).is_some(),
        PARENTS => schema::decode_parent(key).is_some(),
        SESSIONS => Session::decode(key, value).is_some(),
        QUARANTINE => {
            schema::decode_quarantine_key(key).is_some()
                && QuarantineRecord::decode(value).is_some()
        }
        JOURNAL => Delivery::decode(key, value).is_some(),
        TAGS => schema::decode_tag(value).is_some(),
        MANIFESTS => schema::decode_link(key)
            .is_some_and(|(_, digest)| schema::decode_manifest(digest, value).is_some()),
        REPOS => {
            std::str::from_utf8(key).is_ok_and(|name| name.parse::<wharf_oci::RepoName>().is_ok())
        }
        REFERRERS => wharf_oci::Referrer::parse(value).is_some(),
        _ => true,
    }
}

/// Manifests agree with the records of parents, and the families of blobs with each other.
fn check_agreement(engine: &Engine, found: &mut ScrubReport) -> Result<()> {
    let moment = engine.db().snapshot();
    parents::check(engine, &moment, found)?;
    check_blobs(engine, &moment, found)
}

/// Blobs, numbers, the order of use, the journal and the totals are five views of one set. One
/// batch changes all of them, so they agree in a snapshot, also while the store is in use.
fn check_blobs(engine: &Engine, moment: &Snapshot<'_>, found: &mut ScrubReport) -> Result<()> {
    let mut ordered: HashMap<u64, u64> = HashMap::new();
    for entry in entries(engine, moment, RECENCY)? {
        // The family with the unreadable record is in the report, and cannot be compared.
        let Ok((key, _)) = entry else { return Ok(()) };
        if let Some((used, number)) = schema::decode_recency(&key) {
            ordered.insert(number, used);
        }
    }
    let mut owed: HashSet<Digest> = HashSet::new();
    for entry in entries(engine, moment, JOURNAL)? {
        let Ok((key, _)) = entry else { return Ok(()) };
        owed.extend(schema::decode_held(&key));
    }
    let numbers = engine.family(NUMBERS)?;
    let mut sum = Totals::default();
    for entry in entries(engine, moment, BLOBS)? {
        let Ok((key, value)) = entry else { return Ok(()) };
        let (Some(digest), Some(blob)) = (schema::decode_digest(&key), BlobRecord::decode(&value))
        else {
            continue;
        };
        sum = sum.plus(Totals::of(&blob));
        let used = ordered.remove(&blob.number).unwrap_or(0);
        let Ok(record) = moment.get_cf(&numbers, blob.number.to_be_bytes()) else {
            return Ok(());
        };
        let agreed = NumberRecord { used, digest };
        if record.as_deref().and_then(NumberRecord::decode) != Some(agreed)
            || (used > 0) != (blob.retention == Retention::Cached)
            || !holds_what_is_owed(blob.retention, owed.contains(&digest))
        {
            found.add_records(NUMBERS, format!("the records of {digest} contradict each other"));
        }
    }
    for number in ordered.into_keys() {
        let reason = format!("an entry of blob number {number}, which is not here");
        found.add_records(RECENCY, reason);
    }
    let Ok(totals) = moment.get_cf(&engine.family(META)?, TOTALS) else { return Ok(()) };
    let totals = totals.map_or(Some(Totals::default()), |value| Totals::decode(&value));
    if totals != Some(sum) {
        found.add_records(META, format!("the totals are {totals:?}, the sum is {sum:?}"));
    }
    Ok(())
}

/// A blob with a pending delivery is not evictable; one without is not pending.
fn holds_what_is_owed(retention: Retention, is_owed: bool) -> bool {
    match retention {
        Retention::Cached => !is_owed,
        Retention::Pending => is_owed,
        Retention::Kept => true,
    }
}

type Entry = std::result::Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

fn entries<'a>(
    engine: &Engine,
    moment: &'a Snapshot<'_>,
    family: &str,
) -> Result<impl Iterator<Item = Entry> + 'a> {
    let handle = engine.family(family)?;
    Ok(moment.iterator_cf_opt(&handle, scan_options(), IteratorMode::Start))
}
