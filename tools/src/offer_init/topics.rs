//! The required facts of an offer: each topic is a question at the terminal and a flag of its own.
//! The allowed answers are here; the proposals are in `proposals`.

use std::collections::BTreeMap;

use super::kind::OfferKind;
use crate::offer::values::{LoginServer, PlanId};
use wharf_oci::RepoName;

/// Longest value of any flag, in bytes; nothing the marketplace takes in one line is longer.
const VALUE_BYTES_MAX: usize = 2_048;
/// Longest type of an extension (CLI-M).
const EXTENSION_TYPE_CHARS_MAX: usize = 50;

/// A thing to be settled, in the order of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The kind of the product.
    Kind,
    /// The name of the product.
    Title,
    /// One sentence about it.
    Summary,
    /// The publisher ID of the account.
    Publisher,
    /// The ID of the offer.
    OfferId,
    /// The ID of its first plan.
    PlanId,
    /// The price of the plan.
    Licence,
    /// The type of the cluster extension.
    ExtensionType,
    /// The login server of the registry.
    Registry,
    /// The repository of the image.
    Repository,
    /// The subscription of the registry.
    SubscriptionId,
    /// The subscription's tenant.
    TenantId,
    /// The resource group of the registry.
    ResourceGroup,
    /// The address of the product's pages.
    Website,
    /// The customers' mail address for support.
    Email,
    /// The customers' telephone number for support.
    Phone,
    Terms,
}

/// Every topic, in the order of the questions.
pub const ALL: [Topic; 17] = [
    Topic::Kind,
    Topic::Title,
    Topic::Summary,
    Topic::Publisher,
    Topic::OfferId,
    Topic::PlanId,
    Topic::Licence,
    Topic::ExtensionType,
    Topic::Registry,
    Topic::Repository,
    Topic::SubscriptionId,
    Topic::TenantId,
    Topic::ResourceGroup,
    Topic::Website,
    Topic::Email,
    Topic::Phone,
    Topic::Terms,
];

/// A value with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicValue {
    pub text: String,
    /// Where it comes from.
    pub origin: ValueOrigin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueOrigin {
    /// A flag or a person said it.
    Given,
    /// It was read somewhere: `the chart (chart/Chart.yaml)`.
    Found(String),
    /// It follows from another value: `the title`.
    Derived(&'static str),
    /// It is the choice of most offers.
    Usual,
    /// It only holds the place.
    Placeholder,
}

impl ValueOrigin {
    /// The same in words, for a question.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Given => "as given".to_owned(),
            Self::Found(place) => format!("from {place}"),
            Self::Derived(what) => format!("from {what}"),
            Self::Usual => "because most offers have it".to_owned(),
            Self::Placeholder => "as a placeholder".to_owned(),
        }
    }
}

/// The settled values.
pub type Values = BTreeMap<Topic, TopicValue>;

/// The text of a value; empty where it is not settled.
#[must_use]
pub fn text(values: &Values, topic: Topic) -> &str {
    values.get(&topic).map_or("", |value| value.text.as_str())
}

/// A fault with the flag it is about.
#[must_use]
pub(super) fn said(topic: Topic, fault: &str) -> String {
    format!("{}: {fault}", topic.flag())
}

impl Topic {
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Kind => "--kind",
            Self::Title => "--title",
            Self::Summary => "--summary",
            Self::Publisher => "--publisher",
            Self::OfferId => "--offer-id",
            Self::PlanId => "--plan-id",
            Self::Licence => "--licence",
            Self::ExtensionType => "--extension-type",
            Self::Registry => "--registry",
            Self::Repository => "--image",
            Self::SubscriptionId => "--subscription-id",
            Self::TenantId => "--tenant-id",
            Self::ResourceGroup => "--resource-group",
            Self::Website => "--website",
            Self::Email => "--email",
            Self::Phone => "--phone",
            Self::Terms => "--terms",
        }
    }

    /// The topic, in a few words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Kind => "what customers get",
            Self::Title => "title of the offer",
            Self::Summary => "one sentence about it",
            Self::Publisher => "publisher ID of your Partner Center account",
            Self::OfferId => "ID of the offer",
            Self::PlanId => "ID of the first plan",
            Self::Licence => "what the plan costs",
            Self::ExtensionType => "type of the cluster extension",
            Self::Registry => "login server of your registry",
            Self::Repository => "repository of the image",
            Self::SubscriptionId => "Azure subscription of the registry",
            Self::TenantId => "tenant of that subscription",
            Self::ResourceGroup => "resource group of the registry",
            Self::Website => "address of your product's pages",
            Self::Email => "mail address of your support",
            Self::Phone => "telephone number of your support",
            Self::Terms => "contract with customers",
        }
    }

    /// The remark for a question; empty without one.
    #[must_use]
    pub const fn note(self) -> &'static str {
        match self {
            Self::Kind => "new offers are Kubernetes applications since 2024-01-18",
            Self::Title => "at most 50 characters",
            Self::Summary => "at most 100 characters",
            Self::Publisher | Self::OfferId | Self::PlanId | Self::ExtensionType => {
                "can never change once it is published"
            }
            Self::Licence => "can never change for a plan that is live",
            Self::Repository => "without the registry; can never change once it is published",
            Self::Registry => "such as NAME.azurecr.io",
            Self::SubscriptionId => "`az account show --query id`",
            Self::TenantId => "`az account show --query tenantId`",
            Self::ResourceGroup => "`az acr show --name NAME --query resourceGroup`",
            Self::Website => "support and privacy pages are proposed below it",
            Self::Email => "",
            Self::Phone => "such as +1 206 555 0142",
            Self::Terms => "the standard contract cannot be left once it is published",
        }
    }

    /// The choices, each with its meaning; empty when any text may be written.
    #[must_use]
    pub const fn choices(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Kind => &[
                ("kubernetes", "a Helm chart with its images; what new offers are"),
                ("image", "one image; for offers that exist already"),
            ],
            Self::Licence => &[
                ("byol", "customers bring a licence that they bought from you"),
                ("free", "nothing"),
                ("payAsYouGo", "Microsoft bills by use; Kubernetes only"),
            ],
            Self::Terms => &[
                ("standard", "Microsoft's standard contract"),
                ("own", "your own terms, in legal/terms.txt"),
            ],
            _ => &[],
        }
    }

    /// Whether an offer of this kind has it.
    #[must_use]
    pub const fn is_of(self, kind: OfferKind) -> bool {
        match self {
            Self::ExtensionType | Self::TenantId => matches!(kind, OfferKind::Kubernetes),
            _ => true,
        }
    }

    /// The fault in a value as such; the rules of offers report the rest.
    pub fn check(self, text: &str) -> Result<(), String> {
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        if text.len() > VALUE_BYTES_MAX {
            return Err(format!("it has more than {VALUE_BYTES_MAX} bytes"));
        }
        let word = |result: Result<(), String>| result;
        let choices = self.choices();
        if !choices.is_empty() {
            let known: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            return if known.contains(&text) {
                Ok(())
            } else {
                Err(format!("`{text}` is none of {}", known.join(", ")))
            };
        }
        match self {
            Self::PlanId => word(text.parse::<PlanId>().map(|_| ()).map_err(|e| e.to_string())),
            Self::Registry => {
                word(text.parse::<LoginServer>().map(|_| ()).map_err(|e| e.to_string()))
            }
            Self::Repository => {
                word(text.parse::<RepoName>().map(|_| ()).map_err(|e| e.to_string()))
            }
            Self::ExtensionType => is_extension_type(text).then_some(()).ok_or_else(|| {
                "write Publisher.Application in letters, `-` and one `.`".to_owned()
            }),
            Self::Website if text.contains(['?', '#']) => {
                Err("pages are named below it, so it has no query (`?`) and no fragment (`#`)"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// `Publisher.Application`, of letters and `-` (CLI-M has no digits), at most 50 characters.
fn is_extension_type(text: &str) -> bool {
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphabetic() || c == b'-');
    text.len() <= EXTENSION_TYPE_CHARS_MAX
        && text.split_once('.').is_some_and(|(publisher, name)| word(publisher) && word(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_topic_stands_once_in_the_order_of_the_questions() {
        assert!(ALL.is_sorted() && ALL.windows(2).all(|two| two.first() != two.last()));
        for topic in ALL {
            assert!(topic.flag().starts_with("--") && !topic.what().is_empty());
        }
    }

    #[test]
    fn words_are_checked_before_anything_is_made_of_them() {
        for (topic, good, bad) in [
            (Topic::Kind, "image", "Image"),
            (Topic::Licence, "byol", "gratis"),
            (Topic::PlanId, "core", "Core"),
            (Topic::Registry, "quayline.azurecr.io", "https://quayline.azurecr.io"),
            (Topic::Repository, "tidepool/web", "Tidepool/web"),
            (Topic::ExtensionType, "Quayline.Tide-pool", "Quayline.Tidepool2"),
            (Topic::ExtensionType, "A.b", "A.b.c"),
            (Topic::Title, "x", " "),
            (Topic::Website, "https://quayline.dev/tidepool/", "https://quayline.dev/?p=tidepool"),
            (Topic::Website, "https://quayline.dev", "https://quayline.dev/#tidepool"),
        ] {
            topic.check(good).unwrap();
            assert!(topic.check(bad).is_err(), "{bad}");
        }
        assert!(Topic::Title.check(&"x".repeat(3_000)).is_err());
    }
}
