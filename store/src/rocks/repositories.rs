//! `ManifestStore` of the store on disk: manifests, tags, links, referrers. Each write is one
//! synced batch.

use rocksdb::{Direction, IteratorMode, WriteBatch};
use wharf_oci::{Digest, Manifest, Referrer, RepoName, Tag};

use super::schema::{self, HOLDERS, LINKS, MANIFESTS, PARENTS, REPOS, TAGS};
use super::{RocksStore, blob_records, forget, journal, links, parents, referrers};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::manifests::{ManifestStore, Page, StoredManifest, TagRecord};
use crate::{Result, StoreError};

type Entry = (Box<[u8]>, Box<[u8]>);

impl RocksStore {
    /// Entries of a family with the prefix `prefix`, after `after`: at most one more than `limit`,
    /// so the caller knows whether the listing continues.
    fn scan(
        &self,
        family: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let handle = self.engine.family(family)?;
        let from = after.unwrap_or(prefix);
        let mode = IteratorMode::From(from, Direction::Forward);
        let mut entries = Vec::new();
        for entry in self.engine.db().iterator_cf(&handle, mode) {
            let (key, value) =
                entry.map_err(|error| StoreError::database("listing", family, error))?;
            if !key.starts_with(prefix) || entries.len() > limit {
                break;
            }
            if after != Some(&key) {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    /// Visits all entries with a prefix, in pages, so no scan holds more than one page.
    fn for_each(
        &self,
        family: &'static str,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let entries = self.scan(family, prefix, after.as_deref(), PAGE_ENTRIES_MAX)?;
            let more = entries.len() > PAGE_ENTRIES_MAX;
            for (key, value) in &entries {
                visit(key, value)?;
            }
            after = entries.into_iter().next_back().map(|(key, _)| key);
            if !more {
                return Ok(());
            }
        }
    }

    fn remember_repo(&self, batch: &mut WriteBatch, repo: &RepoName) -> Result<()> {
        links::remember_repo(&self.engine, batch, repo)
    }

    /// Writes a link, unless it exists. The caller holds the lock of the digest.
    fn write_link(&self, repo: &RepoName, digest: &Digest) -> Result<()> {
        let mut batch = WriteBatch::default();
        links::link_anew(&self.engine, &mut batch, repo, digest)?;
        if batch.is_empty() {
            return Ok(());
        }
        self.engine.write(batch, "linking", || format!("{repo}@{digest}"))
    }

    /// Deletes one key, durably; `false` when it was absent.
    fn remove_key(
        &self,
        family: &'static str,
        key: &[u8],
        name: impl Fn() -> String,
    ) -> Result<bool> {
        if self.engine.get(family, key)?.is_none() {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        batch.delete_cf(&self.engine.family(family)?, key);
        self.engine.write(batch, "removing", name)?;
        Ok(true)
    }
}

impl ManifestStore for RocksStore {
    fn manifest(&self, repo: &RepoName, digest: &Digest) -> Result<Option<StoredManifest>> {
        let Some(value) = self.engine.get(MANIFESTS, &schema::repo_digest_key(repo, digest))?
        else {
            return Ok(None);
        };
        let manifest = schema::decode_manifest(*digest, &value);
        manifest
            .map(Some)
            .ok_or_else(|| StoreError::undecodable("reading", format!("{repo}@{digest}")))
    }

    fn put_manifest(
        &self,
        repo: &RepoName,
        manifest: &Manifest,
        digest: &Digest,
        tags: &[(Tag, TagRecord)],
    ) -> Result<()> {
        let _changing = self.engine.changing(digest);
        let before = self.manifest(repo, digest).ok().flatten();
        let mut batch = WriteBatch::default();
        self.remember_repo(&mut batch, repo)?;
        let value = schema::encode_manifest(manifest.media_type(), manifest.bytes());
        batch.put_cf(&self.engine.family(MANIFESTS)?, schema::repo_digest_key(repo, digest), value);
        parents::note(&self.engine, &mut batch, repo, (manifest, digest), before)?;
        referrers::note(&self.engine, &mut batch, repo, (manifest, digest))?;
        let family = self.engine.family(TAGS)?;
        for (tag, record) in tags {
            let key = schema::tag_key(repo, tag.as_str());
            batch.put_cf(&family, key, schema::encode_tag(record));
        }
        self.engine.write(batch, "keeping", || format!("{repo}@{digest}"))
    }

    fn remove_manifest(&self, repo: &RepoName, digest: &Digest) -> Result<bool> {
        let _changing = self.engine.changing(digest);
        let Some(stored) = self.manifest(repo, digest)? else {
            return Ok(false);
        };
        let mut batch = WriteBatch::default();
        batch.delete_cf(&self.engine.family(MANIFESTS)?, schema::repo_digest_key(repo, digest));
        parents::forget(&self.engine, &mut batch, repo, &stored)?;
        if let Ok(manifest) = Manifest::read_outline(stored.bytes, Some(&stored.media_type)) {
            referrers::forget(&self.engine, &mut batch, repo, (&manifest, digest))?;
        }
        let family = self.engine.family(TAGS)?;
        self.for_each(TAGS, &schema::repo_prefix(repo), |key, value| {
            if schema::decode_tag(value).is_some_and(|record| record.digest == *digest) {
                batch.delete_cf(&family, key);
            }
            Ok(())
        })?;
        self.engine.write(batch, "removing", || format!("{repo}@{digest}"))?;
        Ok(true)
    }

    fn tag(&self, repo: &RepoName, tag: &Tag) -> Result<Option<TagRecord>> {
        match self.engine.get(TAGS, &schema::tag_key(repo, tag.as_str()))? {
            None => Ok(None),
            Some(value) => schema::decode_tag(&value)
                .map(Some)
                .ok_or_else(|| StoreError::undecodable("reading", format!("{repo}:{tag}"))),
        }
    }

    fn set_tag(&self, repo: &RepoName, tag: &Tag, record: TagRecord) -> Result<()> {
        let mut batch = WriteBatch::default();
        self.remember_repo(&mut batch, repo)?;
        let key = schema::tag_key(repo, tag.as_str());
        batch.put_cf(&self.engine.family(TAGS)?, key, schema::encode_tag(&record));
        self.engine.write(batch, "tagging", || format!("{repo}:{tag}"))
    }

    fn remove_tag(&self, repo: &RepoName, tag: &Tag) -> Result<bool> {
        self.remove_key(TAGS, &schema::tag_key(repo, tag.as_str()), || format!("{repo}:{tag}"))
    }

    fn tags(&self, repo: &RepoName, last: Option<&str>, limit: usize) -> Result<Option<Page<Tag>>> {
        if self.engine.get(REPOS, repo.as_str().as_bytes())?.is_none() {
            return Ok(None);
        }
        let limit = limit.min(PAGE_ENTRIES_MAX);
        let prefix = schema::repo_prefix(repo);
        let after = last.map(|last| schema::tag_key(repo, last));
        let entries = self.scan(TAGS, &prefix, after.as_deref(), limit)?;
        let more = entries.len() > limit;
        let tags = entries.iter().take(limit).map(|(key, _)| {
            key.get(prefix.len()..)
                .and_then(|tag| std::str::from_utf8(tag).ok()?.parse().ok())
                .ok_or_else(|| StoreError::undecodable("listing", format!("tags of {repo}")))
        });
        Ok(Some(Page { entries: tags.collect::<Result<_>>()?, more }))
    }

    fn repos(&self, last: Option<&str>, limit: usize) -> Result<Page<RepoName>> {
        let limit = limit.min(PAGE_ENTRIES_MAX);
        let entries = self.scan(REPOS, b"", last.map(str::as_bytes), limit)?;
        let more = entries.len() > limit;
        let repos = entries.iter().take(limit).map(|(key, _)| {
            std::str::from_utf8(key)
                .ok()
                .and_then(|name| name.parse().ok())
                .ok_or_else(|| StoreError::undecodable("listing", "repositories"))
        });
        Ok(Page { entries: repos.collect::<Result<_>>()?, more })
    }

    fn referrers(
        &self,
        repo: &RepoName,
        subject: &Digest,
        after: Option<&Digest>,
        bytes_max: usize,
    ) -> Result<Page<Referrer>> {
        referrers::page(&self.engine, repo, subject, after, bytes_max)
    }

    fn parents(
        &self,
        repo: &RepoName,
        digest: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Digest>> {
        let limit = limit.min(PAGE_ENTRIES_MAX);
        let prefix = schema::repo_digest_key(repo, digest);
        let after = after.map(|after| schema::parent_key(repo, digest, after));
        let entries = self.scan(PARENTS, &prefix, after.as_deref(), limit)?;
        let more = entries.len() > limit;
        let parents = entries.iter().take(limit).map(|(key, _)| {
            key.get(prefix.len()..).and_then(schema::decode_digest).ok_or_else(|| {
                StoreError::undecodable("listing", format!("what names {repo}@{digest}"))
            })
        });
        Ok(Page { entries: parents.collect::<Result<_>>()?, more })
    }

    fn link_blob(&self, repo: &RepoName, digest: &Digest) -> Result<()> {
        if self.has_blob(repo, digest)? {
            return Ok(());
        }
        let _changing = self.engine.changing(digest);
        self.write_link(repo, digest)
    }

    fn link_if_here(&self, repo: &RepoName, digest: &Digest) -> Result<bool> {
        let _changing = self.engine.changing(digest);
        if self.engine.blob_record(digest)?.is_none() {
            return Ok(false);
        }
        self.write_link(repo, digest)?;
        Ok(true)
    }

    fn unlink_blob(&self, repo: &RepoName, digest: &Digest) -> Result<bool> {
        let _changing = self.engine.changing(digest);
        if !self.has_blob(repo, digest)? {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        batch.delete_cf(&self.engine.family(LINKS)?, schema::repo_digest_key(repo, digest));
        batch.delete_cf(&self.engine.family(HOLDERS)?, schema::holder_key(digest, repo));
        let mut remains = None;
        if links::holders_of(&self.engine, digest)?.iter().all(|holder| holder == repo)
            && let Some(blob) = self.engine.blob_record(digest)?
        {
            blob_records::unpublish(&self.engine, &mut batch, digest, &blob)?;
            remains = Some(forget::doom(&self.engine, &mut batch, &blob)?);
            journal::complete_all(&self.engine, &mut batch, digest)?;
        } else {
            journal::complete(&self.engine, &mut batch, repo, digest)?;
        }
        self.engine.write(batch, "unlinking", || format!("{repo}@{digest}"))?;
        if let Some(remains) = remains {
            self.reaper.doom(remains);
        }
        Ok(true)
    }

    fn has_blob(&self, repo: &RepoName, digest: &Digest) -> Result<bool> {
        Ok(self.engine.get(LINKS, &schema::repo_digest_key(repo, digest))?.is_some())
    }
}
