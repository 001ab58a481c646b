//! A comparison in words: plain text for terminals, markdown for pages and pull requests. Both have
//! the same lines; each starts with `+`, `-` or `!`.
//!
//! Invariant: no value of an image can end its line, control a terminal, or become markup.

use std::fmt::Write as _;

use super::{
    BoundedList, FileChange, FileSummary, FilesDiff, ImageDiff, LayerSummary, LayersDiff,
    PackageChange, PackageChangeKind, PlatformDiff, PlatformSummary, ReleaseDiff, ValueChange,
};
use crate::output::{Paint, Style, visible};
use crate::rules::image::size;

/// Longest value in a line, in characters.
const VALUE_CHARS_MAX: usize = 200;

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Added,
    Removed,
    Changed,
    Note,
}

/// Lines under a heading.
struct Section {
    heading: String,
    lines: Vec<(Sign, String)>,
}

/// How a comparison is written.
#[derive(Debug, Clone, Copy)]
pub enum DiffForm {
    /// For a terminal.
    Text(Paint),
    /// For a page.
    Markdown,
}

/// Renders the comparison of two images.
#[must_use]
pub fn image(diff: &ImageDiff, form: DiffForm) -> String {
    let mut text = String::new();
    one_image(&mut text, diff, form);
    text
}

/// Renders the comparison of two releases.
#[must_use]
pub fn release(diff: &ReleaseDiff, form: DiffForm) -> String {
    let mut text = String::new();
    title(&mut text, &diff.before, &diff.after, form);
    let mut plans = Section { heading: "Plans".to_owned(), lines: Vec::new() };
    plans.lines.extend(diff.plans_removed.iter().map(|plan| (Sign::Removed, plan.clone())));
    plans.lines.extend(diff.plans_added.iter().map(|plan| (Sign::Added, plan.clone())));
    section(&mut text, &plans, form);
    for image in &diff.images {
        one_image(&mut text, image, form);
    }
    text
}

fn one_image(text: &mut String, diff: &ImageDiff, form: DiffForm) {
    if let Some(plan) = &diff.plan {
        heading(text, 2, &format!("plan {}", code(plan, form)), form);
    } else {
        title(text, &diff.before, &diff.after, form);
    }
    let notes = diff.not_compared.iter().map(|note| (Sign::Note, note.clone())).collect();
    section(text, &Section { heading: "Not compared".to_owned(), lines: notes }, form);
    let mut platforms = Section { heading: "Platforms".to_owned(), lines: Vec::new() };
    platforms.lines.extend(diff.platforms_removed.iter().map(|one| (Sign::Removed, summary(one))));
    platforms.lines.extend(diff.platforms_added.iter().map(|one| (Sign::Added, summary(one))));
    section(text, &platforms, form);
    for platform in &diff.platforms {
        one_platform(text, platform, form);
    }
}

fn summary(platform: &PlatformSummary) -> String {
    format!("{}  {}  {}", platform.platform, platform.digest, size(platform.stored_bytes))
}

fn one_platform(text: &mut String, diff: &PlatformDiff, form: DiffForm) {
    let (before, after) = (&diff.before, &diff.after);
    let name = if before.platform == after.platform {
        code(&after.platform, form)
    } else {
        format!("{} → {}", code(&before.platform, form), code(&after.platform, form))
    };
    if diff.is_equal() {
        heading(text, 3, &format!("{name}: equal ({})", before.digest), form);
        return;
    }
    heading(text, 3, &name, form);
    let mut lines = vec![(Sign::Removed, digest_line(before)), (Sign::Added, digest_line(after))];
    if says_nothing(diff) {
        let note = "what is compared is equal; they differ in times, order, history or annotations";
        lines.push((Sign::Note, note.to_owned()));
    }
    section(text, &Section { heading: "Manifest".to_owned(), lines }, form);
    for part in [
        configuration(&diff.configuration),
        layers(&diff.layers),
        diff.packages.as_ref().map_or_else(|| not_read("Packages"), packages),
        diff.files.as_ref().map_or_else(|| not_read("Files"), files),
    ] {
        section(text, &part, form);
    }
}

fn says_nothing(diff: &PlatformDiff) -> bool {
    diff.configuration.is_empty()
        && diff.packages.as_ref().is_none_or(BoundedList::is_empty)
        && diff.files.as_ref().is_some_and(|files| files.is_empty() && files.contents_unknown == 0)
}

fn digest_line(platform: &PlatformSummary) -> String {
    let unpacked = match platform.uncompressed_bytes {
        Some(bytes) => format!(", {} unpacked", size(bytes)),
        None => String::new(),
    };
    format!("{}  {}{unpacked}", platform.digest, size(platform.stored_bytes))
}

fn not_read(heading: &str) -> Section {
    let note = "not compared: a layer could not be read".to_owned();
    Section { heading: heading.to_owned(), lines: vec![(Sign::Note, note)] }
}

fn configuration(changes: &BoundedList<ValueChange>) -> Section {
    let mut lines = Vec::new();
    for ValueChange { key, before, after } in &changes.items {
        lines.push(match (before, after) {
            (Some(before), Some(after)) => {
                (Sign::Changed, format!("{key}: {} → {}", cut(before), cut(after)))
            }
            (Some(before), None) => (Sign::Removed, format!("{key}: {}", cut(before))),
            (None, after) => {
                (Sign::Added, format!("{key}: {}", cut(after.as_deref().unwrap_or_default())))
            }
        });
    }
    more(&mut lines, changes.left_out);
    Section { heading: "Configuration".to_owned(), lines }
}

fn layers(diff: &LayersDiff) -> Section {
    let LayersDiff { shared, shared_bytes, removed, added, added_bytes, recompressed } = diff;
    let mut lines = Vec::new();
    lines.extend(removed.items.iter().map(|layer| (Sign::Removed, layer_line(layer))));
    more(&mut lines, removed.left_out);
    lines.extend(added.items.iter().map(|layer| (Sign::Added, layer_line(layer))));
    more(&mut lines, added.left_out);
    for (before, after) in &recompressed.items {
        let sizes = format!("{} → {}", size(before.size_bytes), size(after.size_bytes));
        let line = format!("layer {} compressed anew: {sizes}", after.number);
        lines.push((Sign::Changed, line));
    }
    more(&mut lines, recompressed.left_out);
    let heading = format!(
        "Layers: {shared} shared ({}), {} to send",
        size(*shared_bytes),
        size(*added_bytes)
    );
    Section { heading, lines }
}

fn layer_line(layer: &LayerSummary) -> String {
    let made = layer.created_by.as_deref().map(cut).unwrap_or_default();
    let line =
        format!("layer {}  {}  {}  {made}", layer.number, layer.digest, size(layer.size_bytes));
    line.trim_end().to_owned()
}

fn packages(changes: &BoundedList<PackageChange>) -> Section {
    let mut lines = Vec::new();
    for PackageChange { manager, name, change, before, after } in &changes.items {
        let versions = [before.as_deref(), after.as_deref()].into_iter().flatten();
        let versions = versions.collect::<Vec<_>>().join(" → ");
        let sign = match change {
            PackageChangeKind::Added => Sign::Added,
            PackageChangeKind::Removed => Sign::Removed,
            _ => Sign::Changed,
        };
        let word = match sign {
            Sign::Changed => format!(" ({})", change.as_str()),
            _ => String::new(),
        };
        lines.push((sign, format!("{name}  {versions}  {}{word}", manager.as_str())));
    }
    more(&mut lines, changes.left_out);
    Section { heading: "Packages".to_owned(), lines }
}

fn files(diff: &FilesDiff) -> Section {
    let mut lines = Vec::new();
    lines.extend(diff.removed.items.iter().map(|file| (Sign::Removed, file_line(file))));
    more(&mut lines, diff.removed.left_out);
    lines.extend(diff.added.items.iter().map(|file| (Sign::Added, file_line(file))));
    more(&mut lines, diff.added.left_out);
    lines.extend(diff.changed.items.iter().map(|file| (Sign::Changed, change_line(file))));
    more(&mut lines, diff.changed.left_out);
    if diff.contents_unknown > 0 {
        let count = diff.contents_unknown;
        let note = format!("the content of {count} files of one size each was not compared");
        lines.push((Sign::Note, note));
    }
    let heading = format!(
        "Files: {} added ({}), {} removed ({}), {} changed",
        diff.added.total(),
        size(diff.added_bytes),
        diff.removed.total(),
        size(diff.removed_bytes),
        diff.changed.total()
    );
    Section { heading, lines }
}

fn file_line(file: &FileSummary) -> String {
    let FileSummary { path, kind, mode, owner, size_bytes, link } = file;
    match link {
        Some(link) => format!("{path} → {link}  {kind} {owner}"),
        None if *kind == "file" => format!("{path}  {mode} {owner} {}", size(*size_bytes)),
        None => format!("{path}  {kind} {mode} {owner}"),
    }
}

fn change_line(change: &FileChange) -> String {
    let (before, after) = (&change.before, &change.after);
    let mut parts = Vec::new();
    for what in &change.differs {
        parts.push(match *what {
            "kind" => format!("{} → {}", before.kind, after.kind),
            "mode" => format!("mode {} → {}", before.mode, after.mode),
            "owner" => format!("owner {} → {}", before.owner, after.owner),
            "size" => format!("{} → {}", size(before.size_bytes), size(after.size_bytes)),
            "link" => {
                let link = |file: &FileSummary| cut(file.link.as_deref().unwrap_or_default());
                format!("leads to {} → {}", link(before), link(after))
            }
            other => other.to_owned(),
        });
    }
    format!("{}  {}", after.path, parts.join(", "))
}

fn more(lines: &mut Vec<(Sign, String)>, left_out: usize) {
    if left_out > 0 {
        lines.push((Sign::Note, format!("… {left_out} more; --all lists them")));
    }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
    }
}

fn title(text: &mut String, before: &str, after: &str, form: DiffForm) {
    heading(text, 1, &format!("{} → {}", code(before, form), code(after, form)), form);
}

/// A word of a stranger in a heading.
fn code(word: &str, form: DiffForm) -> String {
    let word = visible(word);
    match form {
        DiffForm::Text(_) => word,
        // A code span ends at as many backticks as it starts with; spaces part it from its own.
        DiffForm::Markdown => {
            let longest = word.split(|c| c != '`').map(str::len).max().unwrap_or_default();
            let fence = "`".repeat(longest + 1);
            let pad = if longest > 0 { " " } else { "" };
            format!("{fence}{pad}{word}{pad}{fence}")
        }
    }
}

fn heading(text: &mut String, level: usize, words: &str, form: DiffForm) {
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = match form {
        DiffForm::Text(paint) => writeln!(text, "{}", paint.text(Style::Strong, words)),
        DiffForm::Markdown => writeln!(text, "{} {words}", "#".repeat(level)),
    };
}

fn section(text: &mut String, section: &Section, form: DiffForm) {
    if section.lines.is_empty() {
        return;
    }
    match form {
        DiffForm::Text(paint) => {
            let _ = writeln!(text, "  {}", section.heading);
            for (sign, line) in &section.lines {
                let (mark, style) = match sign {
                    Sign::Added => ("+ ", Style::Good),
                    Sign::Removed => ("- ", Style::Error),
                    Sign::Changed => ("! ", Style::Warning),
                    Sign::Note => ("  ", Style::Dim),
                };
                let line = paint.text(style, &format!("{mark}{}", visible(line)));
                let _ = writeln!(text, "    {line}");
            }
        }
        DiffForm::Markdown => {
            // No line can end the block: each starts with its own sign.
            let _ = writeln!(text, "\n**{}**\n\n```diff", section.heading);
            for (sign, line) in &section.lines {
                let mark = match sign {
                    Sign::Added => '+',
                    Sign::Removed => '-',
                    Sign::Changed => '!',
                    Sign::Note => '#',
                };
                let _ = writeln!(text, "{mark} {}", visible(line));
            }
            let _ = writeln!(text, "```");
        }
    }
}
