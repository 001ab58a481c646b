//! Makes layers beside one another: as many at once as there are threads to compress them, and
//! equal layers only once.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

use wharf_oci::Digest;

use super::built::LayerOrigin;
use crate::image::codec::Codec;
use crate::image::compress::{Compressed, Pool, Sink, Track};
use crate::image::known_blocks::{self, TrackedBlock};
use crate::image::layer::{LayerError, PreparedLayer};
use crate::image::layout_write::{LayerStaging, LayoutFolder, MadeLayer, WriteError};
use crate::image::progress::{Progress, ReportingWriter, tar_bytes};

/// Where an image goes.
#[derive(Debug, Clone, Copy)]
pub enum LayoutDestination<'a> {
    /// Into the layout with the plan's name.
    Folder(&'a LayoutFolder),
    /// Nowhere: only the digests and sizes are wanted, and nothing is written.
    Counted,
}

/// All the bytes of a layer follow from: layers of one run with the same recipe are the same.
#[derive(PartialEq)]
pub(super) struct Recipe {
    origin: Digest,
    codec: Codec,
}

impl Recipe {
    pub(super) const fn new(codec: Codec, prepared: &PreparedLayer) -> Self {
        Self { origin: prepared.origin().digest, codec }
    }
}

/// Where layers are made.
pub(super) enum Stage<'f> {
    /// In files, beside the layouts of this folder.
    Files {
        folder: &'f LayoutFolder,
        staging: LayerStaging,
        /// The blocks of the finished layers.
        kept: Mutex<Vec<(Digest, Vec<TrackedBlock>)>>,
    },
    /// Nowhere: only their digests and sizes are wanted.
    Nowhere,
}

impl<'f> Stage<'f> {
    pub(super) fn begin(destination: LayoutDestination<'f>) -> Result<Self, WriteError> {
        Ok(match destination {
            LayoutDestination::Folder(folder) => {
                let (staging, kept) = (LayerStaging::begin(folder)?, Mutex::default());
                Self::Files { folder, staging, kept }
            }
            LayoutDestination::Counted => Self::Nowhere,
        })
    }

    /// Once all layouts are in their places: records their blocks for the next run, and removes the
    /// records of layers no layout has any more.
    pub(super) fn record(&self) {
        if let Self::Files { folder, kept, .. } = self {
            for (layer, blocks) in kept.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                // Without the record the next run takes longer; a failure here is no reason to fail
                // the build.
                let _ = known_blocks::keep(folder.path(), &layer, &blocks);
            }
            known_blocks::tidy(folder.path());
        }
    }
}

/// The shared tools of layer making.
#[derive(Clone, Copy)]
struct Means<'e> {
    pool: &'e Pool<'e>,
    stage: &'e Stage<'e>,
    progress: &'e dyn Progress,
}

impl Means<'_> {
    fn make(
        self,
        number: usize,
        codec: Codec,
        layer: &PreparedLayer,
    ) -> Result<MadeLayer, LayerOrWrite> {
        let Self { pool, stage, progress } = self;
        let known = pool.known();
        let compress = |sink: Sink<'_>| -> Result<Compressed, LayerOrWrite> {
            pool.compress(codec, sink, |out| {
                layer.write(&mut ReportingWriter::new(out, progress)).map_err(LayerOrWrite::Layer)
            })
        };
        let Stage::Files { staging, kept, .. } = stage else {
            let compressed = compress(Sink::new(&mut io::sink()))?;
            return Ok(MadeLayer { compressed, path: None });
        };
        let path = staging.place(number);
        let failed = |source| WriteError::Write { path: path.clone(), source };
        let mut file = File::create(&path).map_err(failed)?;
        let mut track = Track::default();
        let compressed = compress(Sink { track: Some(&mut track), ..Sink::new(&mut file) })?;
        if let Some((known, same)) = known.zip(track.same_as) {
            fs::remove_file(&path).map_err(failed)?;
            known.link(same, &path).map_err(failed)?;
        } else {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push((compressed.digest, track.blocks));
        }
        Ok(MadeLayer { compressed, path: Some(path) })
    }
}

/// The layers of a run.
pub(super) struct Layers<'s, 'e> {
    scope: &'s Scope<'s, 'e>,
    means: Means<'e>,
    turns: Arc<Turns>,
    all: Vec<(Recipe, Making<'s>)>,
}

enum Making<'s> {
    Running(ScopedJoinHandle<'s, Result<MadeLayer, LayerOrWrite>>),
    Made(MadeLayer),
    Failed,
}

/// A layer under way, or finished.
pub(super) struct BegunLayer {
    /// The key for [`Layers::wait`].
    pub(super) ticket: usize,
    /// Whether it was begun for another.
    pub(super) origin: LayerOrigin,
}

impl<'s, 'e> Layers<'s, 'e> {
    pub(super) fn new(
        scope: &'s Scope<'s, 'e>,
        pool: &'e Pool<'e>,
        stage: &'e Stage<'e>,
        at_once: NonZeroUsize,
        progress: &'e dyn Progress,
    ) -> Self {
        let turns = Arc::new(Turns { left: Mutex::new(at_once.get()), freed: Condvar::new() });
        Self { scope, means: Means { pool, stage, progress }, turns, all: Vec::new() }
    }

    /// Begins a layer, once its turn has come, unless the same one was begun before.
    pub(super) fn begin(&mut self, recipe: Recipe, prepared: Arc<PreparedLayer>) -> BegunLayer {
        if let Some(ticket) = self.all.iter().position(|(known, _)| *known == recipe) {
            self.means.progress.spared(tar_bytes(prepared.files()));
            return BegunLayer { ticket, origin: LayerOrigin::Reused };
        }
        let ticket = self.all.len();
        let turn = Turns::take(&self.turns);
        let (means, codec) = (self.means, recipe.codec);
        let making = self.scope.spawn(move || {
            let _turn = turn;
            means.make(ticket, codec, &prepared)
        });
        self.all.push((recipe, Making::Running(making)));
        BegunLayer { ticket, origin: LayerOrigin::Made }
    }

    /// Waits until a layer is made. The first caller gets a failure.
    pub(super) fn wait(&mut self, ticket: usize) -> Result<&MadeLayer, LayerOrWrite> {
        let failed = || LayerOrWrite::from(io::Error::other("the layer failed before"));
        let (_, making) = self.all.get_mut(ticket).ok_or_else(failed)?;
        if let Making::Running(_) = making
            && let Making::Running(thread) = std::mem::replace(making, Making::Failed)
        {
            *making = Making::Made(joined(thread.join())?);
        }
        match making {
            Making::Made(layer) => Ok(layer),
            Making::Running(_) | Making::Failed => Err(failed()),
        }
    }
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How many layers may be made at once.
struct Turns {
    left: Mutex<usize>,
    freed: Condvar,
}

/// Given back when it is dropped.
struct Turn(Arc<Turns>);

impl Turns {
    fn take(turns: &Arc<Self>) -> Turn {
        let left = turns.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = turns.freed.wait_while(left, |left| *left == 0);
        *left.unwrap_or_else(PoisonError::into_inner) -= 1;
        Turn(Arc::clone(turns))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// The failures of layer making.
pub(super) enum LayerOrWrite {
    Layer(LayerError),
    Write(WriteError),
}

impl From<io::Error> for LayerOrWrite {
    fn from(error: io::Error) -> Self {
        Self::Layer(LayerError::Write(error))
    }
}

impl From<WriteError> for LayerOrWrite {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}
