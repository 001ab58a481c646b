//! The pages of Partner Center with their fields, filled from an offer: a person's input, and the
//! part of it the API takes instead. The payload's notes and the checklist are made from it.
//!
//! Invariant: every key of an offer is a field here, or stands in [`ELSEWHERE`]; no secret is in it.

mod listing;
mod plans;
mod whole;

use crate::logins;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::{Plan, PlanKind};

/// Why the payload cannot hold a value.
const NOT_IN_SCHEMA: &str = "no documented schema of containers has it";

/// A page of Partner Center, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Page {
    /// The offer's identity.
    OfferSetup,
    /// Where contacts of interested customers go.
    CustomerLeads,
    /// Categories and terms.
    Properties,
    /// Texts and pictures.
    OfferListing,
    /// The preview's audience.
    PreviewAudience,
    /// A plan's identity.
    PlanSetup,
    PlanListing,
    /// Its price and audience.
    PlanPricing,
    /// The images or bundles that Microsoft copies.
    PlanTechnical,
    /// The resellers.
    Resell,
    /// Notes for certification, and the button.
    Review,
}

impl Page {
    /// Its title in Partner Center.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::OfferSetup => "Offer setup",
            Self::CustomerLeads => "Customer leads",
            Self::Properties => "Properties",
            Self::OfferListing => "Offer listing",
            Self::PreviewAudience => "Preview audience",
            Self::PlanSetup => "Plan setup",
            Self::PlanListing => "Plan listing",
            Self::PlanPricing => "Pricing and availability",
            Self::PlanTechnical => "Technical configuration",
            Self::Resell => "Resell through CSPs",
            Self::Review => "Review and publish",
        }
    }
}

/// How a field is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the payload.
    Api,
    /// By a person; why.
    Hand(&'static str),
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    Text(String),
    List(Vec<Item>),
    /// A text of several lines; simple HTML where it is a description.
    Long(String),
    /// A picture, by its key, with its file.
    Picture(String),
    /// It is left empty.
    Nothing,
}

impl Shown {
    /// Whether there is nothing to enter.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Forms go further than the offer: a person takes a secret from its own source.
    fn without_secrets(self) -> Self {
        let hidden = |text: &str| logins::hide_in_address(text).into_owned();
        match self {
            Self::Text(text) => Self::Text(hidden(&text)),
            Self::List(items) => Self::items(
                items
                    .iter()
                    .map(|item| Item { value: hidden(&item.value), beside: hidden(&item.beside) }),
            ),
            other => other,
        }
    }

    fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Text(text.to_string())
    }

    fn optional(text: Option<&impl ToString>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.to_string()))
    }

    fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> Self {
        let item = |value: T| Item { value: value.to_string(), beside: String::new() };
        Self::items(values.into_iter().map(item))
    }

    fn items(items: impl IntoIterator<Item = Item>) -> Self {
        let items: Vec<Item> = items.into_iter().collect();
        if items.is_empty() { Self::Nothing } else { Self::List(items) }
    }
}

/// One of several values of a field, with its companion value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub value: String,
    /// A note or an address, in a box of its own; empty where there is none.
    pub beside: String,
}

/// One field of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The key of the offer (`plans[0].name`).
    pub key: String,
    /// Its label on the page.
    pub label: String,
    pub value: Shown,
    pub way: Way,
}

/// One page, for one plan or language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub page: Page,
    /// Its plan or language, where there are several.
    pub of: Option<String>,
    /// Its fields, in the order of the page.
    pub fields: Vec<Field>,
}

/// All pages of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// In the order in which a person fills them.
    pub sheets: Vec<Sheet>,
}

/// Keys for `wharf` alone, or within another part of the payload: the end of a key, and its
/// destination.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("version", "the format of the file"),
    ("offer.registry", "which of the registries Microsoft copies from"),
    ("registries.*.loginServer", "where wharf pushes"),
    ("registries.*.plainHttp", "how wharf pushes"),
    ("listing.assetBaseUrl", "the start of the addresses of pictures"),
    ("plans[].kind", "what the plan is made of"),
    ("plans[].image.**", "the image, which Microsoft copies"),
    ("plans[].images.**", "the images of the chart, which the bundle names"),
    ("plans[].resources.**", "what `offer deploy` writes"),
    ("plans[].chart", "the bundle"),
    ("plans[].manifest", "the bundle"),
    ("plans[].uiDefinition", "the bundle"),
    ("plans[].armTemplate", "the bundle"),
    ("plans[].clusters", "the bundle: its manifest and template"),
    ("plans[].scope", "the bundle: its manifest"),
    ("plans[].namespace", "the bundle: its manifest"),
];

impl Form {
    /// Fills the pages.
    #[must_use]
    pub fn of(file: &OfferFile, content: &Content) -> Self {
        let offer = &file.offer;
        let mut sheets = vec![whole::setup(offer), whole::leads(offer)];
        sheets.push(whole::properties(offer, content));
        sheets.extend(listing::sheets(offer, content));
        sheets.push(whole::preview(offer, content));
        for (place, plan) in offer.plans.iter().enumerate() {
            sheets.extend(plans::sheets(file, content, place, plan));
        }
        sheets.push(whole::resell(offer));
        sheets.push(whole::review(content));
        Self { sheets }
    }

    /// Every field with its page.
    pub fn fields(&self) -> impl Iterator<Item = (&Sheet, &Field)> {
        self.sheets.iter().flat_map(|sheet| sheet.fields.iter().map(move |field| (sheet, field)))
    }
}

impl Sheet {
    fn new(page: Page, of: Option<String>) -> Self {
        Self { page, of, fields: Vec::new() }
    }

    /// A field the payload fills.
    fn api(&mut self, key: impl Into<String>, label: impl Into<String>, value: Shown) {
        self.add(key, label, value, Way::Api);
    }

    /// A field a person fills.
    fn hand(
        &mut self,
        key: impl Into<String>,
        label: impl Into<String>,
        value: Shown,
        why: &'static str,
    ) {
        self.add(key, label, value, Way::Hand(why));
    }

    fn add(&mut self, key: impl Into<String>, label: impl Into<String>, value: Shown, way: Way) {
        let value = value.without_secrets();
        self.fields.push(Field { key: key.into(), label: label.into(), value, way });
    }
}

/// Whether a plan is a Kubernetes application.
fn is_application(plan: &Plan) -> bool {
    matches!(plan.kind, PlanKind::Kubernetes(_))
}

/// A value with its companion value.
fn item(value: &str, beside: Option<&str>) -> Item {
    Item { value: value.to_owned(), beside: beside.unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests;
