//! K8S-012 where plans share a chart: its values hold one image under a name, so two plans with
//! different images there cannot both be right.

use std::collections::BTreeMap;

use super::{Findings, OfferView};

/// Two plans of one chart with different images under one name.
pub(super) fn images(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let mut known = BTreeMap::new();
    for (place, plan, kind) in view.offer.kubernetes_plans() {
        let Some(chart) = view.content.charts.get(&place) else { continue };
        for made in &kind.images {
            let Some(name) = &made.name else { continue };
            let (image, key) = (&made.image, (&chart.folder, name.as_str()));
            let (first, of) = *known.entry(key).or_insert((image, &plan.id));
            if first.repository != image.repository || first.version != image.version {
                let message = format!(
                    "the plan `{of}` has the same chart, and its `{name}` is {} {}, not {} {}; give \
                     each plan a chart of its own, or the images two names",
                    first.repository, first.version, image.repository, image.version
                );
                judge.error(&made.key, message);
            }
        }
    }
}
