//! The arguments of `wharf offer init`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::offer_init::topics::Topic;

/// `wharf offer init`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct InitArgs {
    /// The folder of the offer, which gets an `offer.yaml`, or the file itself
    #[arg(default_value = ".", value_name = "FOLDER|FILE")]
    pub place: PathBuf,
    /// Take what is proposed for everything that no flag says, and ask nothing
    #[arg(short, long)]
    pub yes: bool,
    /// Replace the offer file and those that it names; never a chart that was there
    #[arg(long)]
    pub force: bool,
    /// The Helm chart that is sold [default: the only one in the folder, or else a first one is
    /// written]
    #[arg(long, value_name = "DIR")]
    pub chart: Option<PathBuf>,
    /// The image: the repository that it will have, an OCI layout or archive on this disk, or
    /// REGISTRY/REPOSITORY:TAG
    #[arg(long, value_name = "REPOSITORY|LAYOUT")]
    pub image: Option<String>,
    /// What customers get: kubernetes, or image for offers that exist
    #[arg(long)]
    pub kind: Option<String>,
    /// The title of the offer
    #[arg(long)]
    pub title: Option<String>,
    /// One sentence about it, of at most 100 characters
    #[arg(long, value_name = "SENTENCE")]
    pub summary: Option<String>,
    /// The publisher ID of the Partner Center account
    #[arg(long, value_name = "ID")]
    pub publisher: Option<String>,
    /// The ID of the offer
    #[arg(long, value_name = "ID")]
    pub offer_id: Option<String>,
    /// The ID of its first plan
    #[arg(long, value_name = "ID")]
    pub plan_id: Option<String>,
    /// What the plan costs: free, byol (customers bring a licence) or payAsYouGo
    #[arg(long, alias = "license")]
    pub licence: Option<String>,
    /// The type of the cluster extension, without digits
    #[arg(long, value_name = "PUBLISHER.APPLICATION")]
    pub extension_type: Option<String>,
    /// The registry that Microsoft copies from, as NAME.azurecr.io
    #[arg(long, value_name = "LOGIN-SERVER")]
    pub registry: Option<String>,
    /// The Azure subscription of the registry, which sees the preview too
    #[arg(long, value_name = "GUID")]
    pub subscription_id: Option<String>,
    /// The tenant of that subscription
    #[arg(long, value_name = "GUID")]
    pub tenant_id: Option<String>,
    /// The resource group of the registry
    #[arg(long, value_name = "NAME")]
    pub resource_group: Option<String>,
    /// The address of the product's pages
    #[arg(long, value_name = "URL")]
    pub website: Option<String>,
    /// The mail address of support
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// The telephone number of support
    #[arg(long, value_name = "NUMBER")]
    pub phone: Option<String>,
    /// The contract with customers: standard (Microsoft's) or own
    #[arg(long)]
    pub terms: Option<String>,
}

impl InitArgs {
    /// What the flags say about each topic. What `--image` names is read, so it is not among it.
    #[must_use]
    pub fn given(&self) -> BTreeMap<Topic, String> {
        let all = [
            (Topic::Kind, &self.kind),
            (Topic::Title, &self.title),
            (Topic::Summary, &self.summary),
            (Topic::Publisher, &self.publisher),
            (Topic::OfferId, &self.offer_id),
            (Topic::PlanId, &self.plan_id),
            (Topic::Licence, &self.licence),
            (Topic::ExtensionType, &self.extension_type),
            (Topic::Registry, &self.registry),
            (Topic::SubscriptionId, &self.subscription_id),
            (Topic::TenantId, &self.tenant_id),
            (Topic::ResourceGroup, &self.resource_group),
            (Topic::Website, &self.website),
            (Topic::Email, &self.email),
            (Topic::Phone, &self.phone),
            (Topic::Terms, &self.terms),
        ];
        all.into_iter().filter_map(|(topic, text)| Some((topic, text.clone()?))).collect()
    }
}
