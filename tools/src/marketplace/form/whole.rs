//! The pages of the offer as a whole.

use super::sheet::{FieldValue, NOT_IN_SCHEMA, Page, Sheet, item};
use crate::offer::content::Content;
use crate::offer::model::{LeadDestination, Offer, ResaleChannel};
use crate::offer::texts::Terms;

pub(super) fn setup(offer: &Offer) -> Sheet {
    let mut sheet = Sheet::new(Page::OfferSetup, None);
    let account = "it is the account that you are logged in with";
    sheet.hand("publisher", "Publisher", FieldValue::text(&offer.publisher), account);
    sheet.api("offer.id", "Offer ID", FieldValue::text(&offer.offer.id));
    sheet.api("offer.alias", "Offer alias", FieldValue::text(&offer.offer.alias));
    let sells = if offer.offer.sell_through_microsoft { "Yes" } else { "No" };
    sheet.api("offer.sellThroughMicrosoft", "Sell through Microsoft", FieldValue::text(sells));
    sheet
}

/// Microsoft's API has a resource for it, but no documented sample, and its keys for Marketo changed in
/// December 2022 to some this file does not have.
pub(super) fn leads(offer: &Offer) -> Sheet {
    const WHY: &str = "the keys of the API for it are not documented, and it holds a secret";
    let mut sheet = Sheet::new(Page::CustomerLeads, None);
    let Some(leads) = &offer.leads else {
        sheet.hand("leads", "Lead destination", FieldValue::Nothing, WHY);
        return sheet;
    };
    let destination = match leads.destination {
        LeadDestination::AzureTable => "Azure table",
        LeadDestination::Dynamics365 => "Dynamics 365 Customer Engagement",
        LeadDestination::HttpsEndpoint => "HTTPS endpoint",
        LeadDestination::Marketo => "Marketo",
        LeadDestination::Salesforce => "Salesforce",
    };
    sheet.hand("leads.destination", "Lead destination", FieldValue::text(destination), WHY);
    sheet.hand("leads.url", "Address", FieldValue::optional(leads.url.as_ref()), WHY);
    sheet.hand("leads.account", "Account", FieldValue::optional(leads.account.as_ref()), WHY);
    sheet.hand("leads.form", "Form", FieldValue::optional(leads.form.as_ref()), WHY);
    sheet.hand("leads.username", "User name", FieldValue::optional(leads.username.as_ref()), WHY);
    sheet.hand("leads.secret", "Secret", FieldValue::optional(leads.secret.as_ref()), WHY);
    sheet.hand("leads.notify", "Contact mail addresses", FieldValue::list(&leads.notify), WHY);
    sheet
}

pub(super) fn properties(offer: &Offer, content: &Content) -> Sheet {
    let mut sheet = Sheet::new(Page::Properties, None);
    for (name, below) in &offer.properties.categories {
        let label = format!("Category {name}");
        sheet.api(format!("properties.categories.{name}"), label, FieldValue::list(below));
    }
    let standard = if offer.legal.standard_contract { "Yes" } else { "No" };
    sheet.api("legal.standardContract", "Use the Standard Contract", FieldValue::text(standard));
    match (&offer.legal.terms, &content.terms) {
        (Some(Terms::Url(url)), _) => {
            sheet.api("legal.terms.url", "Terms of use link", FieldValue::text(url));
        }
        (Some(Terms::Text(_)), Some(text)) => {
            sheet.api("legal.terms", "Terms and conditions", FieldValue::Long(text.clone()));
        }
        _ => sheet.api("legal.terms", "Terms and conditions", FieldValue::Nothing),
    }
    sheet
}

pub(super) fn preview(offer: &Offer, content: &Content) -> Sheet {
    let mut sheet = Sheet::new(Page::PreviewAudience, None);
    let preview = &offer.preview;
    let named = preview.subscriptions.iter().map(|one| item(&one.id, one.label.as_deref()));
    sheet.api("preview.subscriptions", "Azure subscription IDs", FieldValue::items(named));
    if let Some(csv) = &preview.csv {
        let rows = content.preview_table.iter().flat_map(|table| &table.rows);
        let rows = rows.map(|row| item(&row.id, Some(&row.description)));
        let label = format!("Audience of the file {csv}");
        sheet.api("preview.csv", label, FieldValue::items(rows));
    }
    sheet
}

pub(super) fn resell(offer: &Offer) -> Sheet {
    let mut sheet = Sheet::new(Page::Resell, None);
    let Some(resale) = &offer.resale else {
        sheet.api("resale", "Who may resell", FieldValue::Nothing);
        return sheet;
    };
    let channel = match resale.channel {
        ResaleChannel::All => "Any partner in the CSP program",
        ResaleChannel::None => "No partners in the CSP program",
        ResaleChannel::Selected => "Specific partners in the CSP program",
    };
    sheet.api("resale.channel", "Who may resell", FieldValue::text(channel));
    let partners = resale.partners.iter().map(|one| item(&one.id, one.label.as_deref()));
    sheet.api("resale.partners", "Partners", FieldValue::items(partners));
    sheet
}

pub(super) fn review(content: &Content) -> Sheet {
    let mut sheet = Sheet::new(Page::Review, None);
    let notes = content.certification_notes.clone().map_or(FieldValue::Nothing, FieldValue::Long);
    sheet.hand("certificationNotes", "Notes for certification", notes, NOT_IN_SCHEMA);
    sheet
}
