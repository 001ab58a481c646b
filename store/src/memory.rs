//! `MemoryStore`: the store without a disk, for tests. It passes the contract suite too.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use wharf_oci::{
    Digest, Digester, HashResult, HashState, Manifest, Referrer, RepoName, Tag, UploadId,
};

use crate::blob::{BlobReader, BlobStore, BlobWriter};
use crate::blob_info::BlobInfo;
use crate::journal::{Delivery, DeliveryStore, Errand, LastError};
use crate::limits::{HOT_BYTES_MAX, PAGE_ENTRIES_MAX, SEGMENT_BYTES};
use crate::lock::lock;
use crate::manifests::{ManifestStore, Page, StoredManifest, TagRecord};
use crate::parts::PartStore;
use crate::segment_cache::SegmentCache;
use crate::sessions::{NewUpload, SavedUpload, UploadStore};
use crate::sink::{PublishAs, Published, Sink};
use crate::source::Source;
use crate::{Result, StoreError};

/// Everything in maps; forgotten on drop.
#[derive(Clone, Default)]
pub struct MemoryStore {
    blobs: Arc<Mutex<BTreeMap<Digest, Segments>>>,
    names: Arc<Mutex<Repositories>>,
    uploads: Uploads,
}

type Segments = Arc<Mutex<Vec<Bytes>>>;

#[derive(Default)]
struct Repositories {
    repos: BTreeSet<RepoName>,
    manifests: BTreeMap<(RepoName, Digest), StoredManifest>,
    tags: BTreeMap<(RepoName, String), TagRecord>,
    links: BTreeSet<(RepoName, Digest)>,
    referrers: BTreeMap<(RepoName, Digest, Digest), Referrer>,
    deliveries: BTreeMap<(RepoName, Digest), Delivery>,
}

struct MemorySource(Segments);

/// An upload at rest.
struct UploadAtRest {
    upload: NewUpload,
    segments: Vec<Bytes>,
    hash: HashState,
    tail: Vec<u8>,
}

type Uploads = Arc<Mutex<BTreeMap<UploadId, UploadAtRest>>>;

struct MemorySink {
    segments: Segments,
    blobs: Arc<Mutex<BTreeMap<Digest, Segments>>>,
    names: Arc<Mutex<Repositories>>,
    uploads: Uploads,
    upload: Option<NewUpload>,
}

impl MemorySink {
    /// Forgets the upload.
    fn done(&self) {
        if let Some(upload) = &self.upload {
            lock(&self.uploads).remove(&upload.id);
        }
    }
}

impl Drop for MemorySink {
    fn drop(&mut self) {
        self.done();
    }
}

impl Source for MemorySource {
    fn read(&self, offset: u64) -> Result<Bytes> {
        let missing = || StoreError::Corrupt {
            operation: "reading",
            key: format!("byte {offset}"),
            reason: "it is missing".to_owned(),
        };
        let index = usize::try_from(offset / SEGMENT_BYTES as u64).map_err(|_| missing())?;
        let within = usize::try_from(offset % SEGMENT_BYTES as u64).map_err(|_| missing())?;
        let segment = lock(&self.0).get(index).cloned().ok_or_else(missing)?;
        if within > segment.len() {
            return Err(missing());
        }
        Ok(segment.slice(within..))
    }
}

impl Sink for MemorySink {
    fn put(&mut self, segment: Bytes) -> Result<()> {
        lock(&self.segments).push(segment);
        Ok(())
    }

    fn stored_segments(&self) -> u64 {
        lock(&self.segments).len() as u64
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(MemorySource(Arc::clone(&self.segments)))
    }

    fn publish(self: Box<Self>, hashed: HashResult, how: PublishAs<'_>) -> Result<Published> {
        self.done();
        let info = BlobInfo { digest: hashed.digest, size_bytes: hashed.size_bytes };
        // Blob and names change together; the lock of the names comes first.
        let mut names = lock(&self.names);
        lock(&self.blobs).entry(hashed.digest).or_insert(Arc::clone(&self.segments));
        match how {
            PublishAs::Retained(_, None) => {}
            PublishAs::Retained(_, Some(repo)) => names.link(repo, hashed.digest),
            PublishAs::Pending(errand) => names.owe(errand.of(info)),
        }
        Ok(Published { info, own: true })
    }

    fn suspend(&mut self, hash: HashState, tail: &[u8]) -> Result<()> {
        if let Some(upload) = self.upload.take() {
            let segments = lock(&self.segments).clone();
            let saved = UploadAtRest { upload, segments, hash, tail: tail.to_vec() };
            lock(&self.uploads).insert(saved.upload.id, saved);
        }
        Ok(())
    }
}

fn size_of(segments: &Segments) -> u64 {
    lock(segments).iter().map(|segment| segment.len() as u64).sum()
}

impl BlobStore for MemoryStore {
    fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>> {
        let size = lock(&self.blobs).get(digest).map(size_of);
        Ok(size.map(|size_bytes| BlobInfo { digest: *digest, size_bytes }))
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobReader>> {
        let Some(segments) = lock(&self.blobs).get(digest).cloned() else {
            return Ok(None);
        };
        let info = BlobInfo { digest: *digest, size_bytes: size_of(&segments) };
        Ok(Some(BlobReader::new(info, Arc::new(MemorySource(segments)))))
    }

    fn begin(&self) -> Result<BlobWriter> {
        Ok(BlobWriter::new(Box::new(self.sink(None, Vec::new())), segment_cache()))
    }

    fn remove(&self, digest: &Digest) -> Result<bool> {
        lock(&self.names).deliveries.retain(|(_, owed), _| owed != digest);
        Ok(lock(&self.blobs).remove(digest).is_some())
    }
}

impl Repositories {
    fn owe(&mut self, delivery: Delivery) {
        let key = (delivery.errand.repo.clone(), delivery.digest);
        self.link(&key.0, key.1);
        self.deliveries.insert(key, delivery);
    }

    fn link(&mut self, repo: &RepoName, digest: Digest) {
        self.repos.insert(repo.clone());
        self.links.insert((repo.clone(), digest));
    }

    fn owed(&mut self, delivery: &Delivery) -> Option<&mut Delivery> {
        let owed = self.deliveries.get_mut(&(delivery.errand.repo.clone(), delivery.digest))?;
        (owed.errand.id == delivery.errand.id).then_some(owed)
    }
}

impl DeliveryStore for MemoryStore {
    fn deliveries(&self) -> Result<Vec<Delivery>> {
        Ok(lock(&self.names).deliveries.values().cloned().collect())
    }

    fn owe(&self, digest: &Digest, errand: &Errand) -> Result<Option<Delivery>> {
        let delivery = self.stat(digest)?.map(|info| errand.of(info));
        if let Some(delivery) = &delivery {
            lock(&self.names).owe(delivery.clone());
        }
        Ok(delivery)
    }

    fn note_trouble(&self, delivery: &Delivery, trouble: &LastError) -> Result<bool> {
        let mut names = lock(&self.names);
        let owed = names.owed(delivery);
        Ok(owed.map(|owed| owed.trouble = Some(trouble.clone())).is_some())
    }

    fn delivered(&self, delivery: &Delivery) -> Result<bool> {
        let mut names = lock(&self.names);
        let key = (delivery.errand.repo.clone(), delivery.digest);
        let owed = names.owed(delivery).is_some();
        Ok(owed && names.deliveries.remove(&key).is_some())
    }

    fn settled_holders(&self, digest: &Digest) -> Result<Vec<RepoName>> {
        let names = lock(&self.names);
        let held = names.links.iter().filter(|link| link.1 == *digest);
        let settled = held.filter(|link| !names.deliveries.contains_key(link));
        Ok(settled.map(|(repo, _)| repo.clone()).collect())
    }
}

fn segment_cache() -> Arc<SegmentCache> {
    Arc::new(SegmentCache::new(HOT_BYTES_MAX))
}

impl MemoryStore {
    fn sink(&self, upload: Option<NewUpload>, segments: Vec<Bytes>) -> MemorySink {
        let segments = Arc::new(Mutex::new(segments));
        let (blobs, uploads) = (Arc::clone(&self.blobs), Arc::clone(&self.uploads));
        let names = Arc::clone(&self.names);
        MemorySink { segments, blobs, names, uploads, upload }
    }
}

impl PartStore for MemoryStore {}

/// A [`MemoryStore`] ends with the process, so only a suspended upload rests.
impl UploadStore for MemoryStore {
    fn begin_upload(&self, upload: NewUpload) -> Result<BlobWriter> {
        let sink = self.sink(Some(upload), Vec::new());
        Ok(BlobWriter::new(Box::new(sink), segment_cache()))
    }

    fn resume_upload(&self, id: UploadId) -> Result<Option<BlobWriter>> {
        let Some(saved) = lock(&self.uploads).remove(&id) else {
            return Ok(None);
        };
        let Some(digester) = Digester::restore(&saved.hash) else {
            return Ok(None);
        };
        let sink = self.sink(Some(saved.upload), saved.segments);
        Ok(Some(BlobWriter::resumed(Box::new(sink), segment_cache(), digester, &saved.tail)))
    }

    fn saved_uploads(&self) -> Result<Vec<SavedUpload>> {
        let uploads = lock(&self.uploads);
        let saved = uploads.iter().map(|(id, saved)| SavedUpload {
            id: *id,
            repo: saved.upload.repo.clone(),
            owner: saved.upload.owner.clone(),
            offset: saved.hash.size_bytes + saved.tail.len() as u64,
            saved_ms: 0,
        });
        Ok(saved.collect())
    }

    fn forget_upload(&self, id: UploadId) -> Result<bool> {
        Ok(lock(&self.uploads).remove(&id).is_some())
    }
}

impl ManifestStore for MemoryStore {
    fn manifest(&self, repo: &RepoName, digest: &Digest) -> Result<Option<StoredManifest>> {
        Ok(lock(&self.names).manifests.get(&(repo.clone(), *digest)).cloned())
    }

    fn put_manifest(
        &self,
        repo: &RepoName,
        manifest: &Manifest,
        digest: &Digest,
        tags: &[(Tag, TagRecord)],
    ) -> Result<()> {
        let mut names = lock(&self.names);
        names.repos.insert(repo.clone());
        let stored = StoredManifest {
            digest: *digest,
            media_type: manifest.media_type().clone(),
            bytes: manifest.bytes().clone(),
        };
        names.manifests.insert((repo.clone(), *digest), stored);
        if let Some(subject) = manifest.subject() {
            let key = (repo.clone(), subject.digest, *digest);
            names.referrers.insert(key, Referrer::of(manifest, digest));
        }
        for (tag, record) in tags {
            names.tags.insert((repo.clone(), tag.as_str().to_owned()), *record);
        }
        Ok(())
    }

    fn remove_manifest(&self, repo: &RepoName, digest: &Digest) -> Result<bool> {
        let mut names = lock(&self.names);
        names.tags.retain(|(of, _), record| of != repo || record.digest != *digest);
        names.referrers.retain(|(of, _, referrer), _| of != repo || referrer != digest);
        Ok(names.manifests.remove(&(repo.clone(), *digest)).is_some())
    }

    fn tag(&self, repo: &RepoName, tag: &Tag) -> Result<Option<TagRecord>> {
        Ok(lock(&self.names).tags.get(&(repo.clone(), tag.as_str().to_owned())).copied())
    }

    fn set_tag(&self, repo: &RepoName, tag: &Tag, record: TagRecord) -> Result<()> {
        let mut names = lock(&self.names);
        names.repos.insert(repo.clone());
        names.tags.insert((repo.clone(), tag.as_str().to_owned()), record);
        Ok(())
    }

    fn remove_tag(&self, repo: &RepoName, tag: &Tag) -> Result<bool> {
        Ok(lock(&self.names).tags.remove(&(repo.clone(), tag.as_str().to_owned())).is_some())
    }

    fn tags(&self, repo: &RepoName, last: Option<&str>, limit: usize) -> Result<Option<Page<Tag>>> {
        let names = lock(&self.names);
        if !names.repos.contains(repo) {
            return Ok(None);
        }
        let from = (repo.clone(), last.unwrap_or_default().to_owned());
        let range = names.tags.range((Bound::Excluded(from), Bound::Unbounded));
        let mut entries: Vec<Tag> = range
            .take_while(|((of, _), _)| of == repo)
            .take(limit.saturating_add(1))
            .filter_map(|((_, tag), _)| tag.parse().ok())
            .collect();
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Some(Page { entries, more }))
    }

    fn repos(&self, last: Option<&str>, limit: usize) -> Result<Page<RepoName>> {
        let names = lock(&self.names);
        let after = names.repos.iter().filter(|repo| last.is_none_or(|last| repo.as_str() > last));
        let mut entries: Vec<RepoName> = after.take(limit.saturating_add(1)).cloned().collect();
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Page { entries, more })
    }

    fn referrers(
        &self,
        repo: &RepoName,
        subject: &Digest,
        after: Option<&Digest>,
        bytes_max: usize,
    ) -> Result<Page<Referrer>> {
        let names = lock(&self.names);
        let found = names.referrers.iter().filter(|((of, to, by), _)| {
            of == repo && to == subject && after.is_none_or(|after| by > after)
        });
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (_, entry) in found {
            bytes += entry.json().len() + 1;
            if entries.len() >= PAGE_ENTRIES_MAX || bytes > bytes_max {
                return Ok(Page { entries, more: true });
            }
            entries.push(entry.clone());
        }
        Ok(Page { entries, more: false })
    }

    /// Reads every manifest; the store on disk has an index.
    fn parents(
        &self,
        repo: &RepoName,
        digest: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Digest>> {
        let names = lock(&self.names);
        let names_it = |stored: &StoredManifest| {
            let manifest = Manifest::read_outline(stored.bytes.clone(), Some(&stored.media_type));
            manifest.is_ok_and(|manifest| manifest.named().contains(digest))
        };
        let after = |by: &Digest| after.is_none_or(|after| by > after);
        let found = names
            .manifests
            .iter()
            .filter(|((of, by), stored)| of == repo && after(by) && names_it(stored));
        let mut entries: Vec<Digest> =
            found.map(|((_, by), _)| *by).take(limit.saturating_add(1)).collect();
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Page { entries, more })
    }

    fn link_blob(&self, repo: &RepoName, digest: &Digest) -> Result<()> {
        lock(&self.names).link(repo, *digest);
        Ok(())
    }

    fn link_if_here(&self, repo: &RepoName, digest: &Digest) -> Result<bool> {
        let mut names = lock(&self.names);
        if !lock(&self.blobs).contains_key(digest) {
            return Ok(false);
        }
        names.link(repo, *digest);
        Ok(true)
    }

    fn unlink_blob(&self, repo: &RepoName, digest: &Digest) -> Result<bool> {
        let mut names = lock(&self.names);
        let known = names.links.remove(&(repo.clone(), *digest));
        names.deliveries.remove(&(repo.clone(), *digest));
        if known && !names.links.iter().any(|(_, linked)| linked == digest) {
            lock(&self.blobs).remove(digest);
        }
        Ok(known)
    }

    fn has_blob(&self, repo: &RepoName, digest: &Digest) -> Result<bool> {
        Ok(lock(&self.names).links.contains(&(repo.clone(), *digest)))
    }
}
