//! Why no offer was begun.

use std::path::PathBuf;

use super::topics::Topic;

/// How many charts an error names.
const CHARTS_TOLD: usize = 5;

/// Why no offer was begun.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The value is missing, and cannot be derived.
    #[error("{}", missing(unknown, untaken))]
    Missing {
        unknown: Vec<Topic>,
        /// The topics with unaccepted placeholders.
        untaken: Vec<Topic>,
    },
    /// These values cannot stand in an offer; each text names its flag.
    #[error("{}", .0.join("\n       "))]
    Wrong(Vec<String>),
    /// The user ended the questions.
    #[error("interrupted")]
    Interrupted,
    /// The terminal failed during a question.
    #[error("the terminal cannot be asked; give values by flags, or `--yes`")]
    Terminal(#[source] std::io::Error),
    /// The offer file is there.
    #[error("{} is there already; name another file, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// Several charts are there, and no flag chooses one.
    #[error("there are several charts ({}); say with --chart which is sold", told(.0))]
    SeveralCharts(Vec<PathBuf>),
    /// A chart stands where a first one would be written, and the offer does not name it.
    #[error("{} is there already, and a first chart never takes its place; name it with --chart", .0.display())]
    ChartThere(PathBuf),
    /// The file or image of a flag cannot be read.
    #[error("{flag}: {}: {reason}", path.display())]
    Unreadable { flag: &'static str, path: PathBuf, reason: String },
    /// A file cannot be written.
    #[error("cannot write {}; nothing was written", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// The values make no offer. It is a fault of this program, or of an unforeseen value.
    #[error("these values make no offer that can be read: {0}")]
    Offer(String),
}

fn told(charts: &[PathBuf]) -> String {
    let mut told: Vec<String> =
        charts.iter().take(CHARTS_TOLD).map(|at| at.display().to_string()).collect();
    if charts.len() > CHARTS_TOLD {
        told.push(format!("and {} more", charts.len() - CHARTS_TOLD));
    }
    told.join(", ")
}

fn missing(unknown: &[Topic], untaken: &[Topic]) -> String {
    let flags = |topics: &[Topic]| {
        let flag = |topic: &Topic| format!("{} ({})", topic.flag(), topic.what());
        topics.iter().map(flag).collect::<Vec<_>>().join(", ")
    };
    let missing = "this is missing and cannot be found out:";
    match (unknown.is_empty(), untaken.is_empty()) {
        (_, true) => format!("{missing} {}; give it", flags(unknown)),
        (true, false) => {
            let untaken = flags(untaken);
            format!("{missing} {untaken}; give it, or take what is proposed with --yes")
        }
        (false, false) => format!(
            "{missing} {}; give it. There are only placeholders for {}; give those too, or take them \
             with --yes",
            flags(unknown),
            flags(untaken)
        ),
    }
}
