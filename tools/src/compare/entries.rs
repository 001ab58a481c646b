//! Reads the entries of a tar, one after another, with their headers as they stand there.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::ControlFlow;

use super::header::ComparedEntry;
use crate::image::tar_walk::{TarEntry, TarWalk, Visit};

/// How much is read at once: with it at most so many bytes of entries wait.
const BUFFER_BYTES: usize = 64 * 1024;

/// Entries and contents in their order.
enum Event {
    Entry(Box<ComparedEntry>),
    Content(Vec<u8>),
}

/// Reads the entries of one tar.
pub(super) struct TarEntries<R> {
    tar: R,
    walk: TarWalk,
    collect: Collect,
    buffer: Vec<u8>,
    /// How much of the first piece of content was looked at.
    looked: usize,
    read_bytes: u64,
    is_ended: bool,
}

/// The collected events of a walk.
#[derive(Default)]
struct Collect {
    events: VecDeque<Event>,
    /// Of the next entry.
    record: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
}

impl Visit for Collect {
    fn record(&mut self, record: &[u8]) {
        self.record = record.to_vec();
    }

    fn extension(&mut self, flag: u8, bytes: &[u8]) {
        self.extensions.push((flag, bytes.to_vec()));
    }

    fn entry(&mut self, walked: &TarEntry<'_>) -> ControlFlow<()> {
        let record = std::mem::take(&mut self.record);
        let extensions = std::mem::take(&mut self.extensions);
        self.events
            .push_back(Event::Entry(Box::new(ComparedEntry::new(walked, record, extensions))));
        ControlFlow::Continue(())
    }

    fn content(&mut self, bytes: &[u8]) {
        self.events.push_back(Event::Content(bytes.to_vec()));
    }
}

impl<R: Read> TarEntries<R> {
    pub(super) fn new(tar: R) -> Self {
        Self {
            tar,
            walk: TarWalk::new(),
            collect: Collect::default(),
            buffer: vec![0; BUFFER_BYTES],
            looked: 0,
            read_bytes: 0,
            is_ended: false,
        }
    }

    /// The next entry; the unread content of the last one is skipped.
    pub(super) fn entry(&mut self) -> io::Result<Option<ComparedEntry>> {
        loop {
            match self.collect.events.pop_front() {
                Some(Event::Entry(entry)) => return Ok(Some(*entry)),
                Some(Event::Content(_)) => self.looked = 0,
                None if self.is_ended => return Ok(None),
                None => self.read()?,
            }
        }
    }

    /// The next bytes of the last entry's content; empty at its end.
    pub(super) fn content(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.collect.events.front() {
                Some(Event::Content(bytes)) if self.looked >= bytes.len() => {
                    self.looked = 0;
                    self.collect.events.pop_front();
                }
                Some(_) => break,
                None if self.is_ended => break,
                None => self.read()?,
            }
        }
        match self.collect.events.front() {
            Some(Event::Content(bytes)) => Ok(bytes.get(self.looked..).unwrap_or_default()),
            _ => Ok(&[]),
        }
    }

    /// So many bytes of the content were looked at.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.looked += bytes;
    }

    /// How long the whole tar is; reads it to its end.
    pub(super) fn length(&mut self) -> io::Result<u64> {
        while !self.is_ended {
            self.read()?;
            self.collect.events.clear();
        }
        Ok(self.read_bytes)
    }

    fn read(&mut self) -> io::Result<()> {
        let length = self.tar.read(&mut self.buffer)?;
        if length == 0 {
            self.is_ended = true;
            return self.walk.finish().map_err(io::Error::other);
        }
        self.read_bytes += length as u64;
        let bytes = self.buffer.get(..length).unwrap_or_default();
        self.walk.show(bytes, &mut self.collect).map_err(io::Error::other)
    }
}
