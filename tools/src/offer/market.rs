//! The marketplace settings of an offer besides its plans: its texts in other languages, the target
//! of customer leads, the resellers.

use schemars::JsonSchema;
use serde::Deserialize;

use super::mapping::mapping;
use super::secrets::Secret;
use super::texts::Text;
use super::values::RelativePath;

mapping! {
    /// A useful link.
    Link {
        /// Its text.
        title: String,
        /// Where it leads.
        url: String,
    }

    /// A screenshot.
    Screenshot {
        /// The picture.
        file: RelativePath,
        /// What it shows.
        caption: String,
    }

    /// A video.
    Video {
        /// Its title.
        title: String,
        /// Where it plays.
        url: String,
        /// The picture that stands for it.
        thumbnail: RelativePath,
    }

    /// The listing in one more language; what is left out is as in the first language.
    ListingTranslation {
        /// The language, as `de-de`.
        language: String,
        /// The title.
        title: String,
        /// One sentence for search results.
        search_summary: String,
        /// A plain paragraph.
        short_description: String,
        /// The long text, simple HTML.
        description: Text,
        /// Words to be found by.
        #[serde(default)]
        keywords: Vec<String>,
        /// Useful links.
        #[serde(default)]
        links: Vec<Link>,
        /// The screenshots.
        #[serde(default)]
        screenshots: Vec<Screenshot>,
        /// The videos.
        #[serde(default)]
        videos: Vec<Video>,
    }

    /// The texts of a plan in one more language.
    PlanTranslation {
        /// The language, as `de-de`; one of the listing's.
        language: String,
        /// The name that customers read.
        name: String,
        /// One sentence.
        summary: String,
        /// The long text.
        description: Text,
    }

    /// Where the contacts of interested customers go.
    Lead {
        /// The system that takes them.
        destination: LeadDestination,
        /// Who is written to as well; mail addresses.
        #[serde(default)]
        notify: Vec<String>,
        /// The address of an HTTPS endpoint, of Dynamics 365, or of Marketo's server.
        #[serde(default)]
        url: Option<String>,
        /// The identifier of the organization in Salesforce, or of the account in Marketo.
        #[serde(default)]
        account: Option<String>,
        /// The form in Marketo.
        #[serde(default)]
        form: Option<String>,
        /// The connection string of a table, or the password of Dynamics 365.
        #[serde(default)]
        secret: Option<Secret>,
        /// The user of Dynamics 365.
        #[serde(default)]
        username: Option<String>,
    }

    /// Which partners of the Cloud Solution Provider programme may sell the offer.
    Resale {
        /// All of them, none, or those that are listed.
        channel: ResaleChannel,
        /// Those that may, by the GUIDs of their tenants.
        #[serde(default)]
        partners: Vec<ResalePartner>,
    }

    /// A partner that may sell the offer.
    ResalePartner {
        /// The GUID of its tenant.
        id: String,
        /// A note about it.
        #[serde(default)]
        label: Option<String>,
    }
}

/// A system that takes the contacts of interested customers (PCP, AC-offer-setup).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LeadDestination {
    /// A table of Azure.
    AzureTable,
    /// Dynamics 365 Customer Engagement.
    Dynamics365,
    /// An address that is sent them.
    HttpsEndpoint,
    /// Marketo.
    Marketo,
    /// Salesforce.
    Salesforce,
}

/// Who of the partners may sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResaleChannel {
    /// Any of them.
    All,
    /// None of them.
    None,
    /// Those that are listed.
    Selected,
}
