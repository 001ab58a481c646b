//! The offer of the tests in a second language, in a fixed form, with one text replaced.

use crate::offer::fixture::changed;

/// The texts, by the names of their keys; those of the plan have `plan.` before them.
const TEXTS: [(&str, &str); 10] = [
    ("language", "de-de"),
    ("title", "Tidepool Zwischenspeicher"),
    ("searchSummary", "Ein Zwischenspeicher, der sagt, wie es ihm geht."),
    ("shortDescription", "Ein Zwischenspeicher mit sicheren Vorgaben."),
    ("description", "This application is available only in German."),
    ("keywords", "Zwischenspeicher"),
    ("plan.language", "de-de"),
    ("plan.name", "Server auf Deutsch"),
    ("plan.summary", "Der Server."),
    ("plan.description", "<p>Was nur der Server hat.</p>"),
];

/// The offer in two languages; `to` stands in quotes, or as YAML with quotes of its own, where
/// `field` would have its text. A description keeps its required beginning.
pub(in crate::rules) fn translated(field: &str, to: &str) -> String {
    let value = |name: &str| {
        let known = TEXTS.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
        match to {
            _ if name != field => format!("\"{known}\""),
            to if name == "description" && to.starts_with('"') => {
                format!(
                    "\"This application is available only in German. {}",
                    &to.replacen('"', "", 1)
                )
            }
            to if to.starts_with('"') => to.to_owned(),
            to => format!("\"{to}\""),
        }
    };
    let listing = format!(
        "  translations:\n    - language: {}\n      title: {}\n      searchSummary: {}\n      \
         shortDescription: {}\n      description: {}\n      keywords: [{}]\nlegal:\n",
        value("language"),
        value("title"),
        value("searchSummary"),
        value("shortDescription"),
        value("description"),
        value("keywords"),
    );
    let plan = format!(
        "    translations:\n      - language: {}\n        name: {}\n        summary: {}\n        \
         description: {}\n    licence: byol",
        value("plan.language"),
        value("plan.name"),
        value("plan.summary"),
        value("plan.description"),
    );
    changed(&[("legal:\n", &listing), ("    licence: byol", &plan)])
}
