//! The texts beside the offer file. They pass every rule as they stand, and say nothing that could
//! be wrong of a product without a description.

use super::answers::Answers;
use super::kind::OfferKind;
use super::names;
use super::topics::Topic;

/// Where the long text is.
pub(super) const DESCRIPTION_FILE: &str = "listing/description.html";
/// Where the notes for testers are.
pub(super) const NOTES_FILE: &str = "listing/certification-notes.txt";
/// Where own terms are.
pub(super) const TERMS_FILE: &str = "legal/terms.txt";
/// Where a first chart is written.
pub(super) const CHART_FOLDER: &str = "chart";

/// Longest summary of a plan and caption, in characters.
const LINE_CHARS_MAX: usize = 100;

/// Where the long text of the plan is; no ID makes it the place of another file.
#[must_use]
pub(super) fn plan_file(answers: &Answers) -> String {
    format!("listing/plan-{}.html", answers.text(Topic::PlanId))
}

/// The long text of the offer.
#[must_use]
pub(super) fn description(answers: &Answers) -> String {
    let title = escaped(answers.text(Topic::Title));
    let summary = escaped(answers.text(Topic::Summary));
    let (place, memory) = match answers.kind {
        OfferKind::Kubernetes => ("your Kubernetes cluster", "1 GB"),
        OfferKind::Image => ("Azure Container Instances or Azure Kubernetes Service", "1.5 GB"),
    };
    format!(
        "<p><b>{title}</b></p>\n\
         <p>{summary}</p>\n\
         <h2>What you get</h2>\n\
         <ul>\n\
         <li>The first thing that customers gain.</li>\n\
         <li>The second one.</li>\n\
         <li>What sets it apart from what they could run instead.</li>\n\
         </ul>\n\
         <h2>How it is used</h2>\n\
         <p>It runs in {place}. Say here in three sentences how somebody gets from installing it to the\n\
         first result.</p>\n\
         <h2>Support</h2>\n\
         <p>Who answers, when, and how fast.</p>\n\
         <p>Minimum resources: 1 CPU core and {memory} of memory.</p>\n"
    )
}

/// The long text of the plan.
#[must_use]
pub(super) fn plan(answers: &Answers) -> String {
    let title = escaped(answers.text(Topic::Title));
    let what = match answers.kind {
        OfferKind::Kubernetes => {
            "the application with all of its images, installed as a cluster extension"
        }
        OfferKind::Image => "the container image",
    };
    format!(
        "<p>This plan of {title} holds {what}.</p>\n\
         <p>Whom it is for, which limits it has, and how it differs from the other plans.</p>\n"
    )
}

/// One sentence about the plan.
#[must_use]
pub(super) fn plan_summary(answers: &Answers) -> String {
    let what = match answers.kind {
        OfferKind::Kubernetes => "in your own cluster",
        OfferKind::Image => "as one container image",
    };
    let title = answers.text(Topic::Title);
    names::one_line(&format!("{title} {what}"), LINE_CHARS_MAX).unwrap_or_else(|| what.to_owned())
}

/// The first screenshot's caption.
#[must_use]
pub(super) fn caption(answers: &Answers) -> String {
    let title = answers.text(Topic::Title);
    let caption = names::one_line(&format!("{title} at work"), LINE_CHARS_MAX);
    caption.unwrap_or_else(|| "The application at work".to_owned())
}

/// The notes for testers.
#[must_use]
pub(super) fn notes(answers: &Answers) -> String {
    let title = answers.text(Topic::Title);
    let steps = match answers.kind {
        OfferKind::Kubernetes => {
            "1. Create the offer from the preview on an AKS cluster with one node pool of linux/amd64.\n\
             2. Wait until its pods are ready: kubectl get pods -A -w\n\
             3. Say here what to open or to call, and what must be seen.\n\
             4. Uninstall the extension; nothing of it stays in the cluster.\n"
        }
        OfferKind::Image => {
            "1. Run the image with its default command; it needs no other setting.\n\
             2. Say here what to open or to call, and what must be seen.\n\
             3. Stop the container.\n"
        }
    };
    format!(
        "How to try {title}\n\n{steps}\nNo account and no licence key is needed. Questions: {}\n",
        answers.text(Topic::Email)
    )
}

/// Own terms, to be replaced by the publisher's.
#[must_use]
pub(super) fn terms(answers: &Answers) -> String {
    format!(
        "Terms of use of {}\n\n\
         Replace this text by the terms that your customers accept: at most 10,000 characters, without\n\
         markup. Let a lawyer read them.\n",
        answers.text(Topic::Title)
    )
}

/// A text as it stands in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
