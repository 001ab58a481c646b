//! `wharf offer record`: adds submissions and withdrawals to the publisher's ledger.

mod digests;
mod of_tree;
mod withdrawing;

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::super::Context;
use crate::cli::{RecordArgs, RecordTarget};
use crate::exit::Exit;
use crate::marketplace::tree::ResourceTree;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::KubernetesPlan;
use crate::output::{Paint, Style, Table, visible};
use crate::published::{
    self, Contradiction, ContradictionTopic, LEDGER_NAME, LedgerState, PublishedError,
    PublishedFile, Record, RecordedKind, Submission, SubmissionTarget, contradictions,
};
use crate::{clock, input};
use wharf_oci::Timestamp;

/// The result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    ledger: PathBuf,
    dry_run: bool,
    /// The written or planned records; empty after a refusal.
    records: Vec<Record>,
    /// Plans whose state the ledger has already.
    unchanged: Vec<String>,
    /// The refusals by the ledger.
    refused: Vec<Told>,
    warnings: Vec<Told>,
}

/// A contradiction as it is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    message: String,
}

/// Why nothing is appended.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Ledger(#[from] PublishedError),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
    /// The refusal, reported already.
    #[error("the ledger says otherwise")]
    Refused(Box<Decision>),
}

/// The records to append, with the report about them.
#[derive(Debug, Default)]
struct Decision {
    records: Vec<Record>,
    unchanged: Vec<String>,
    contradictions: Vec<Contradiction>,
}

/// Runs the command.
pub(super) fn run(args: &RecordArgs, context: &Context) -> anyhow::Result<Exit> {
    let file = OfferFile::open(&args.offer)?;
    let path = args.ledger.clone().unwrap_or_else(|| file.folder().join(LEDGER_NAME));
    let tree = args.tree.as_deref().map(ResourceTree::open).transpose()?;
    let time = args.time.unwrap_or_else(clock::now);
    let texts = content(&file)?;
    let asked = Asked { args, file: &file, content: &texts, tree: tree.as_ref(), time };
    let decide = |records: &[Record]| asked.decide(records);
    let done = if args.dry_run {
        known(&path).map_err(Stop::from).and_then(|known| decide(&known))
    } else {
        append(&path, decide)
    };
    let (decision, is_refused) = match done {
        Ok(decision) => (decision, false),
        Err(Stop::Refused(decision)) => (*decision, true),
        Err(Stop::Ledger(error)) => return Err(error.into()),
        Err(Stop::Other(error)) => return Err(error),
    };
    let recorded = told(decision, path, args.dry_run, is_refused);
    context.output.result("offer record", &recorded, |paint| text(&recorded, paint))?;
    Ok(if is_refused { Exit::Findings } else { Exit::Ok })
}

/// The records of a ledger; none where it would be made.
fn known(path: &std::path::Path) -> Result<Vec<Record>, PublishedError> {
    if path.exists() { Ok(PublishedFile::open(path)?.records().to_vec()) } else { Ok(Vec::new()) }
}

/// The files of the offer, where a bundle needs the version of its manifest; no other file is
/// recorded, so a missing one must not stop the command.
fn content(file: &OfferFile) -> anyhow::Result<Content> {
    let is_in_manifest =
        |plan: &KubernetesPlan| plan.bundle.as_ref().is_some_and(|at| at.version.is_none());
    if file.offer.kubernetes_plans().any(|(_, _, plan)| is_in_manifest(plan)) {
        return Ok(Content::load(file)?);
    }
    Ok(Content::default())
}

/// A plan without its bundle is half a record: later releases would not know the digest to keep.
fn without_bundle(own: &Submission) -> Option<Contradiction> {
    let is_without = own.kind == RecordedKind::Kubernetes && own.bundles.is_empty();
    is_without.then(|| Contradiction {
        about: ContradictionTopic::Bundle,
        plan: Some(own.plan.clone()),
        is_certain: false,
        message:
            "no bundle is recorded; write what `wharf offer bundle` made into `bundle`, and a \
                  version into it or into `manifest.yaml`"
                .to_owned(),
    })
}

/// Appends under the lock; the report is of the decision under the lock.
fn append(
    path: &std::path::Path,
    decide: impl Fn(&[Record]) -> Result<Decision, Stop>,
) -> Result<Decision, Stop> {
    let last = std::cell::RefCell::new(Decision::default());
    PublishedFile::append(path, |records| -> Result<Vec<Record>, Stop> {
        let decision = decide(records)?;
        let records = decision.records.clone();
        *last.borrow_mut() = decision;
        Ok(records)
    })?;
    Ok(last.into_inner())
}

/// The command line's request.
struct Asked<'a> {
    args: &'a RecordArgs,
    file: &'a OfferFile,
    content: &'a Content,
    tree: Option<&'a ResourceTree>,
    time: Timestamp,
}

impl Asked<'_> {
    fn decide(&self, records: &[Record]) -> Result<Decision, Stop> {
        let state = LedgerState::of(records);
        if !self.args.withdraw.is_empty() {
            let records = withdrawing::records(self.file, &self.args.withdraw, &state, self.time)?;
            return Ok(Decision { records, ..Decision::default() });
        }
        let submissions = self.submissions(&state)?;
        let mut contradictions = contradictions(&state, &submissions);
        contradictions.extend(submissions.iter().filter_map(without_bundle));
        let (known, new): (Vec<_>, Vec<_>) =
            submissions.into_iter().partition(|own| is_known(records, &state, own));
        let decision = Decision {
            unchanged: known.into_iter().map(|submission| submission.plan).collect(),
            records: new.into_iter().map(|own| Record::Submitted(Box::new(own))).collect(),
            contradictions,
        };
        if decision.contradictions.iter().any(|found| found.is_certain) {
            return Err(Stop::Refused(Box::new(decision)));
        }
        Ok(decision)
    }

    fn submissions(&self, state: &LedgerState) -> anyhow::Result<Vec<Submission>> {
        let target = match self.args.target {
            Some(RecordTarget::Live) => SubmissionTarget::Live,
            Some(RecordTarget::Preview) => SubmissionTarget::Preview,
            None => anyhow::bail!("say where it was submitted to: --target preview or live"),
        };
        let mut submissions = if let Some(tree) = self.tree {
            of_tree::submissions(self.file, tree, target, self.time)?
        } else {
            let mut file = self.file.clone();
            published::complete(&mut file, state);
            let mut submissions =
                published::submissions(&file, self.content, state, target, self.time);
            digests::fill(&mut submissions, &file, self.args, state)?;
            submissions
        };
        let offer = &self.file.offer;
        for submission in &mut submissions {
            let last = state.last_withdrawal(&offer.publisher, &offer.offer.id, &submission.plan);
            submission.time = later_than(submission.time, last);
        }
        Ok(submissions)
    }
}

/// A new offer after a withdrawal is later than the withdrawal, even by a wrong clock.
fn later_than(time: Timestamp, last: Option<Timestamp>) -> Timestamp {
    match last {
        Some(last) if last >= time => {
            Timestamp::from_unix_seconds(last.unix_seconds() + 1).unwrap_or(last)
        }
        _ => time,
    }
}

/// Whether the ledger's last record of this plan and target is the same, without a withdrawal
/// since. A return to an earlier state is news.
fn is_known(records: &[Record], state: &LedgerState, own: &Submission) -> bool {
    let last = state.last_withdrawal(&own.publisher, &own.offer, &own.plan);
    let of_plan = |record: &Record| match record {
        Record::Submitted(known) => {
            let ids = |at: &Submission| {
                (at.publisher.clone(), at.offer.clone(), at.plan.clone(), at.target)
            };
            (ids(known) == ids(own)).then(|| known.as_ref().clone())
        }
        Record::Withdrawn(_) => None,
    };
    let known: Vec<Submission> = records.iter().filter_map(of_plan).collect();
    let newest = known.iter().map(|known| known.time).max();
    known.iter().any(|known| {
        let same = Submission { time: known.time, ..own.clone() };
        *known == same && Some(known.time) == newest && Some(known.time) > last
    })
}

fn told(decision: Decision, ledger: PathBuf, dry_run: bool, is_refused: bool) -> Recorded {
    let Decision { records, unchanged, contradictions } = decision;
    let (refused, warnings): (Vec<_>, Vec<_>) =
        contradictions.into_iter().partition(|found| found.is_certain);
    let tell = |found: Contradiction| Told { plan: found.plan, message: found.message };
    Recorded {
        ledger,
        dry_run,
        records: if is_refused { Vec::new() } else { records },
        unchanged,
        refused: refused.into_iter().map(tell).collect(),
        warnings: warnings.into_iter().map(tell).collect(),
    }
}

fn text(recorded: &Recorded, paint: Paint) -> String {
    let mut text = String::new();
    for (told, style, word) in [
        (&recorded.refused, Style::Error, "refused:"),
        (&recorded.warnings, Style::Warning, "warning:"),
    ] {
        for Told { plan, message } in told {
            let plan = plan.as_ref().map(|plan| format!("{plan}: ")).unwrap_or_default();
            let line =
                format!("{} {}", paint.text(style, word), visible(&format!("{plan}{message}")));
            text.push_str(&line);
            text.push('\n');
        }
    }
    if !recorded.refused.is_empty() {
        text.push_str("nothing was recorded\n");
        return text;
    }
    let mut table = Table::new(&["PLAN", "EVENT", "WHAT"]);
    for record in &recorded.records {
        match record {
            Record::Submitted(at) => table.row([at.plan.clone(), at.target.to_string(), what(at)]),
            Record::Withdrawn(at) => {
                let what = at.versions.iter().cloned().collect::<Vec<_>>().join(", ");
                let what = if what.is_empty() { "the whole plan".to_owned() } else { what };
                table.row([at.plan.clone(), "withdrawn".to_owned(), what]);
            }
        }
    }
    for plan in &recorded.unchanged {
        table.row([plan.as_str(), "unchanged", "the ledger says this already"]);
    }
    text.push_str(&table.render(paint));
    let word = match (recorded.records.is_empty(), recorded.dry_run) {
        (true, _) => "nothing to add to",
        (false, true) => "would be added to",
        (false, false) => "added to",
    };
    let _ = writeln!(text, "{word} {}", visible(&recorded.ledger.display().to_string()));
    text
}

fn what(submission: &Submission) -> String {
    let tags = submission.tags.keys().map(ToString::to_string);
    let bundles = submission.bundles.iter().map(|at| format!("{}:{}", at.repository, at.version));
    tags.chain(bundles).collect::<Vec<_>>().join(", ")
}

/// Largest result of another command.
const RESULT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads a file whole.
fn read(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let cannot = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = input::open(path).with_context(cannot)?;
    file.take(RESULT_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(cannot)?;
    let is_small = bytes.len() as u64 <= RESULT_BYTES_MAX;
    anyhow::ensure!(is_small, "{} has more than {RESULT_BYTES_MAX} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests;
