//! The report for people: the subjects, the findings with their places, the verdict, and the
//! missing inputs.
//!
//! Invariant: texts of strangers go through [`visible`], and no line begins with one an agent
//! of CI would take for a command.

use std::fmt::Write as _;

use super::{Omission, Proof, Report, ReportPart, Verdict, Weight, changes_text, counted, short};
use crate::diff::text::DiffForm;
use crate::offer::excerpt::Excerpt;
use crate::offer::source_map::Spot;
use crate::output::{Paint, Style, Table, visible};
use crate::rules::image::size;
use crate::rules::{Finding, Place};

impl Report {
    /// The report for people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        if !self.images.is_empty() {
            text.push_str(&self.image_table(paint));
            text.push('\n');
        }
        let parts = self.parts();
        let found = parts.iter().filter(|part| !part.findings.is_empty());
        let alone = parts.len() == 1;
        for part in found {
            if !alone {
                let _ = writeln!(text, "{}\n", heading(part, paint));
            }
            // One rule's findings at one place are printed at once, with the place below them.
            for same in part.findings.chunk_by(|one, next| is_same_place(one, next)) {
                text.push_str(&findings_text(same, paint));
                text.push('\n');
            }
        }
        if let Some(changes) = &self.changes {
            text.push_str(&changes_text(changes, DiffForm::Text(paint)));
            text.push('\n');
        }
        for unread in &self.unread {
            let (target, error) = (visible(&unread.target), visible(&unread.error));
            let line = if error.contains(&target) { error } else { format!("{target}: {error}") };
            let label = paint.text(Style::Error, "not read:");
            let _ = writeln!(text, "{label} {}", paint.wrap(&line, 10));
        }
        text.push_str(&self.verdict_line(paint));
        for Omission { what, how, images, rules, .. } in &self.not_looked_at {
            let line = format!("not looked at: {what} ({})", rules.join(", "));
            let _ = writeln!(text, "{}", paint.wrap(&line, 15));
            for image in images {
                let _ = writeln!(text, "    {}  {}", dim(paint, "of:"), visible(image));
            }
            let line = paint.wrap(&format!("    fix: {how}"), 9);
            let _ = writeln!(text, "{}", line.replacen("fix:", &dim(paint, "fix:"), 1));
        }
        text
    }

    fn verdict_line(&self, paint: Paint) -> String {
        let verdict = self.verdict();
        let style = match verdict {
            Verdict::Passed => Style::Good,
            Verdict::NotProven => Style::Warning,
            Verdict::Failed => Style::Error,
        };
        format!(
            "{}: {} ({})\n",
            paint.text(style, verdict.as_str()),
            self.summary.words(),
            counted(self.summary.rules, "rule"),
        )
    }

    fn image_table(&self, paint: Paint) -> String {
        let mut table = Table::new(&["IMAGE", "PLATFORM", "DIGEST", "LAYERS", "SIZE", "INTACT"]);
        for image in &self.images {
            let intact = match image.proof {
                Proof::Proven => (Style::Good, "yes"),
                Proof::NotProven => (Style::Warning, "not proven"),
                Proof::Damaged => (Style::Error, "NO"),
            };
            // A terminal is for looking; texts to copy go to files and pipes.
            let name = |text: &str| if paint.is_narrow() { short(text) } else { text }.to_owned();
            table.styled_row([
                (Style::Plain, image.plan.clone().unwrap_or_else(|| image.location.clone())),
                (Style::Plain, name(&image.platform)),
                (Style::Plain, name(&image.digest)),
                (Style::Plain, image.layers.to_string()),
                (Style::Plain, size(image.stored_bytes)),
                (intact.0, intact.1.to_owned()),
            ]);
        }
        table.render(paint)
    }
}

/// The name of a part, and its numbers of findings.
fn heading(part: &ReportPart<'_>, paint: Paint) -> String {
    let (errors, warnings) = part.counts();
    let counts = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
    let name = format!("── {} ──", visible(&part.name));
    format!("{} {}", paint.text(Style::Strong, &name), dim(paint, &counts))
}

fn is_same_place(one: &Finding, other: &Finding) -> bool {
    one.rule == other.rule
        && Weight::of(one) == Weight::of(other)
        && one.place == other.place
        && one.waived == other.waived
        && one.fix == other.fix
}

/// `file:line:column: severity[ID]: what` of each, the line with the place marked, the place in the
/// image, and the fix.
fn findings_text(findings: &[&Finding], paint: Paint) -> String {
    let mut text = String::new();
    for finding in findings {
        let style = style(finding);
        let label = format!("{}[{}]", Weight::of(finding).as_str(), finding.rule);
        let head = format!("{}: {label}: {}", at(&finding.place), visible(&finding.message));
        let head = paint.wrap(&head, 4).replacen(&label, &paint.text(style, &label), 1);
        let _ = writeln!(text, "{head}");
    }
    if let Some(finding) = findings.first() {
        text.push_str(&below(finding, paint));
    }
    text
}

fn style(finding: &Finding) -> Style {
    match Weight::of(finding) {
        Weight::Error => Style::Error,
        Weight::NotProven | Weight::Warning => Style::Warning,
        Weight::Waived => Style::Dim,
    }
}

fn below(finding: &Finding, paint: Paint) -> String {
    let place = &finding.place;
    let mut text = String::new();
    let mut gutter = String::from("   ");
    if let (Some(line), Some(snippet)) = (place.line, &place.snippet) {
        let (column, width) = (place.column.unwrap_or(1), place.width.unwrap_or(1));
        let excerpt = Excerpt::new(snippet, Spot { line, column, width });
        gutter = excerpt.gutter();
        let _ = writeln!(text, "{}", excerpt.render(|marks| paint.text(style(finding), marks)));
    }
    for (name, value) in details(finding) {
        let indent = gutter.len() + name.len() + 5;
        let line = paint.wrap(&format!("{gutter} = {name}: {}", visible(&value)), indent);
        let bare = format!("= {name}:");
        let _ = writeln!(text, "{}", line.replacen(&bare, &dim(paint, &bare), 1));
    }
    text
}

/// The lines below a finding's line, by name.
fn details(finding: &Finding) -> Vec<(&'static str, String)> {
    let place = &finding.place;
    let mut details = Vec::new();
    if let Some(key) = place.key.as_ref().filter(|key| !key.is_empty()) {
        details.push(("at", key.clone()));
    }
    if let Some(image) = place.image.as_ref().filter(|_| place.key.is_some()) {
        details.push(("in", image.clone()));
    }
    if !place.platforms.is_empty() {
        details.push(("for", place.platforms.join(", ")));
    }
    if let Some(layer) = &place.layer {
        let digest = layer.digest.to_string();
        details.push(("layer", format!("{} ({})", layer.number, short(&digest))));
    }
    if let Some(path) = &place.path {
        details.push(("path", path.clone()));
    }
    details.push(match &finding.waived {
        Some(waived) => ("waived", waived.words()),
        None => ("fix", finding.fix.to_owned()),
    });
    details
}

/// The place as programs and editors read it: `file:line:column`.
fn at(place: &Place) -> String {
    let mut at = visible(&place.file.display().to_string());
    // GitHub takes a line with this beginning for a command.
    if at.trim_start().starts_with("::") {
        at.insert_str(0, "./");
    }
    for number in [place.line, place.column].into_iter().flatten() {
        let _ = write!(at, ":{number}");
    }
    at
}

fn dim(paint: Paint, text: &str) -> String {
    paint.text(Style::Dim, text)
}
