//! `wharf offer lint`.

use super::super::Context;
use super::super::given::{Given, published};
use super::super::inputs::Inputs;
use super::super::publish::{self, publish};
use super::diff;
use crate::cli::LintArgs;
use crate::exit::Exit;
use crate::marketplace::tree::ResourceTree;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::published::Published;
use crate::report::Report;
use crate::rules;

/// Runs the command.
pub(super) fn run(args: &LintArgs, context: &Context) -> anyhow::Result<Exit> {
    publish::check(&args.judge, context)?;
    let mut file = OfferFile::open(&args.offer)?;
    let state = published(args.judge.given.ledger.as_deref(), &mut file)?;
    let texts = Content::load(&file)?;
    let profile = args.judge.profile;
    let named = std::iter::once(args.offer.as_path());
    let mut given = Given::read(&args.judge.given, None, named, Some(&file))?;
    if let Some(tree) = &args.tree {
        let tree = ResourceTree::open(tree)?;
        let state = state.clone().unwrap_or_default();
        let compared = diff::evidence(&file, &texts, &tree, &state);
        given.evidence.tree = Some(compared);
    }
    given.evidence.published = state.map(|state| Published::of(state, &file, &texts));
    let judgement = rules::judge_offer(&file, &texts, &given.evidence, profile);
    let judgement = given.conclude(judgement, &[], true, profile);
    let report = Report::new(Vec::new(), judgement, args.judge.fail_on);
    let inputs = Inputs::of(&file).and(args.tree.as_deref());
    publish(&report, "offer lint", &args.judge, inputs, context)
}
