//! `wharf package --check`: do the existing layouts equal a new build? Nothing is written.

use std::collections::BTreeMap;

use super::Run;
use super::outcome::{PackagedPlan, State};
use crate::compare::{self, Difference, ExpectedImage};
use crate::image::build::{Builder, BuiltImage, LayoutDestination};
use crate::offer::model::PlanImage;
use crate::source::Source;

pub(super) fn run(
    run: &mut Run<'_>,
    builder: &mut Builder<'_>,
) -> anyhow::Result<Vec<PackagedPlan>> {
    let there: Vec<&PlanImage> =
        run.plans.iter().copied().filter(|plan| run.place(plan).exists()).collect();
    let mut images = BTreeMap::new();
    builder.build_all(&there, LayoutDestination::Counted, &mut |plan, built| {
        images.insert(plan.id.clone(), built);
    })?;
    let mut checked = Vec::new();
    for plan in run.plans {
        let place = run.place(plan);
        let Some(built) = images.remove(&plan.id) else {
            checked.push(PackagedPlan::without_image(plan, place, State::Missing));
            continue;
        };
        if built.counted.is_at(&place) {
            checked.push(run.packaged(plan, &built, State::Same));
            continue;
        }
        let differences = differences(plan, &built, &place, builder)?;
        let packaged = run.packaged(plan, &built, State::Differs);
        checked.push(PackagedPlan { differences, ..packaged });
    }
    Ok(checked)
}

/// At least one: the place differs from a new build.
fn differences(
    plan: &PlanImage,
    built: &BuiltImage,
    place: &std::path::Path,
    builder: &mut Builder<'_>,
) -> anyhow::Result<Vec<Difference>> {
    let layout = match Source::open_path(place) {
        Ok(layout) => layout,
        Err(error) => {
            let reason = crate::commands::remote::one_line(&error);
            return Ok(vec![Difference::whole(None, reason)]);
        }
    };
    let rebuild = |platform, layer, out: &mut (dyn std::io::Write + Send)| {
        builder.write_layer(plan, platform, layer, out)
    };
    let wanted = ExpectedImage { image: built, rebuild: &rebuild };
    let mut found = compare::differences(&layout, &wanted)?;
    if found.is_empty() {
        found.push(match built.counted.damaged_at(place) {
            Some((digest, what)) => {
                let blob = built.roots.iter().find(|root| root.digest == digest);
                let kind = blob.and_then(|root| root.artifact_type.as_deref()).unwrap_or("blob");
                Difference::whole(Some(&format!("{kind} {}", digest.short())), what)
            }
            None => Difference::whole(Some("index.json"), "it is written otherwise"),
        });
    }
    Ok(found)
}
