//! `wharf offer lint`.

use super::super::Context;
use super::super::given::Given;
use super::super::publish::{self, publish};
use crate::cli::LintArgs;
use crate::exit::Exit;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::report::Report;
use crate::rules;

/// Runs the command.
pub(super) fn run(args: &LintArgs, context: &Context) -> anyhow::Result<Exit> {
    publish::check(&args.judge, context)?;
    let file = OfferFile::open(&args.offer)?;
    let texts = Content::load(&file)?;
    let profile = args.judge.profile;
    let named = std::iter::once(args.offer.as_path());
    let given = Given::read(&args.judge.given, None, named, Some(&file))?;
    let judgement = rules::judge_offer(&file, &texts, &given.evidence, profile);
    let judgement = given.conclude(judgement, &[], true, profile);
    let report = Report::new(Vec::new(), judgement, args.judge.fail_on);
    publish(&report, "offer lint", &args.judge, context)
}
