//! `wharf offer checklist`.

use std::path::Path;

use serde::Serialize;

use super::super::given::published;
use super::super::inputs::Inputs;
use super::super::{Context, write_file};
use crate::checklist::{Checklist, html, markdown};
use crate::cli::{ChecklistArgs, ChecklistFormat};
use crate::exit::Exit;
use crate::offer::OfferFile;
use crate::offer::content::Content;

/// The written files.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    output: &'a Path,
    fields: usize,
    by_hand: usize,
}

/// Runs the command.
pub(super) fn run(args: &ChecklistArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut file = OfferFile::open(&args.offer)?;
    published(args.ledger.as_deref(), &mut file)?;
    let texts = Content::load(&file)?;
    let checklist = Checklist::of(&file, &texts);
    let text = match args.format {
        ChecklistFormat::Markdown => markdown::write(&checklist),
        ChecklistFormat::Html => html::write(&checklist),
    };
    match &args.output {
        None => context.output.raw(&text)?,
        Some(path) => {
            write_file(path, &text, &Inputs::of(&file).and(args.ledger.as_deref()))?;
            let (fields, by_hand) = checklist.counts();
            let written = Written { output: path, fields, by_hand };
            context.output.note(&format!("wrote {}", path.display()));
            context.output.result("offer checklist", &written, |_| String::new())?;
        }
    }
    Ok(Exit::Ok)
}
