//! `wharf offer render`.

use std::path::Path;

use serde::Serialize;

use super::super::given::published;
use super::super::{Context, variable, write_file, write_secret_file};
use crate::cli::RenderArgs;
use crate::exit::Exit;
use crate::marketplace::render::live::Live;
use crate::marketplace::render::{Secrets, render};
use crate::offer::OfferFile;
use crate::offer::content::Content;

/// What was written where, when the payload itself does not go to stdout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    output: &'a Path,
    notes: &'a [String],
}

/// The payload is for another program: it is written as it is, without the envelope of results.
pub(super) fn run(args: &RenderArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut file = OfferFile::open(&args.offer)?;
    let published = published(args.ledger.as_deref(), &mut file)?.unwrap_or_default();
    let texts = Content::load(&file)?;
    let secrets =
        if args.with_secrets { Secrets::Resolve(&variable) } else { Secrets::Placeholders };
    let live = Live::default().with_published(&file, &published.state);
    let rendered = render(&file, &texts, &secrets, Some(&live))?;
    for note in &rendered.notes {
        context.output.warning(note);
    }
    let mut text = serde_json::to_string_pretty(&rendered.payload)?;
    text.push('\n');
    match &args.output {
        None => context.output.raw(&text)?,
        Some(path) => {
            let write = if args.with_secrets { write_secret_file } else { write_file };
            write(path, &text)?;
            let written = Written { output: path, notes: &rendered.notes };
            context.output.note(&format!("wrote {}", path.display()));
            context.output.result("offer render", &written, |_| String::new())?;
        }
    }
    Ok(Exit::Ok)
}
