//! `wharf offer schema`.

use std::path::Path;

use serde::Serialize;

use super::super::inputs::Inputs;
use super::super::{Context, write_file};
use crate::cli::{SchemaArgs, SchemaFormat};
use crate::exit::Exit;
use crate::offer::reference::reference;
use crate::offer::schema::schema;

/// The written file, when the text itself does not go to stdout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    output: &'a Path,
}

/// The text is for another program or a page: it is written as it is, without the envelope of results.
pub(super) fn run(args: &SchemaArgs, context: &Context) -> anyhow::Result<Exit> {
    let schema = schema();
    let text = match args.format {
        SchemaFormat::Json => format!("{}\n", serde_json::to_string_pretty(&schema)?),
        SchemaFormat::Markdown => reference(&schema),
    };
    match &args.output {
        None => context.output.raw(&text)?,
        Some(path) => {
            write_file(path, &text, &Inputs::none())?;
            context.output.note(&format!("wrote {}", path.display()));
            context.output.result("offer schema", &Written { output: path }, |_| String::new())?;
        }
    }
    Ok(Exit::Ok)
}
