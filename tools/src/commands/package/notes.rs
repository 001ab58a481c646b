//! Remarks about the inputs: each printed once, with all its places.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::commands::Context;
use crate::image::build::BuiltImage;
use crate::offer::model::PlanImage;
use crate::output::visible;

/// Most plans in a line.
const PLANS_MAX: usize = 3;

/// Most printed notes; the others are counted.
const NOTES_MAX: usize = 50;

/// The notes, in their order of arrival.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<ToldNote>);

/// A note, and where it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToldNote {
    /// The input of the layer, as the offer writes it.
    input: String,
    message: String,
    places: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    plan: String,
    platform: String,
    layer: usize,
}

impl Notes {
    pub(super) fn add(&mut self, plan: &PlanImage, built: &BuiltImage) {
        for platform in &built.platforms {
            for (layer, note) in &platform.notes {
                let (plan, platform) = (plan.id.to_string(), platform.platform.to_string());
                self.put(&note.input, &note.message, Place { plan, platform, layer: *layer });
            }
        }
    }

    fn put(&mut self, input: &str, message: &str, place: Place) {
        let same = |note: &&mut ToldNote| note.input == input && note.message == message;
        match self.0.iter_mut().find(same) {
            Some(note) => note.places.push(place),
            None => self.0.push(ToldNote {
                input: input.to_owned(),
                message: message.to_owned(),
                places: vec![place],
            }),
        }
    }

    /// Says them on stderr, and gives them back.
    pub(super) fn tell(self, context: &Context) -> Vec<ToldNote> {
        for note in self.0.iter().take(NOTES_MAX) {
            context.output.warning(&visible(&note.text()));
        }
        if let Some(more) = self.0.len().checked_sub(NOTES_MAX).filter(|more| *more > 0) {
            context.output.warning(&format!("{more} more; --output-format json has them all"));
        }
        self.0
    }
}

impl ToldNote {
    /// `plan a (linux/amd64, linux/arm64), layer 2: input: message`.
    fn text(&self) -> String {
        let mut plans: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut layers: Vec<String> = Vec::new();
        for place in &self.places {
            let platforms = plans.entry(&place.plan).or_default();
            if !platforms.contains(&place.platform.as_str()) {
                platforms.push(&place.platform);
            }
            let layer = place.layer.to_string();
            if !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        let named = plans.iter().take(PLANS_MAX);
        let named = named.map(|(plan, platforms)| format!("{plan} ({})", platforms.join(", ")));
        let mut text = named.collect::<Vec<_>>().join(", ");
        if plans.len() > PLANS_MAX {
            let _ = write!(text, " and {} more", plans.len() - PLANS_MAX);
        }
        let (plan, layer) = (plural("plan", plans.len()), plural("layer", layers.len()));
        let layers = layers.join(", ");
        format!("{plan} {text}, {layer} {layers}: {}: {}", self.input, self.message)
    }
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn what_holds_in_many_places_is_said_once() {
        let mut notes = Notes::default();
        for (plan, platform, layer) in
            [("a", "linux/amd64", 2), ("a", "linux/arm64", 2), ("b", "linux/amd64", 1)]
        {
            let place = Place { plan: plan.to_owned(), platform: platform.to_owned(), layer };
            notes.put("app", "is empty", place);
        }
        let place = Place { plan: "a".to_owned(), platform: "linux/amd64".to_owned(), layer: 2 };
        notes.put("app", "has no owner", place);
        assert_eq!(notes.0.len(), 2);
        let said =
            "plans a (linux/amd64, linux/arm64), b (linux/amd64), layers 2, 1: app: is empty";
        assert_eq!(notes.0[0].text(), said);
        assert_eq!(notes.0[1].text(), "plan a (linux/amd64), layer 2: app: has no owner");
    }
}
