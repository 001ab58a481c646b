//! Questions at the terminal. They are drawn on stderr, so stdout holds results alone.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

use inquire::ui::RenderConfig;
use inquire::validator::{ErrorMessage, Validation};
use inquire::{InquireError, Select, Text};

use crate::cli::ColorChoice;
use crate::offer_init::InitError;
use crate::offer_init::settle::Question;
use crate::output::visible;

/// The style of questions, by the option for colours; `NO_COLOR` is honoured.
pub(super) fn looks(color: ColorChoice) -> RenderConfig<'static> {
    match color {
        ColorChoice::Never => RenderConfig::empty(),
        ColorChoice::Always => RenderConfig::default_colored(),
        ColorChoice::Auto => RenderConfig::default(),
    }
}

/// Gives the terminal back as it was, when the program ends in the middle of a question.
pub fn leave() {
    // It does nothing without a question; a lost terminal needs no reset.
    let _ = crossterm::terminal::disable_raw_mode();
}

/// Asks one question. Ctrl-C and Escape end it.
pub(super) fn ask(question: &Question<'_>, looks: &RenderConfig<'_>) -> Result<String, InitError> {
    let answer =
        if question.choices.is_empty() { write(question, looks) } else { choose(question, looks) };
    answer.map_err(failed)
}

/// Asks for the chart to sell among several.
pub(super) fn chart(charts: &[PathBuf], looks: &RenderConfig<'_>) -> Result<PathBuf, InitError> {
    let names = charts.iter().map(|at| visible(&at.display().to_string())).collect();
    let chosen = Select::new("Chart that is sold:", names)
        .with_render_config(*looks)
        .without_filtering()
        .raw_prompt()
        .map_err(failed)?;
    let chart = charts.get(chosen.index).cloned();
    chart.ok_or_else(|| InitError::SeveralCharts(charts.to_vec()))
}

fn failed(error: InquireError) -> InitError {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => {
            InitError::Interrupted
        }
        InquireError::IO(source) => InitError::Terminal(source),
        other => InitError::Terminal(std::io::Error::other(other.to_string())),
    }
}

/// A choice with its meaning.
struct Choice {
    name: &'static str,
    what: &'static str,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12}{}", self.name, self.what)
    }
}

fn choose(question: &Question<'_>, looks: &RenderConfig<'_>) -> Result<String, InquireError> {
    let choices = question.choices.iter().map(|(name, what)| Choice { name, what });
    let proposed = question.proposal.map_or("", |value| value.text.as_str());
    let start = question.choices.iter().position(|(name, _)| *name == proposed);
    let (message, help) = (message(question), question.topic.note());
    let answer = Select::new(&message, choices.collect())
        .with_starting_cursor(start.unwrap_or_default())
        .with_help_message(help)
        .with_formatter(&|choice| choice.value.name.to_owned())
        .with_render_config(*looks)
        .without_filtering()
        .prompt()?;
    Ok(answer.name.to_owned())
}

fn write(question: &Question<'_>, looks: &RenderConfig<'_>) -> Result<String, InquireError> {
    let (message, help) = (message(question), help(question));
    let fault = Rc::clone(&question.fault);
    let validator = move |text: &str| {
        let fault = fault(text).map(|fault| visible(&fault));
        Ok(fault
            .map_or(Validation::Valid, |fault| Validation::Invalid(ErrorMessage::Custom(fault))))
    };
    let mut text = Text::new(&message).with_validator(validator).with_render_config(*looks);
    let proposed = question.proposal.map(|value| visible(&value.text));
    if let Some(proposed) = &proposed {
        text = text.with_default(proposed);
    }
    if !help.is_empty() {
        text = text.with_help_message(&help);
    }
    text.prompt()
}

fn message(question: &Question<'_>) -> String {
    let what = question.topic.what();
    let mut letters = what.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    format!("{}:", first.chain(letters).collect::<String>())
}

/// The advice for the answer, and the source of the proposal.
fn help(question: &Question<'_>) -> String {
    let origin = question.proposal.map(|value| format!("proposed {}", value.origin.words()));
    let parts = [Some(question.topic.note().to_owned()), origin.map(|text| visible(&text))];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}
