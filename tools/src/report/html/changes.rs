//! The changes since another release.

use maud::{Markup, html};

use crate::diff::{
    BoundedList, FileChange, FileSummary, FilesDiff, ImageDiff, LayersDiff, PackageChange,
    PlatformDiff, ReleaseDiff, ValueChange,
};
use crate::report::short;
use crate::rules::image::size;
use crate::shown::visible;

pub(super) fn section(diff: &ReleaseDiff) -> Markup {
    html! {
        section #changes {
            h2 { "What changed since " bdi { (visible(&diff.before)) } }
            @if diff.is_equal() { p { "Nothing: the manifests are the same." } }
            (names("Plans that came", &diff.plans_added))
            (names("Plans that went", &diff.plans_removed))
            @for image in &diff.images { (image_changes(image)) }
        }
    }
}

fn names(title: &str, names: &[String]) -> Markup {
    html! {
        @if !names.is_empty() {
            p { (title) ": " @for name in names { code { bdi { (visible(name)) } } " " } }
        }
    }
}

fn image_changes(diff: &ImageDiff) -> Markup {
    let name = diff.plan.as_ref().unwrap_or(&diff.after);
    html! {
        article.image {
            h3 { bdi { (visible(name)) } }
            @for note in &diff.not_compared { p.more { (visible(note)) } }
            @for (word, platforms) in
                [("came", &diff.platforms_added), ("went", &diff.platforms_removed)]
            {
                @for platform in platforms {
                    p { (visible(&platform.platform)) " " (word) " (" (size(platform.stored_bytes)) ")" }
                }
            }
            @for platform in &diff.platforms { (platform_changes(platform)) }
        }
    }
}

fn platform_changes(diff: &PlatformDiff) -> Markup {
    html! {
        h4 {
            (visible(&diff.after.platform)) " "
            span.dim { (grown(diff.before.stored_bytes, diff.after.stored_bytes)) }
        }
        @if diff.is_equal() {
            p { "The same manifest." }
        } @else {
            (values(&diff.configuration))
            (layers(&diff.layers))
            @match &diff.packages {
                Some(changes) => (packages(changes)),
                None => p.more { "Packages were not compared." },
            }
            @match &diff.files {
                Some(changes) => (files(changes)),
                None => p.more { "Files were not compared." },
            }
        }
    }
}

/// `12.0 MiB → 13.0 MiB (+1.0 MiB)`.
fn grown(before: u64, after: u64) -> String {
    let change = match after.cmp(&before) {
        std::cmp::Ordering::Equal => return size(after),
        std::cmp::Ordering::Less => format!("−{}", size(before - after)),
        std::cmp::Ordering::Greater => format!("+{}", size(after - before)),
    };
    format!("{} → {} ({change})", size(before), size(after))
}

fn values(changes: &BoundedList<ValueChange>) -> Markup {
    let shown = |value: &Option<String>| value.as_deref().map(visible);
    table("Configuration", changes, |change| {
        (visible(&change.key), shown(&change.before), shown(&change.after))
    })
}

fn packages(changes: &BoundedList<PackageChange>) -> Markup {
    let shown = |value: &Option<String>| value.as_deref().map(visible);
    table("Packages", changes, |change| {
        let name = format!("{} ({})", visible(&change.name), change.change.as_str());
        (name, shown(&change.before), shown(&change.after))
    })
}

fn layers(diff: &LayersDiff) -> Markup {
    html! {
        p {
            "Layers: " (diff.shared) " the same (" (size(diff.shared_bytes)) "), "
            (diff.removed.total()) " went, " (diff.added.total()) " came: "
            (size(diff.added_bytes)) " to send."
            @for layer in &diff.added.items {
                br; code { (layer.number) " " (short(&layer.digest.to_string())) } " "
                (size(layer.size_bytes))
                @if let Some(step) = &layer.created_by { " " code.dim { bdi { (visible(step)) } } }
            }
        }
    }
}

fn files(diff: &FilesDiff) -> Markup {
    let whole = |file: &FileSummary| format!("{} {}", file.mode, size(file.size_bytes));
    let added = |file: &FileSummary| (visible(&file.path), None, Some(whole(file)));
    let removed = |file: &FileSummary| (visible(&file.path), Some(whole(file)), None);
    let changed = |change: &FileChange| {
        let name = format!("{} ({})", visible(&change.after.path), change.differs.join(", "));
        (name, Some(whole(&change.before)), Some(whole(&change.after)))
    };
    html! {
        (table("Files that came", &diff.added, added))
        (table("Files that went", &diff.removed, removed))
        (table("Files that changed", &diff.changed, changed))
        @if diff.contents_unknown > 0 {
            p.more {
                "The content of " (diff.contents_unknown)
                " files that have the same size in both was not compared; `wharf diff` does that."
            }
        }
    }
}

/// A row: the subject, its value before, its value after.
type Row = (String, Option<String>, Option<String>);

fn table<T>(title: &str, list: &BoundedList<T>, row: impl Fn(&T) -> Row) -> Markup {
    html! {
        @if !list.is_empty() {
            details open[list.total() <= 12] {
                summary { (title) " " span.dim { (list.total()) } }
                div.scroll {
                    table.changes {
                        @for item in &list.items {
                            @let (name, before, after) = row(item);
                            tr {
                                td { code { bdi { (name) } } }
                                td.went { @if let Some(before) = before { bdi { (before) } } }
                                td.came { @if let Some(after) = after { bdi { (after) } } }
                            }
                        }
                    }
                }
                @if list.left_out > 0 { p.more { (list.left_out) " more." } }
            }
        }
    }
}
