//! Whether the records agree with each other: what leads to a blob from one side leads back from
//! the other, and the sums are right.
//!
//! Invariant: a check reads each family once, changes nothing, and reports instead of failing.

use std::collections::HashMap;

use rocksdb::IteratorMode;
use wharf_oci::Digest;

use super::engine::Engine;
use super::options::scan_options;
use super::records::{Doomed, Located, Numbered, Quarantined, Session, Totals};
use super::schema::{
    self, BLOBS, DOOMED, FAMILIES, HOLDERS, LINKS, MANIFESTS, NUMBERS, QUARANTINE, RECENCY,
    REFERRERS, REPOS, SESSIONS, SMALL, TAGS,
};
use crate::blob::Retention;
use crate::upkeep::Scrubbed;
use crate::{Result, StoreError};

/// Checks every family, then that they agree. A store that is in use may change between two looks,
/// so what disagrees is looked at again under the lock of its digest.
pub(super) fn check(engine: &Engine, found: &mut Scrubbed) -> Result<()> {
    for family in FAMILIES {
        check_family(engine, family, found)?;
    }
    check_agreement(engine, found)
}

fn check_family(engine: &Engine, family: &'static str, found: &mut Scrubbed) -> Result<()> {
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
        BLOBS => schema::decode_digest(key).is_some() && Located::decode(value).is_some(),
        NUMBERS => schema::decode_number(key).is_some() && Numbered::decode(value).is_some(),
        RECENCY => schema::decode_recency(key).is_some() && schema::decode_digest(value).is_some(),
        DOOMED => schema::decode_number(key).is_some() && Doomed::decode(value).is_some(),
        SMALL => schema::decode_segment(key).is_some(),
        LINKS => schema::decode_link(key).is_some(),
        HOLDERS => schema::decode_holder(key).is_some(),
        SESSIONS => Session::decode(key, value).is_some(),
        QUARANTINE => {
            schema::decode_quarantine_key(key).is_some() && Quarantined::decode(value).is_some()
        }
        TAGS => schema::decode_tag(value).is_some(),
        MANIFESTS => schema::decode_link(key)
            .is_some_and(|(_, digest)| schema::decode_manifest(digest, value).is_some()),
        REPOS => {
            std::str::from_utf8(key).is_ok_and(|name| name.parse::<wharf_oci::RepoName>().is_ok())
        }
        REFERRERS => serde_json::from_slice::<wharf_oci::Descriptor>(value).is_ok(),
        _ => true,
    }
}

/// Blobs, numbers and the order of use are three views of one set.
fn check_agreement(engine: &Engine, found: &mut Scrubbed) -> Result<()> {
    let before = engine.totals()?;
    let mut sum = Totals::default();
    let mut doubted = Vec::new();
    let mut ordered: HashMap<u64, u64> = HashMap::new();
    for entry in entries(engine, RECENCY)? {
        let Ok((key, _)) = entry else { return Ok(()) };
        if let Some((used, number)) = schema::decode_recency(&key) {
            ordered.insert(number, used);
        }
    }
    for entry in entries(engine, BLOBS)? {
        let Ok((key, value)) = entry else { return Ok(()) };
        let (Some(digest), Some(located)) = (schema::decode_digest(&key), Located::decode(&value))
        else {
            continue;
        };
        sum = sum.plus(Totals::of(&located));
        let used = ordered.remove(&located.number).unwrap_or(0);
        let agreed = Numbered { used, digest };
        if engine.numbered(located.number).ok().flatten() != Some(agreed)
            || (used > 0) != (located.retention == Retention::Cached)
        {
            doubted.push(digest);
        }
    }
    for digest in doubted {
        match agrees(engine, &digest) {
            // A table that cannot be read was reported with its family.
            Ok(true) | Err(StoreError::Corrupt { .. }) => {}
            Ok(false) => {
                let reason = format!("the records of {digest} contradict each other");
                found.add_records(NUMBERS, reason);
            }
            Err(error) => return Err(error),
        }
    }
    for number in ordered.into_keys() {
        if engine.numbered(number).ok().flatten().is_none_or(|numbered| numbered.used == 0) {
            found.add_records(
                RECENCY,
                format!("an entry of blob number {number}, which is not here"),
            );
        }
    }
    // Sums that changed meanwhile cannot be compared; a store at rest always can.
    if engine.totals()? == before && before != sum {
        found.add_records(schema::META, format!("the totals are {before:?}, the sum is {sum:?}"));
    }
    Ok(())
}

type Entry = std::result::Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

fn entries<'a>(engine: &'a Engine, family: &str) -> Result<impl Iterator<Item = Entry> + 'a> {
    let handle = engine.family(family)?;
    Ok(engine.db().iterator_cf_opt(&handle, scan_options(), IteratorMode::Start))
}

/// Whether the records of one digest agree while nobody changes them.
fn agrees(engine: &Engine, digest: &Digest) -> Result<bool> {
    let _changing = engine.changing(digest);
    let Some(located) = engine.located(digest)? else {
        return Ok(true);
    };
    let Some(numbered) = engine.numbered(located.number)?.filter(|known| known.digest == *digest)
    else {
        return Ok(false);
    };
    if located.retention == Retention::Kept {
        return Ok(numbered.used == 0);
    }
    let key = schema::recency_key(numbered.used, located.number);
    Ok(engine.get(RECENCY, &key)?.is_some())
}
