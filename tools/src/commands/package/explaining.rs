//! `wharf package --explain`: the content of each plan's place before, and its fate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::explain::{
    Attestations, Before, ExplainedPlan, Explanation, PlanContent, content_of_counted,
    content_of_layout, explain,
};
use crate::image::build::BuiltImage;
use crate::offer::model::PlanImage;
use crate::source::Source;

use super::outcome::State;

/// The folder for notes about replaced layouts, in the output folder: beside the cache, and
/// disposable like it.
const REPLACED: &str = ".wharf/replaced";

/// Largest note.
const NOTE_BYTES_MAX: u64 = 4 << 20;

/// The facts about the plans so far.
#[derive(Debug)]
pub(super) struct Explaining<'a> {
    output: &'a Path,
    plans: Vec<ExplainedPlan>,
}

/// The content of the layout in a place.
pub(super) fn at(place: &Path) -> Option<PlanContent> {
    let layout = place.exists().then(|| Source::open_path(place).ok()).flatten()?;
    Some(content_of_layout(&layout)).filter(|content| !content.parts.is_empty())
}

impl<'a> Explaining<'a> {
    pub(super) const fn new(output: &'a Path) -> Self {
        Self { output, plans: Vec::new() }
    }

    /// A plan was made or counted; `before` was in its place.
    pub(super) fn add(
        &mut self,
        plan: &PlanImage,
        built: &BuiltImage,
        state: State,
        before: Option<PlanContent>,
    ) {
        let place = self.output.join(plan.id.as_str());
        let content = match state {
            State::WouldCreate | State::WouldReplace => {
                content_of_counted(&built.roots, &built.counted.small)
            }
            _ => at(&place).unwrap_or_default(),
        };
        let layers = built.platforms.iter().flat_map(|platform| &platform.layers);
        let sources: BTreeMap<_, _> =
            layers.map(|layer| (layer.descriptor.digest, layer.source.clone())).collect();
        let before = match state {
            State::Unchanged => self.noted(plan).map(|content| (Before::Previous, content)),
            _ => before.map(|content| (Before::InPlace, content)),
        };
        let said = &built.referrers;
        let bytes = said.iter().map(|at| at.descriptor.size.saturating_add(at.content_bytes));
        let bytes = bytes.fold(0, u64::saturating_add);
        self.plans.push(ExplainedPlan {
            attestations: Attestations { count: said.len(), bytes },
            plan: plan.id.to_string(),
            repository: plan.image.repository.to_string(),
            content,
            sources,
            before,
        });
    }

    pub(super) fn explain(&self) -> Explanation {
        explain(&self.plans)
    }

    /// The predecessor of the layout in place.
    fn noted(&self, plan: &PlanImage) -> Option<PlanContent> {
        let path = note_path(self.output, plan);
        let is_small = fs::symlink_metadata(&path)
            .is_ok_and(|found| found.is_file() && found.len() <= NOTE_BYTES_MAX);
        let bytes = is_small.then(|| fs::read(&path).ok()).flatten()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Notes the replaced layout. Without the note only an explanation is shorter, so a failure of it
/// is none of the command.
pub(super) fn note(output: &Path, plan: &PlanImage, replaced: &PlanContent) {
    let path = note_path(output, plan);
    let Ok(text) = serde_json::to_string(replaced) else { return };
    if let Some(folder) = path.parent() {
        let _ = fs::create_dir_all(folder);
    }
    let _ = crate::output_file::write(&path, &text, 0o666);
}

fn note_path(output: &Path, plan: &PlanImage) -> PathBuf {
    output.join(REPLACED).join(format!("{}.json", plan.id))
}
