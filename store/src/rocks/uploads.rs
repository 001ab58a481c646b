//! Uploads at rest: begun, resumed, listed, forgotten.
//!
//! Invariant: a number has one writer at a time; an open upload is not at rest.

use std::sync::Arc;

use wharf_oci::{Algorithm, Digester, UploadId};

use super::RocksStore;
use super::lease::{Lease, Remains};
use super::records::{DoomedRecord, Session};
use super::recover;
use super::schema::{self, Place, SESSIONS};
use super::write::RocksSink;
use crate::blob::BlobWriter;
use crate::limits::SEGMENT_BYTES;
use crate::sessions::{NewUpload, SavedUpload, UploadStore};
use crate::{Result, StoreError};

impl RocksStore {
    /// The record of an upload without a writer, and the lease against one.
    fn at_rest(&self, id: UploadId) -> Result<Option<(Session, Lease)>> {
        let key = id.as_u128().to_be_bytes();
        let Some(value) = self.engine.get(SESSIONS, &key)? else {
            return Ok(None);
        };
        let session = Session::decode(&key, &value)
            .ok_or_else(|| StoreError::undecodable("reading", format!("upload {id}")))?;
        let Some(lease) = self.reaper.try_lease(session.number) else {
            return Ok(None);
        };
        // Read again under the lease: the upload may have ended just before.
        let same = self.engine.get(SESSIONS, &key)?.is_some_and(|now| now == value);
        Ok(same.then_some((session, lease)))
    }

    /// The runs of a number come and go together, so the last segment stands for all.
    fn has_last_segment(&self, session: &Session) -> Result<bool> {
        let Some(last) = session.segments.checked_sub(1) else {
            return Ok(true);
        };
        let family = session.place.unwrap_or(Place::Small).family();
        let key = schema::segment_key(session.number, last);
        Ok(self.engine.db().cf_handle(&family).is_some()
            && self.engine.get(&family, &key)?.is_some())
    }

    fn forget_session(&self, session: &Session) -> Result<()> {
        self.engine.forget_session(session.id)?;
        self.engine.sync()?;
        let place = session.place.unwrap_or(Place::Small);
        let doomed = DoomedRecord { place, bytes: session.run_bytes };
        self.reaper.doom(Remains { number: session.number, doomed });
        Ok(())
    }
}

impl UploadStore for RocksStore {
    fn begin_upload(&self, upload: NewUpload) -> Result<BlobWriter> {
        let sink = RocksSink::begin(Arc::clone(&self.engine), &self.reaper, Some(upload))?;
        sink.save_empty(Digester::new(Algorithm::Sha256).save())?;
        Ok(BlobWriter::new(Box::new(sink), Arc::clone(&self.engine.segment_cache)))
    }

    fn resume_upload(&self, id: UploadId) -> Result<Option<BlobWriter>> {
        let Some((session, lease)) = self.at_rest(id)? else {
            return Ok(None);
        };
        let stored = session.segments * SEGMENT_BYTES as u64;
        let digester = Digester::restore(&session.hash).filter(|digester| {
            digester.size_bytes() == stored && session.tail.len() < SEGMENT_BYTES
        });
        let Some(digester) = digester else {
            tracing::error!(%id, "the record of an upload contradicts itself; it is forgotten");
            self.forget_session(&session)?;
            return Ok(None);
        };
        if !self.has_last_segment(&session)? {
            tracing::error!(%id, "the bytes of an upload are gone; it is forgotten");
            self.forget_session(&session)?;
            return Ok(None);
        }
        let sink = RocksSink::resume(Arc::clone(&self.engine), &self.reaper, lease, &session);
        let cache = Arc::clone(&self.engine.segment_cache);
        Ok(Some(BlobWriter::resumed(Box::new(sink), cache, digester, &session.tail)))
    }

    fn saved_uploads(&self) -> Result<Vec<SavedUpload>> {
        let sessions = recover::sessions(&self.engine)?.into_iter();
        let at_rest = sessions.filter(|session| !self.reaper.leases().is_held(session.number));
        Ok(at_rest
            .map(|session| SavedUpload {
                id: session.id,
                repo: session.repo,
                owner: session.owner,
                offset: session.hash.size_bytes + session.tail.len() as u64,
                saved_ms: session.saved_ms,
            })
            .collect())
    }

    fn forget_upload(&self, id: UploadId) -> Result<bool> {
        match self.at_rest(id)? {
            None => Ok(false),
            Some((session, _lease)) => self.forget_session(&session).map(|()| true),
        }
    }
}
