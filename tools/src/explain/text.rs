//! The shared layers and the costs of plans, for a terminal: a table, and a bar for each push.

use std::fmt::Write as _;

use super::{Before, Cost, Explanation, PlanCost};
use crate::output::{Paint, Style, Table, visible};
use crate::rules::image::size;

/// How wide bars are where nothing says how wide lines are, and at least.
const BAR_COLUMNS: usize = 48;
const BAR_COLUMNS_MIN: usize = 12;

/// Most shared layers in the list.
const LAYERS_MAX: usize = 20;

/// The characters of bars: sent, mounted, there.
const BLOCKS: [char; 3] = ['█', '▒', '·'];
const ASCII: [char; 3] = ['#', '+', '.'];

/// The whole text.
#[must_use]
pub fn text(explained: &Explanation, paint: Paint) -> String {
    let mut text = String::new();
    let heading = |text: &str| format!("\n{}\n", paint.text(Style::Strong, text));
    text.push_str(&heading("What plans share and cost"));
    text.push_str(&table(explained).render(paint));
    let (together, apart) = (size(explained.together_bytes), size(explained.apart_bytes));
    let said = format!("In one registry all plans take {together}; each alone they take {apart}.");
    let _ = writeln!(text, "{}", paint.wrap(&said, 0));
    let _ = writeln!(text, "{}", paint.wrap(&since(explained), 0));
    if !explained.shared_layers.is_empty() {
        text.push_str(&heading("Layers of several plans"));
        text.push_str(&shared(explained, paint));
    }
    text.push_str(&heading("What is sent"));
    text.push_str(&bars(explained, paint));
    text
}

fn table(explained: &Explanation) -> Table {
    let mut table = Table::new(&[
        "PLAN",
        "SIZE",
        "LAYERS",
        "SHARED",
        "ATTESTATIONS",
        "FIRST PUSH",
        "REQUESTS",
        "UPDATE",
        "REQUESTS",
    ]);
    for plan in &explained.plans {
        let update = plan.update.map(|update| update.cost);
        let told = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            plan.plan.clone(),
            size(plan.bytes),
            plan.layers.len().to_string(),
            match plan.shared_layers {
                0 => "-".to_owned(),
                count => format!("{count}, {}", size(plan.shared_bytes)),
            },
            match plan.attestations.count {
                0 => "-".to_owned(),
                count => format!("{count}, {}", size(plan.attestations.bytes)),
            },
            size(plan.first_push.sent_bytes),
            plan.first_push.requests.to_string(),
            told(update.map(|cost| size(cost.sent_bytes))),
            told(update.map(|cost| cost.requests.to_string())),
        ]);
    }
    table
}

/// The base of an update.
fn since(explained: &Explanation) -> String {
    let any = |which: Before| {
        explained.plans.iter().any(|plan| plan.update.is_some_and(|update| update.since == which))
    };
    let from = match (any(Before::InPlace), any(Before::Previous)) {
        (false, false) => {
            return "No other layout was there before, so there is no update.".to_owned();
        }
        (true, false) => "the layout that was in its place",
        (false, true) => "the layout before the one in place",
        (true, true) => "the layout that was in its place; for unchanged plans, the one before it",
    };
    format!(
        "An update goes to a registry that has {from}. Requests are without logins and attestations, \
         which go along whenever an image changes."
    )
}

fn shared(explained: &Explanation, paint: Paint) -> String {
    let mut table = Table::new(&["LAYER", "SIZE", "PLANS"]);
    for layer in explained.shared_layers.iter().take(LAYERS_MAX) {
        table.row([layer.source.clone(), size(layer.bytes), layer.plans.join(", ")]);
    }
    let mut text = table.render(paint);
    if let Some(more) = explained.shared_layers.len().checked_sub(LAYERS_MAX + 1) {
        let _ = writeln!(text, "and {} more", more + 1);
    }
    text
}

pub(super) fn bars(explained: &Explanation, paint: Paint) -> String {
    let signs = if paint.is_ascii() { ASCII } else { BLOCKS };
    let longest = |text: &PlanCost| text.plan.chars().count();
    let names = explained.plans.iter().map(longest).max().unwrap_or_default();
    let labels = names + 2 + "first".len() + 2;
    let room = paint.width().map_or(BAR_COLUMNS, |width| width.saturating_sub(labels + 1));
    let columns = room.clamp(BAR_COLUMNS_MIN, 2 * BAR_COLUMNS);
    let most = explained.plans.iter().map(|plan| plan.bytes).max().unwrap_or_default().max(1);
    let mut text = String::new();
    for plan in &explained.plans {
        let updates = plan.update.map(|update| ("update", update.cost));
        let name = visible(&plan.plan);
        for (place, (label, cost)) in
            [("first", plan.first_push)].into_iter().chain(updates).enumerate()
        {
            let name = if place == 0 { name.as_str() } else { "" };
            let bar = bar(&cost, most, columns, signs, paint);
            let _ = writeln!(text, "{name:names$}  {label:6} {bar}");
        }
    }
    let [sent, mounted, there] = signs;
    let legend = format!(
        "{sent} sent   {mounted} taken from another plan by the registry   {there} there before"
    );
    let _ = writeln!(text, "{}", paint.wrap(&legend, 0));
    text
}

/// Even one byte has a column.
fn bar(cost: &Cost, most: u64, columns: usize, signs: [char; 3], paint: Paint) -> String {
    let parts = [cost.sent_bytes, cost.mounted_bytes, cost.there_bytes];
    let styles = [Style::Strong, Style::Plain, Style::Dim];
    let mut text = String::new();
    for ((bytes, sign), style) in parts.into_iter().zip(signs).zip(styles) {
        let columns = columns as u128;
        let length = (u128::from(bytes) * columns).div_ceil(u128::from(most)).min(columns);
        let length = usize::try_from(length).unwrap_or_default();
        if length > 0 {
            text.push_str(&paint.text(style, &sign.to_string().repeat(length)));
        }
    }
    text
}
