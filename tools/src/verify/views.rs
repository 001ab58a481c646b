//! The merged files of each platform, and the layers' effects on one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_oci::{Descriptor, Digest};

use super::layers::CheckedLayer;
use super::room::ReadBudget;
use crate::image::facts::{EngineRefusal, Fault, FaultKind};
use crate::image::files::{FileView, LayerFiles, Oddity, OddityKind, shown};

/// How many oddities of one image are named.
const NAMED_MAX: usize = 100;

/// Makes the views of one source's platforms.
pub(super) struct Views<'a> {
    room: &'a ReadBudget,
    checked: &'a BTreeMap<Digest, CheckedLayer>,
    /// Platforms with the same layers share their view.
    known: Vec<(Vec<Digest>, Arc<FileView>)>,
}

impl<'a> Views<'a> {
    pub(super) const fn new(
        room: &'a ReadBudget,
        checked: &'a BTreeMap<Digest, CheckedLayer>,
    ) -> Self {
        Self { room, checked, known: Vec::new() }
    }

    /// A container's view of these layers.
    pub(super) fn of(&mut self, layers: &[Descriptor]) -> Arc<FileView> {
        let digests: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
        if let Some((_, view)) = self.known.iter().find(|(known, _)| *known == digests) {
            return Arc::clone(view);
        }
        let files = |digest: &Digest| match self.checked.get(digest) {
            Some(layer) => Arc::clone(&layer.files),
            None => Arc::new(LayerFiles::unread()),
        };
        let layers: Vec<Arc<LayerFiles>> = digests.iter().map(files).collect();
        let view = if self.room.take(FileView::held_bytes(&layers)) {
            FileView::merge(&layers)
        } else {
            FileView::unread(&layers)
        };
        let view = Arc::new(view);
        self.known.push((digests, Arc::clone(&view)));
        view
    }
}

/// Reports the entries engines unpack differently.
pub(super) fn look(view: &FileView, layers: &[Descriptor], faults: &mut Vec<Fault>) {
    // Replacements by an upper layer are judged by their weight in another rule (IMG-047).
    let odd = view.oddities().iter();
    let odd = odd.filter(|oddity| !matches!(oddity.kind, OddityKind::ThroughLink(_)));
    for oddity in odd.take(NAMED_MAX) {
        let Some(layer) = layers.get(oddity.layer) else { continue };
        faults.push(Fault {
            digest: layer.digest,
            kind: FaultKind::Entry(EngineRefusal::None),
            path: Some(shown(&oddity.path)),
            message: explain(oddity),
        });
    }
}

fn explain(oddity: &Oddity) -> String {
    let path = shown(&oddity.path);
    match oddity.kind {
        OddityKind::Ghost => format!(
            "the whiteout of `{path}` hides nothing, in a folder that no other layer has: its name \
             is listed, and nothing is there"
        ),
        OddityKind::Revived => format!(
            "the folder `{path}` is written anew after its whiteout, and docker, podman and \
             containerd bring back what lower layers have in it; write an opaque marker instead"
        ),
        OddityKind::ThroughLink(_) => String::new(),
    }
}
