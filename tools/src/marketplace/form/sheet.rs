//! The pages and fields of Partner Center, empty.

use crate::logins;

/// Why the payload cannot hold a value.
pub(super) const NOT_IN_SCHEMA: &str = "no documented schema of containers has it";

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
pub enum FillMethod {
    /// By the payload.
    Api,
    /// By a person; why.
    Hand(&'static str),
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    Text(String),
    /// Several values.
    List(Vec<FieldItem>),
    /// A text of several lines; simple HTML where it is a description.
    Long(String),
    /// A picture, by its key, with its file.
    Picture(String),
    /// It is left empty.
    Nothing,
}

impl FieldValue {
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
            Self::List(items) => Self::items(items.iter().map(|item| FieldItem {
                value: hidden(&item.value),
                beside: hidden(&item.beside),
            })),
            other => other,
        }
    }

    pub(super) fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Text(text.to_string())
    }

    pub(super) fn optional(text: Option<&impl ToString>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.to_string()))
    }

    pub(super) fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> Self {
        let item = |value: T| FieldItem { value: value.to_string(), beside: String::new() };
        Self::items(values.into_iter().map(item))
    }

    pub(super) fn items(items: impl IntoIterator<Item = FieldItem>) -> Self {
        let items: Vec<FieldItem> = items.into_iter().collect();
        if items.is_empty() { Self::Nothing } else { Self::List(items) }
    }
}

/// One of several values of a field, with its companion value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldItem {
    pub value: String,
    /// A note or an address, in a box of its own; empty where there is none.
    pub beside: String,
}

/// One field of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormField {
    /// The key of the offer (`plans[0].name`).
    pub key: String,
    /// Its label on the page.
    pub label: String,
    pub value: FieldValue,
    pub way: FillMethod,
}

/// One page, for one plan or language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub page: Page,
    /// Its plan or language, where there are several.
    pub of: Option<String>,
    /// Its fields, in the order of the page.
    pub fields: Vec<FormField>,
}

impl Sheet {
    pub(super) fn new(page: Page, of: Option<String>) -> Self {
        Self { page, of, fields: Vec::new() }
    }

    /// A field the payload fills.
    pub(super) fn api(
        &mut self,
        key: impl Into<String>,
        label: impl Into<String>,
        value: FieldValue,
    ) {
        self.add(key, label, value, FillMethod::Api);
    }

    /// A field a person fills.
    pub(super) fn hand(
        &mut self,
        key: impl Into<String>,
        label: impl Into<String>,
        value: FieldValue,
        why: &'static str,
    ) {
        self.add(key, label, value, FillMethod::Hand(why));
    }

    pub(super) fn add(
        &mut self,
        key: impl Into<String>,
        label: impl Into<String>,
        value: FieldValue,
        way: FillMethod,
    ) {
        let value = value.without_secrets();
        self.fields.push(FormField { key: key.into(), label: label.into(), value, way });
    }
}

/// A value with its companion value.
pub(super) fn item(value: &str, beside: Option<&str>) -> FieldItem {
    FieldItem { value: value.to_owned(), beside: beside.unwrap_or_default().to_owned() }
}
