//! How every topic gets its value: a flag, else an answer, else the proposal.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::answers::Answers;
use super::draft;
use super::error::InitError;
use super::proposals::{is_asked, propose};
use super::sources::Sources;
use super::topics::{ALL, Topic, TopicValue, ValueOrigin, Values, said, text};

/// The fault in an answer, if any.
pub type Faults = dyn Fn(&str) -> Option<String>;

/// A question for the user.
pub struct Question<'a> {
    pub topic: Topic,
    pub proposal: Option<&'a TopicValue>,
    /// The choices, each with its meaning; empty when any text may be written.
    pub choices: Vec<(&'static str, &'static str)>,
    /// The fault in an answer, if any.
    pub fault: Rc<Faults>,
}

/// Asks one question; the answer has no fault.
pub type Asks<'a> = dyn FnMut(&Question<'_>) -> Result<String, InitError> + 'a;

/// The source of values without a flag.
pub enum AnswerPolicy<'a> {
    /// The user's answers.
    Ask(&'a mut Asks<'a>),
    /// The proposals, placeholders among them.
    Take,
    /// The found and derived values; placeholders are refused.
    Refuse,
}

/// Settles every topic. Faults of flags are found before any question.
pub fn settle(
    given: &BTreeMap<Topic, String>,
    sources: &Sources,
    mut way: AnswerPolicy<'_>,
) -> Result<Values, InitError> {
    check_given(given)?;
    // The flags' values count from the first question on, so that answers are judged beside them.
    let mut values: Values =
        given.iter().map(|(topic, text)| (*topic, value_given(text.clone()))).collect();
    let (mut unknown, mut untaken) = (Vec::new(), Vec::new());
    for topic in ALL {
        if is_asked(topic, &values, sources) && !given.contains_key(&topic) {
            let proposal = propose(topic, &values, sources);
            let is_known = proposal.is_some();
            let value = match &mut way {
                AnswerPolicy::Ask(ask) => Some(asked(topic, proposal, &values, sources, ask)?),
                AnswerPolicy::Take => proposal,
                AnswerPolicy::Refuse => {
                    proposal.filter(|value| value.origin != ValueOrigin::Placeholder)
                }
            };
            match value {
                Some(value) => {
                    values.insert(topic, value);
                }
                None if is_known => untaken.push(topic),
                None => unknown.push(topic),
            }
        }
        if topic == Topic::Kind {
            check_kind(given, &values, sources)?;
            if matches!(way, AnswerPolicy::Ask(_)) {
                draft::check_given(given, &values, sources)?;
            }
        }
    }
    if unknown.is_empty() && untaken.is_empty() {
        return Ok(values);
    }
    Err(InitError::Missing { unknown, untaken })
}

/// Checks flags, each by itself.
pub fn check_given(given: &BTreeMap<Topic, String>) -> Result<(), InitError> {
    let wrong: Vec<String> = given
        .iter()
        .filter_map(|(topic, text)| Some(said(*topic, &fault(*topic, text)?)))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(InitError::Wrong(wrong)) }
}

/// Asks for the kind of the product; it decides the further questions.
pub fn ask_kind(sources: &Sources, ask: &mut Asks<'_>) -> Result<String, InitError> {
    let values = Values::new();
    let proposal = propose(Topic::Kind, &values, sources);
    Ok(asked(Topic::Kind, proposal, &values, sources, ask)?.text)
}

/// The flags' conflicts with the kind of the product; they are known before any further question.
fn check_kind(
    given: &BTreeMap<Topic, String>,
    values: &Values,
    sources: &Sources,
) -> Result<(), InitError> {
    let is_image = text(values, Topic::Kind) == "image";
    let mut wrong = Vec::new();
    let others = given.keys().filter(|topic| !is_asked(**topic, values, sources));
    wrong.extend(others.map(|topic| {
        said(*topic, "an image plan has none; leave it out, or write --kind kubernetes")
    }));
    if is_image && text(values, Topic::Licence) == "payAsYouGo" {
        let message = "Microsoft bills for Kubernetes plans only; write `byol` or `free`";
        wrong.push(said(Topic::Licence, message));
    }
    if is_image && sources.chart_is_named {
        let message = "an image plan has no chart; leave it out, or write --kind kubernetes";
        wrong.push(format!("--chart: {message}"));
    }
    let answers = Answers::new(values.clone(), sources, String::new());
    if !answers.runs_on_amd64() {
        let message = "the image has no linux/amd64, the only platform of Kubernetes plans";
        wrong.push(said(Topic::Repository, message));
    }
    if !wrong.is_empty() {
        return Err(InitError::Wrong(wrong));
    }
    if !is_image && !sources.charts.is_empty() {
        return Err(InitError::SeveralCharts(sources.charts.clone()));
    }
    Ok(())
}

const fn value_given(text: String) -> TopicValue {
    TopicValue { text, origin: ValueOrigin::Given }
}

fn asked(
    topic: Topic,
    proposal: Option<TopicValue>,
    values: &Values,
    sources: &Sources,
    ask: &mut Asks<'_>,
) -> Result<TopicValue, InitError> {
    let is_image = text(values, Topic::Kind) == "image";
    let is_possible = |name: &str| !(is_image && name == "payAsYouGo");
    let choices = topic.choices().iter().filter(|(name, _)| is_possible(name)).copied().collect();
    let (before, sources) = (values.clone(), sources.clone());
    let judged = move |text: &str| {
        fault(topic, text).or_else(|| {
            let mut values = before.clone();
            values.insert(topic, value_given(text.to_owned()));
            draft::fault(topic, values, &sources)
        })
    };
    let fault = Rc::new(judged);
    let text = ask(&Question { topic, proposal: proposal.as_ref(), choices, fault })?;
    Ok(match proposal {
        Some(proposal) if proposal.text == text => proposal,
        _ => value_given(text),
    })
}

fn fault(topic: Topic, text: &str) -> Option<String> {
    topic.check(text).err()
}
