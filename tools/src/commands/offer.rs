//! `wharf offer lint` and `wharf offer render`.

use std::path::Path;

use serde::Serialize;

use super::publish::{self, publish};
use super::{Context, given, variable, write_file, write_secret_file};
use crate::cli::{LintArgs, OfferCommand, RenderArgs};
use crate::exit::Exit;
use crate::marketplace::render::{Secrets, render};
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::report::Report;
use crate::rules;
use crate::rules::waiving::Waiving;

/// Runs the command.
pub fn run(command: &OfferCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        OfferCommand::Lint(args) => lint(args, context),
        OfferCommand::Render(args) => write_payload(args, context),
    }
}

fn lint(args: &LintArgs, context: &Context) -> anyhow::Result<Exit> {
    publish::check(&args.judge, context)?;
    given::check(&args.judge.given, None, std::iter::once(args.offer.as_path()))?;
    let file = OfferFile::open(&args.offer)?;
    let texts = Content::load(&file)?;
    let profile = args.judge.profile;
    let evidence = given::evidence(&args.judge.given, None, Some(&file))?;
    let mut judgement = rules::judge_offer(&file, &texts, &evidence, profile);
    if let Some(file) = &given::waivers(&args.judge.given)? {
        let waiving = Waiving { file, images: &[], now: evidence.now, profile };
        judgement = waiving.apply(judgement);
    }
    let report = Report::new(Vec::new(), judgement, args.judge.fail_on);
    publish(&report, "offer lint", &args.judge, context)
}

/// What was written where, when the payload itself does not go to stdout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    output: &'a Path,
    notes: &'a [String],
}

/// The payload is for another program: it is written as it is, without the envelope of results.
fn write_payload(args: &RenderArgs, context: &Context) -> anyhow::Result<Exit> {
    let file = OfferFile::open(&args.offer)?;
    let texts = Content::load(&file)?;
    let secrets =
        if args.with_secrets { Secrets::Resolve(&variable) } else { Secrets::Placeholders };
    let rendered = render(&file, &texts, &secrets)?;
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
