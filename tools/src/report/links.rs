//! A rule's page: the pages behind the keys of `Rule::source`. The text of old pages moved; a key
//! of a removed page leads to its successor.

use crate::rules::Rule;

/// Where Microsoft's pages on offers of containers are.
const OFFERS: &str = "https://learn.microsoft.com/partner-center/marketplace-offers/";

/// Where the pages on the services are.
const AZURE: &str = "https://learn.microsoft.com/azure/";

/// The manual of Linux.
const MANUAL: &str = "https://man7.org/linux/man-pages/";

/// The beginning of a source, the place, and the page there. The first match is taken.
const PAGES: [(&str, &str, &str); 31] = [
    ("AC-offer-setup", OFFERS, "azure-container-offer-setup"),
    ("AC-offer-listing", OFFERS, "azure-container-offer-listing"),
    ("AC-properties", OFFERS, "azure-container-properties"),
    ("AC-preview-audience", OFFERS, "azure-container-preview-audience"),
    ("AC-plan-overview", OFFERS, "azure-container-plan-overview"),
    ("AC-plan-setup", OFFERS, "azure-container-plan-setup"),
    ("AC-plan-listing", OFFERS, "azure-container-plan-listing"),
    ("AC-plan-availability", OFFERS, "azure-container-plan-availability"),
    ("AC-plan-technical-configuration", OFFERS, "azure-container-plan-technical-configuration"),
    ("AC-technical-assets", OFFERS, "azure-container-technical-assets-kubernetes"),
    ("AC-troubleshoot", OFFERS, "azure-container-troubleshoot"),
    ("AC-", OFFERS, "marketplace-containers"),
    ("CERTFAQ", OFFERS, "azure-container-certification-faq"),
    ("PIAC", OFFERS, "product-ingestion-api-transactable-containers"),
    ("PIA", OFFERS, "product-ingestion-api"),
    ("CLI-", OFFERS, "product-ingestion-api"),
    ("RPO", OFFERS, "review-publish-offer"),
    ("LIST", OFFERS, "marketplace-criteria-content-validation"),
    ("GTM", OFFERS, "gtm-offer-listing-best-practices"),
    ("ACI/container-instances-faq", AZURE, "container-instances/container-instances-faq"),
    (
        "ACI/container-instances-resource-and-quota-limits",
        AZURE,
        "container-instances/container-instances-resource-and-quota-limits",
    ),
    (
        "ACI/container-instances-troubleshooting",
        AZURE,
        "container-instances/container-instances-troubleshooting",
    ),
    (
        "ACI/container-instances-liveness-probe",
        AZURE,
        "container-instances/container-instances-liveness-probe",
    ),
    ("ACI", AZURE, "container-instances/"),
    (
        "ACR/container-registry-image-formats",
        AZURE,
        "container-registry/container-registry-image-formats",
    ),
    ("ACRLIM", AZURE, "container-registry/container-registry-skus"),
    ("ACR", AZURE, "container-registry/"),
    ("execve(2)", MANUAL, "man2/execve.2.html"),
    ("ld.so(8)", MANUAL, "man8/ld.so.8.html"),
    ("OCI image", "https://github.com/opencontainers/image-spec/", "blob/main/spec.md"),
    (
        "OCI distribution",
        "https://github.com/opencontainers/distribution-spec/",
        "blob/main/spec.md",
    ),
];

/// The page about a rule; the planning page of container offers for a rule without one of its own
/// (inferences, and removed pages).
pub(super) fn page(rule: &Rule) -> String {
    let known = |key: &str| {
        let found = PAGES.iter().find(|(begin, ..)| key.starts_with(begin));
        found.map(|(_, place, page)| format!("{place}{page}"))
    };
    let keys = rule.source.split([';', ',']).map(str::trim);
    let keys = keys
        .map(|key| key.trim_start_matches("INFERENCE from ").trim_start_matches("the tags in "));
    keys.into_iter().find_map(known).unwrap_or_else(|| format!("{OFFERS}marketplace-containers"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::{all, find};

    #[test]
    fn every_rule_leads_to_a_page_and_most_to_their_own() {
        let general = format!("{OFFERS}marketplace-containers");
        let pages: Vec<_> = all().map(|rule| (rule.id, page(rule))).collect();
        assert!(pages.iter().all(|(_, page)| page.starts_with("https://")));
        let own = pages.iter().filter(|(_, page)| *page != general).count();
        assert!(own * 3 > pages.len() * 2, "{own} of {}", pages.len());
    }

    #[test]
    fn the_first_key_that_has_a_page_counts() {
        let of = |id: &str| page(find(id).unwrap());
        assert!(of("TEC-011").ends_with("/azure-container-plan-technical-configuration"));
        assert!(of("IMG-003").ends_with("/image-spec/blob/main/spec.md"));
    }
}
