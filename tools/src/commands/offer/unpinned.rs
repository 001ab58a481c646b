//! Images of charts without a digest yet: an installation would fetch nothing.

use crate::chart::VALUES_FILE;
use crate::chart::images::ChartImage;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::Plan;

/// The messages about each of them, for these plans.
pub(super) fn unpinned<'a>(
    file: &OfferFile,
    content: &Content,
    plans: impl IntoIterator<Item = (usize, &'a Plan)>,
) -> Vec<String> {
    let mut said = Vec::new();
    for (place, plan) in plans {
        let Some(chart) = content.charts.get(&place) else { continue };
        for image in chart.images().iter().filter(|image| is_unpinned(image)) {
            said.push(format!(
                "{}: the image `{}` of the plan `{}` has no digest; run `wharf offer pin {}`",
                chart.path(VALUES_FILE).display(),
                image.name,
                plan.id,
                file.path().display()
            ));
        }
    }
    said
}

/// One with a tag instead is for the rules to judge; a digest of zeros only holds the place.
fn is_unpinned(image: &ChartImage) -> bool {
    match image.digest.as_deref().map(|digest| digest.split_once(':')) {
        None => image.tag.is_none(),
        Some(Some((_, hex))) => hex.bytes().all(|byte| byte == b'0'),
        Some(None) => false,
    }
}
