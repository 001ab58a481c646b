//! What is owed to upstreams, as its seam asks for it.

use rocksdb::{IteratorMode, WriteBatch};
use wharf_oci::{Digest, RepoName};

use super::records::Hold;
use super::schema::JOURNAL;
use super::{RocksStore, blob_records, journal, links};
use crate::blob_info::BlobInfo;
use crate::journal::{Delivery, DeliveryStore, Errand, Trouble};
use crate::{Result, StoreError};

impl DeliveryStore for RocksStore {
    fn deliveries(&self) -> Result<Vec<Delivery>> {
        let family = self.engine.family(JOURNAL)?;
        let mut owed = Vec::new();
        for entry in self.engine.db().iterator_cf(&family, IteratorMode::Start) {
            let (key, value) =
                entry.map_err(|error| StoreError::database("listing", JOURNAL, error))?;
            if let Some(delivery) = Delivery::decode(&key, &value) {
                owed.push(delivery);
            } else {
                tracing::error!("the record of a delivery is damaged; the blob stays where it is");
            }
        }
        Ok(owed)
    }

    fn owe(&self, digest: &Digest, errand: &Errand) -> Result<Option<Delivery>> {
        let _changing = self.engine.changing(digest);
        let Some(located) = self.engine.located(digest)? else {
            return Ok(None);
        };
        let delivery = errand.of(BlobInfo { digest: *digest, size_bytes: located.size_bytes });
        let mut batch = WriteBatch::default();
        if located.hold < Hold::Pending {
            blob_records::hold(&self.engine, &mut batch, digest, &located, Hold::Pending)?;
        }
        journal::owe(&self.engine, &mut batch, &delivery)?;
        self.engine.write(batch, "owing", || format!("{}@{digest}", errand.repo))?;
        Ok(Some(delivery))
    }

    fn note_trouble(&self, delivery: &Delivery, trouble: &Trouble) -> Result<bool> {
        let _changing = self.engine.changing(&delivery.digest);
        if !journal::is_still_owed(&self.engine, delivery)? {
            return Ok(false);
        }
        let noted = Delivery { trouble: Some(trouble.clone()), ..delivery.clone() };
        let mut batch = WriteBatch::default();
        batch.put_cf(&self.engine.family(JOURNAL)?, journal::key_of(delivery), noted.encode());
        self.engine.write_soon(batch, "noting", || delivery.digest.to_string())?;
        Ok(true)
    }

    fn delivered(&self, delivery: &Delivery) -> Result<bool> {
        let _changing = self.engine.changing(&delivery.digest);
        if !journal::is_still_owed(&self.engine, delivery)? {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        journal::settle(&self.engine, &mut batch, &delivery.errand.repo, &delivery.digest)?;
        self.engine.write(batch, "settling", || delivery.digest.to_string())?;
        Ok(true)
    }

    fn settled_holders(&self, digest: &Digest) -> Result<Vec<RepoName>> {
        let owing = journal::owing(&self.engine, digest)?;
        let mut holders = links::holders_of(&self.engine, digest)?;
        holders.retain(|holder| !owing.contains(holder));
        Ok(holders)
    }
}
