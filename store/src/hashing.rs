//! Parallel hashing: another core hashes a segment while the disk writes it.
//!
//! Invariant: segments are hashed in the order of [`Hashing::push`], and [`Hashing::finished`]
//! covers all of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use wharf_oci::{Algorithm, Digester};

use crate::limits::{HASHING_SEGMENTS_MAX, HASHING_THREADS_MAX};

/// The hashes of one blob.
#[derive(Clone)]
pub(crate) struct Digesters {
    pub(crate) first: Digester,
    /// The other algorithm, on request.
    pub(crate) second: Option<Digester>,
}

impl Digesters {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.first.update(bytes);
        if let Some(second) = &mut self.second {
            second.update(bytes);
        }
    }

    /// The digester of this algorithm, if it runs.
    pub(crate) fn of(&self, algorithm: Algorithm) -> Option<&Digester> {
        let mut both = std::iter::once(&self.first).chain(&self.second);
        both.find(|digester| digester.algorithm() == algorithm)
    }
}

/// The running hash of a blob's segments.
pub(crate) struct Hashing {
    state: State,
    /// Segments for the next job, while a thread works on the last one.
    waiting: Vec<Bytes>,
}

enum State {
    Here(Box<Digesters>),
    Away(Receiver<Box<Digesters>>),
}

struct Job {
    digesters: Box<Digesters>,
    segments: Vec<Bytes>,
    back: SyncSender<Box<Digesters>>,
}

impl Hashing {
    pub(crate) fn new(digesters: Digesters) -> Self {
        Self { state: State::Here(Box::new(digesters)), waiting: Vec::new() }
    }

    /// Adds the next segment. Does not wait while a thread is free.
    pub(crate) fn push(&mut self, segment: Bytes) {
        self.waiting.push(segment);
        if let State::Away(back) = &self.state {
            // Waits for a busy thread only when the queue is full.
            let returned = if self.waiting.len() < HASHING_SEGMENTS_MAX {
                back.try_recv().ok()
            } else {
                Some(returned(back))
            };
            match returned {
                Some(digesters) => self.state = State::Here(digesters),
                None => return,
            }
        }
        self.start();
    }

    /// Waits for the hashes of all segments so far.
    pub(crate) fn finished(&mut self) -> &mut Digesters {
        if let State::Away(back) = &self.state {
            self.state = State::Here(returned(back));
        }
        match &mut self.state {
            State::Here(digesters) => {
                for segment in self.waiting.drain(..) {
                    digesters.update(&segment);
                }
                digesters
            }
            State::Away(_) => unreachable!("it came back just now"),
        }
    }

    /// Sends the queue to a free thread, or hashes here without one.
    fn start(&mut self) {
        let State::Here(digesters) = &mut self.state else {
            return;
        };
        if !THREADS.take_one() {
            for segment in self.waiting.drain(..) {
                digesters.update(&segment);
            }
            return;
        }
        let (back, coming) = sync_channel(1);
        let digesters = digesters.clone();
        let job = Job { digesters, segments: std::mem::take(&mut self.waiting), back };
        match THREADS.jobs.try_send(job) {
            Ok(()) => self.state = State::Away(coming),
            Err(refused) => {
                THREADS.free.fetch_add(1, Ordering::Relaxed);
                self.waiting = refused_job(refused).segments;
                self.finished();
            }
        }
    }
}

fn refused_job(refused: std::sync::mpsc::TrySendError<Job>) -> Job {
    match refused {
        std::sync::mpsc::TrySendError::Full(job)
        | std::sync::mpsc::TrySendError::Disconnected(job) => job,
    }
}

/// A hashing thread runs no code that can panic, so it always answers.
fn returned(back: &Receiver<Box<Digesters>>) -> Box<Digesters> {
    back.recv().expect("a hashing thread answers every job")
}

/// The hashing threads of the process.
struct Threads {
    jobs: SyncSender<Job>,
    free: Arc<AtomicUsize>,
}

static THREADS: LazyLock<Threads> = LazyLock::new(Threads::start);

impl Threads {
    /// One thread for each core up to a bound; without any, callers hash themselves.
    fn start() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (jobs, queue) = sync_channel(HASHING_THREADS_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let free = Arc::new(AtomicUsize::new(0));
        for _ in 0..cores.min(HASHING_THREADS_MAX) {
            let (queue, freed) = (Arc::clone(&queue), Arc::clone(&free));
            let thread = std::thread::Builder::new().name("hashing".to_owned());
            if thread.spawn(move || hash_all(&queue, &freed)).is_ok() {
                free.fetch_add(1, Ordering::Relaxed);
            }
        }
        Self { jobs, free }
    }

    fn take_one(&self) -> bool {
        let taken = self
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1));
        taken.is_ok()
    }
}

fn hash_all(queue: &Mutex<Receiver<Job>>, free: &AtomicUsize) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { mut digesters, segments, back }) = job else {
            return;
        };
        for segment in &segments {
            digesters.update(segment);
        }
        // Frees the bytes before the writer continues.
        drop(segments);
        free.fetch_add(1, Ordering::Relaxed);
        // A dropped writer needs no answer.
        let _ = back.try_send(digesters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_writers_get_the_hashes_of_their_own_segments_in_order() {
        std::thread::scope(|scope| {
            for writer in 0..6_u8 {
                scope.spawn(move || {
                    let mut hashing = Hashing::new(Digesters {
                        first: Digester::new(Algorithm::Sha256),
                        second: Some(Digester::new(Algorithm::Sha512)),
                    });
                    let mut whole = Vec::new();
                    for index in 0..100_u8 {
                        let segment = Bytes::from(vec![writer ^ index; 5_000 + usize::from(index)]);
                        whole.extend_from_slice(&segment);
                        hashing.push(segment);
                        if index % 30 == 29 {
                            let size = hashing.finished().first.size_bytes();
                            assert_eq!(size, whole.len() as u64);
                        }
                    }
                    let digesters = hashing.finished().clone();
                    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                        let hashed = digesters.of(algorithm).unwrap().clone().finish();
                        assert_eq!(hashed.digest, Digester::digest(algorithm, &whole));
                    }
                });
            }
        });
    }
}
