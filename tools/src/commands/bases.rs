//! The images the plans of an offer are made from: each source opened once, each plan's image
//! found in it.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Context as _;

use super::Context;
use super::targets::Opener;
use crate::bases::OpenBases;
use crate::offer::OfferFile;
use crate::offer::model::{ContainerConfig, MadeFrom, PlanImage};
use crate::output::visible;
use crate::source::Target;

/// Opens them. Layers in the layouts of `near` are not fetched later.
///
/// It waits for registries, so it is called outside of async code.
pub(super) fn open(
    file: &OfferFile,
    plans: &[&PlanImage],
    near: &Path,
    context: &Context,
) -> anyhow::Result<OpenBases> {
    let mut opener = Opener::of_offer(context, file);
    let mut bases = OpenBases::near(near);
    for plan in plans {
        for build in &plan.image.platforms {
            let Some((key, said)) = MadeFrom::of(&plan.image, build).named() else { continue };
            let what = || {
                let text = visible(&said.text);
                format!("plan {}, {}: `{key}: {text}`", plan.id, build.platform)
            };
            if !bases.has_source(said) {
                let target = Target::parse_in(file.folder(), OsStr::new(&said.text));
                let target = target.with_context(what)?;
                let source = opener.open(&target).with_context(what)?;
                bases.add_source(said, &target, source);
            }
            bases.add(&plan.id, &build.full_platform(), said).with_context(what)?;
        }
    }
    for note in bases.notes() {
        context.output.warning(&visible(note));
    }
    for plan in plans {
        if let Some(note) = rewritten(plan) {
            context.output.warning(&note);
        }
    }
    Ok(bases)
}

/// The changes to an adopted image, if any.
fn rewritten(plan: &PlanImage) -> Option<String> {
    let image = &plan.image;
    let is_adopted = |build| matches!(MadeFrom::of(image, build), MadeFrom::Adopt(_));
    let says = match (image.config == ContainerConfig::default(), image.annotations.is_empty()) {
        (true, true) => return None,
        (false, true) => "`config`",
        (true, false) => "`annotations`",
        (false, false) => "`config` and `annotations`",
    };
    image.platforms.iter().any(is_adopted).then(|| {
        format!(
            "plan {}: the offer says {says} of an adopted image, so its manifest is written anew and \
             has another digest; its layers keep theirs",
            plan.id
        )
    })
}
