//! `wharf offer init`.

pub(super) mod ask;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::Context;
use crate::cli::InitArgs;
use crate::clock;
use crate::exit::Exit;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer_init::settle::{AnswerPolicy, Question, ask_kind, check_given, settle};
use crate::offer_init::sources::Sources;
use crate::offer_init::topics::Topic;
use crate::offer_init::{
    Answers, FileOutcome, InitError, OfferKind, WrittenFile, check_place, draft, write,
};
use crate::output::{Paint, Style, visible};
use crate::rules::evidence::Evidence;
use crate::rules::{Profile, judge_offer};

/// The result of the command.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    offer: PathBuf,
    written: Vec<String>,
    replaced: Vec<String>,
    kept: Vec<String>,
    /// Flags of the topics with placeholders.
    placeholders: Vec<&'static str>,
    /// The findings of `offer lint` in the files from before.
    findings: usize,
    #[serde(skip)]
    is_kubernetes: bool,
    #[serde(skip)]
    has_image: bool,
}

/// Runs the command.
pub(super) fn run(args: &InitArgs, context: &Context) -> anyhow::Result<Exit> {
    let begun = match begin(args, context) {
        Err(InitError::Interrupted) => {
            context.output.end("offer init", "interrupted", None, Exit::Interrupted);
            return Ok(Exit::Interrupted);
        }
        begun => begun?,
    };
    context.output.result("offer init", &begun, |paint| told(&begun, paint))?;
    Ok(Exit::Ok)
}

fn begin(args: &InitArgs, context: &Context) -> Result<Begun, InitError> {
    let (folder, file) = place(&args.place);
    if !args.force && std::fs::symlink_metadata(&file).is_ok() {
        return Err(InitError::Exists(file));
    }
    check_place(&file)?;
    let is_person = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let answers = answers(args, &folder, is_person, context)?;
    if args.yes || !is_person {
        for (topic, value) in answers.taken() {
            let taken = format!("{} {}: {}", topic.flag(), value.text, value.origin.words());
            context.output.note(&visible(&taken));
        }
    }
    draft::check(&answers)?;
    if let Some(note) = answers.version_note() {
        context.output.note(&visible(&note));
    }
    let files = write(&answers, &file, args.force)?;
    let paths = |outcome: FileOutcome| -> Vec<String> {
        let files = files.iter().filter(|file| file.outcome == outcome);
        files.map(|WrittenFile { path, .. }| path.clone()).collect()
    };
    Ok(Begun {
        written: paths(FileOutcome::Written),
        replaced: paths(FileOutcome::Replaced),
        kept: paths(FileOutcome::Kept),
        placeholders: answers.placeholders().into_iter().map(Topic::flag).collect(),
        findings: findings(&file),
        is_kubernetes: answers.kind == OfferKind::Kubernetes,
        has_image: answers.image.is_some(),
        offer: file,
    })
}

/// Reads the sources, and settles the rest.
fn answers(
    args: &InitArgs,
    folder: &Path,
    is_person: bool,
    context: &Context,
) -> Result<Answers, InitError> {
    let mut sources = Sources::read(folder, args.chart.as_deref(), args.image.as_deref())?;
    let mut given = args.given();
    let repository = sources.image.as_ref().and_then(|image| image.repository.clone());
    if let Some(repository) = repository {
        given.insert(Topic::Repository, repository);
    }
    let looks = ask::looks(context.global.color);
    let mut ask = |question: &Question<'_>| ask::ask(question, &looks);
    if is_person && !args.yes && !sources.charts.is_empty() {
        check_given(&given)?;
        let kind = match given.get(&Topic::Kind) {
            Some(kind) => kind.clone(),
            None => ask_kind(&sources, &mut ask)?,
        };
        if kind == "kubernetes" {
            let chart = ask::chart(&sources.charts, &looks)?;
            sources = Sources::read(folder, Some(&chart), args.image.as_deref())?;
        }
        given.insert(Topic::Kind, kind);
    }
    let way = match (args.yes, is_person) {
        (true, _) => AnswerPolicy::Take,
        (false, true) => AnswerPolicy::Ask(&mut ask),
        (false, false) => AnswerPolicy::Refuse,
    };
    let values = settle(&given, &sources, way)?;
    let today = clock::now().day().to_string();
    Ok(Answers::new(values, &sources, today))
}

/// The folder of the offer, and its file.
fn place(named: &Path) -> (PathBuf, PathBuf) {
    let is_file = named.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if named == Path::new(".") {
        return (named.to_owned(), PathBuf::from("offer.yaml"));
    }
    if !is_file || named.is_dir() {
        return (named.to_owned(), named.join("offer.yaml"));
    }
    let folder = match named.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    (folder, named.to_owned())
}

/// The number of the rules' findings in the whole offer; files from before may break some rules. An
/// unreadable offer counts once: `offer lint` gives the reason.
fn findings(file: &Path) -> usize {
    let read = OfferFile::open(file).and_then(|file| Ok((Content::load(&file)?, file)));
    read.map_or(1, |(content, file)| {
        let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
        judgement.findings.len()
    })
}

fn told(begun: &Begun, paint: Paint) -> String {
    let offer = visible(&begun.offer.display().to_string());
    let count = begun.written.len() + begun.replaced.len();
    let wrote = paint.text(Style::Good, "wrote");
    let mut lines = vec![format!("{wrote} {offer} and {} more files", count.saturating_sub(1))];
    let below = begun.written.iter().chain(&begun.replaced).skip(1);
    lines.extend(below.map(|path| format!("  {}", visible(path))));
    let kept = paint.text(Style::Dim, "was there and is as it was");
    lines.extend(begun.kept.iter().map(|path| format!("  {} {kept}", visible(path))));
    let mut say = |text: &str| lines.extend([String::new(), paint.wrap(text, 0)]);
    if !begun.placeholders.is_empty() {
        say(&format!("Only placeholders yet: {}.", begun.placeholders.join(", ")));
    }
    say(
        "Texts, pictures and values behind `# replace` are not yours yet: write your own before you \
         publish.",
    );
    if begun.findings > 0 {
        let note = paint.text(Style::Warning, "note:");
        let count = begun.findings;
        say(&format!("{note} `wharf offer lint` finds {count} things in what was there before."));
    }
    say(&paint.text(Style::Strong, "Next"));
    lines.extend(next_lines(begun));
    lines.push(String::new());
    lines.join("\n")
}

/// The next commands with their effects, in two columns.
fn next_lines(begun: &Begun) -> Vec<String> {
    let offer = shell_word(&begun.offer.display().to_string());
    let next = next(begun).into_iter();
    let next: Vec<_> = next.map(|(command, what)| (format!("{command} {offer}"), what)).collect();
    let width = next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    next.iter().map(|(command, what)| format!("  {command:<width$}  {what}")).collect()
}

/// A path as one word for a shell, and no option.
fn shell_word(path: &str) -> String {
    let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',');
    if path.chars().all(is_plain) {
        return path;
    }
    visible(&format!("'{}'", path.replace('\'', "'\\''")))
}

/// The next commands, each to be followed by the offer. Where the offer makes no image there is no
/// digest to write.
fn next(begun: &Begun) -> Vec<(&'static str, &'static str)> {
    let mut next = vec![("wharf offer lint", "say what the marketplace would refuse")];
    if begun.has_image {
        next.push(("wharf package", "make the image"));
        next.push(("wharf push --to production", "push it to your registry"));
    }
    if begun.is_kubernetes {
        if begun.has_image {
            next.push(("wharf offer pin", "write its digest into the chart"));
        }
        next.push((
            "wharf offer bundle --output bundle",
            "lay out what Microsoft's packaging tool takes",
        ));
    }
    next.push(("wharf offer render", "make what Partner Center takes"));
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(offer: &str, is_kubernetes: bool, has_image: bool) -> Begun {
        Begun {
            offer: PathBuf::from(offer),
            written: Vec::new(),
            replaced: Vec::new(),
            kept: Vec::new(),
            placeholders: Vec::new(),
            findings: 0,
            is_kubernetes,
            has_image,
        }
    }

    #[test]
    fn next_commands_are_those_that_the_offer_can_have() {
        let commands = |is_kubernetes, has_image| {
            let next = next(&begun("offer.yaml", is_kubernetes, has_image)).into_iter();
            next.map(|(command, _)| command).collect::<Vec<_>>().join("; ")
        };
        assert!(!commands(true, false).contains("pin") && commands(true, false).contains("bundle"));
        assert!(commands(true, true).contains("pin") && commands(true, true).contains("push"));
        assert!(
            !commands(false, true).contains("pin") && !commands(false, true).contains("bundle")
        );
    }

    #[test]
    fn next_commands_can_be_copied_into_a_shell() {
        for (path, word) in [
            ("offer.yaml", "offer.yaml"),
            ("my offer/offer.yaml", "'my offer/offer.yaml'"),
            ("ann's/offer.yaml", "'ann'\\''s/offer.yaml'"),
            ("-x/offer.yaml", "./-x/offer.yaml"),
            ("$x;y/offer.yaml", "'$x;y/offer.yaml'"),
            ("~/offer.yaml", "'~/offer.yaml'"),
        ] {
            assert_eq!(shell_word(path), word);
        }
        let lines = next_lines(&begun("a rather long folder/offer.yaml", true, true));
        for line in &lines {
            assert!(line.contains("yaml'  "), "{line}");
        }
        let starts = lines.iter().filter_map(|line| line.find("say what"));
        assert!(starts.count() == 1 && lines.iter().any(|line| line.contains("yaml'  lay out")));
    }
}
