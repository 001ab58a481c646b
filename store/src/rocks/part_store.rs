//! `PartStore` of the store on disk.

use std::sync::Arc;

use wharf_oci::Digester;

use super::RocksStore;
use super::parts::free_all;
use super::write::RocksSink;
use crate::Result;
use crate::blob::BlobWriter;
use crate::limits::{PART_TIME, SEGMENT_BYTES};
use crate::part_key::PartKey;
use crate::parts::{PartStore, ResumedPart};

impl PartStore for RocksStore {
    fn take_up(&self, key: &PartKey) -> Result<Option<ResumedPart>> {
        let Some(part) = self.engine.parts.take(key) else { return Ok(None) };
        let stored = part.segments * SEGMENT_BYTES as u64;
        let digester = Digester::restore(&part.hash).filter(|known| known.size_bytes() == stored);
        let leases = self.reaper.leases();
        let Some(digester) = digester.filter(|_| part.since.elapsed() < PART_TIME) else {
            free_all(&self.engine, leases, [part])?;
            return Ok(None);
        };
        let size_bytes = part.size_bytes;
        let sink = RocksSink::take_up(Arc::clone(&self.engine), Arc::clone(leases), part);
        let cache = Arc::clone(&self.engine.segment_cache);
        let writer = BlobWriter::resumed(Box::new(sink), cache, digester, &[]);
        Ok(Some(ResumedPart { writer, size_bytes }))
    }
}
