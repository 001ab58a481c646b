//! `DeliveryStore` of the store on disk.

use rocksdb::{IteratorMode, WriteBatch};
use wharf_oci::{Digest, RepoName};

use super::schema::JOURNAL;
use super::{RocksStore, blob_records, journal, links};
use crate::blob_info::{BlobInfo, Retention};
use crate::journal::{Delivery, DeliveryStore, Errand, LastError};
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
        let Some(blob) = self.engine.blob_record(digest)? else {
            return Ok(None);
        };
        let delivery = errand.of(BlobInfo { digest: *digest, size_bytes: blob.size_bytes });
        let mut batch = WriteBatch::default();
        if blob.retention < Retention::Pending {
            blob_records::retain(&self.engine, &mut batch, digest, &blob, Retention::Pending)?;
        }
        journal::owe(&self.engine, &mut batch, &delivery)?;
        self.engine.write(batch, "owing", || format!("{}@{digest}", errand.repo))?;
        Ok(Some(delivery))
    }

    fn note_trouble(&self, delivery: &Delivery, trouble: &LastError) -> Result<bool> {
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
        journal::complete(&self.engine, &mut batch, &delivery.errand.repo, &delivery.digest)?;
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
