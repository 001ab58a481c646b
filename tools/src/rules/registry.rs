//! Rules TEC-001 to TEC-006: the registry Microsoft copies from. A registry for the publisher alone
//! is judged by its Azure keys, if it has any.

use super::identity::is_guid;
use super::{Check, Findings, OfferView, Rule, Severity};
use crate::offer::model::AzureRegistry;

/// Longest repository name in the technical configuration, with its prefix.
const REPOSITORY_CHARS_MAX: usize = 100;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "TEC-001",
        title: "the subscription and the tenant of the registry are GUIDs",
        severity: Severity::Error,
        source: "CLI-M",
        why: "Microsoft looks the registry up in this subscription.",
        fix: "copy the IDs from `az account show`",
        check: Check::Offer(|view, judge| {
            let published = format!("registries.{}", view.offer.offer.registry);
            for (key, azure) in azure(view) {
                if !is_guid(&azure.subscription_id) {
                    let message = format!("`{}` is not a GUID", azure.subscription_id);
                    judge.error(&format!("{key}.azure.subscriptionId"), message);
                }
                if let Some(tenant) = azure.tenant_id.as_ref().filter(|id| !is_guid(id)) {
                    let message = format!("`{tenant}` is not the GUID of a tenant");
                    judge.error(&format!("{key}.azure.tenantId"), message);
                }
            }
            if !view.file.has(&format!("{published}.azure")) {
                let message = "the registry that Microsoft copies from has no `azure` entry";
                judge.error(&published, message);
            }
        }),
    },
    Rule {
        id: "TEC-002",
        title: "the resource group has a name that Azure accepts",
        severity: Severity::Error,
        source: "CLI-M; limit of 90 by INFERENCE from Azure Resource Manager",
        why: "Microsoft looks the registry up in this group.",
        fix: "copy the resource group from `az acr show`",
        check: Check::Offer(|view, judge| {
            for (key, azure) in azure(view) {
                resource_group(judge, &format!("{key}.azure.resourceGroup"), azure);
            }
        }),
    },
    Rule {
        id: "TEC-003",
        title: "the registry name has 5 to 50 letters and digits and no domain",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration; ACR naming",
        why: "The form asks for the name only; `.azurecr.io` makes it fail.",
        fix: "write the name without `.azurecr.io`, in lowercase",
        check: Check::Offer(|view, judge| {
            for (key, azure) in azure(view) {
                let (key, name) = (format!("{key}.azure.registryName"), &azure.registry_name);
                if !is_registry_name(name) {
                    judge.error(&key, format!("`{name}` is not the name of a registry"));
                } else if name.bytes().any(|c| c.is_ascii_uppercase()) {
                    judge.warning(&key, format!("`{name}` has capital letters"));
                }
            }
        }),
    },
    Rule {
        id: "TEC-004",
        title: "the login server belongs to the registry name",
        severity: Severity::Warning,
        source: "ACR/get-started-azure-cli",
        why: "Images would be pushed to one registry and copied from another.",
        fix: "compare `loginServer` and `registryName` with `az acr show`",
        check: Check::Offer(|view, judge| {
            for (key, azure) in azure(view) {
                let Some(name) = key.strip_prefix("registries.") else { continue };
                let registries = &view.offer.registries;
                let entry = registries.iter().find(|(known, _)| known.as_str() == name);
                let Some((_, entry)) = entry else { continue };
                // An invalid name has no login server; TEC-003 is about it.
                if is_registry_name(&azure.registry_name)
                    && !belongs(entry.login_server.as_str(), &azure.registry_name)
                {
                    let (server, name) = (&entry.login_server, &azure.registry_name);
                    let message = format!("`{server}` is not the login server of `{name}`");
                    judge.warning(&format!("{key}.loginServer"), message);
                }
            }
        }),
    },
    Rule {
        id: "TEC-005",
        title: "the registry that Microsoft copies from has credentials, by reference",
        severity: Severity::Error,
        source: "CLI-M; secrecy by INFERENCE",
        why: "Microsoft copies with the admin user; a literal secret is refused when the file is read.",
        fix: "write `credentials` with `env: NAME` or `file: PATH` for user and password",
        check: Check::Offer(|view, judge| {
            let name = &view.offer.offer.registry;
            let entry = view.offer.registries.get(name);
            if entry.is_some_and(|entry| entry.credentials.is_none()) {
                let message = format!("the registry `{name}` has no credentials to copy with");
                judge.error(&format!("registries.{name}"), message);
            }
        }),
    },
    Rule {
        id: "TEC-006",
        title: "the repository with its prefix has at most 100 characters",
        severity: Severity::Error,
        source: "CLI-M",
        why: "The technical configuration takes no longer name, and it can never change.",
        fix: "shorten the repository or the prefix",
        check: Check::Offer(repositories),
    },
];

/// Every registry with its Azure identity, with its key.
fn azure<'a>(view: &'a OfferView<'_>) -> Vec<(String, &'a AzureRegistry)> {
    let registries = view.offer.registries.iter();
    registries
        .filter_map(|(name, entry)| Some((format!("registries.{name}"), entry.azure.as_ref()?)))
        .collect()
}

/// Whether it is 5 to 50 letters and digits.
#[must_use]
pub(crate) fn is_registry_name(name: &str) -> bool {
    (5..=50).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric())
}

fn resource_group(judge: &mut Findings<'_>, key: &str, azure: &AzureRegistry) {
    let name = &azure.resource_group;
    let count = name.chars().count();
    let word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
    if count == 0 || count > 100 || !name.chars().all(word) || name.ends_with('.') {
        judge.error(key, format!("`{name}` is not the name of a resource group"));
    } else if count > 90 {
        judge.narrow(key, format!("`{name}` has {count} characters; Azure allows 90"));
    }
}

/// `name.azurecr.io`, or `name-hash.azurecr.io` with a domain name label; other clouds have other
/// domains.
fn belongs(login_server: &str, name: &str) -> bool {
    let host = login_server.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let Some((label, domain)) = host.split_once('.') else { return false };
    let name = name.to_ascii_lowercase();
    let labelled = label.strip_prefix(&name).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('-').is_some_and(|hash| !hash.is_empty())
    });
    labelled && matches!(domain, "azurecr.io" | "azurecr.cn" | "azurecr.us")
}

fn repositories(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let registry = view.offer.registries.get(&view.offer.offer.registry);
    let prefix = registry.and_then(|registry| registry.prefix.as_ref());
    for image in view.offer.images() {
        let repository = image.image.repository.as_str();
        let whole =
            prefix.map_or(repository.len(), |prefix| prefix.as_str().len() + 1 + repository.len());
        if whole > REPOSITORY_CHARS_MAX {
            let message = format!(
                "the repository has {whole} characters with its prefix; {REPOSITORY_CHARS_MAX} is the most"
            );
            judge.error(&format!("{}.repository", image.key), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::belongs;

    #[test]
    fn login_servers_belong_to_their_registry() {
        assert!(belongs("quayline.azurecr.io", "quayline"));
        assert!(belongs("quayline-h4sh.azurecr.io", "Quayline"));
        assert!(!belongs("quaylinestaging.azurecr.io", "quayline"));
        assert!(!belongs("quayline.example.org", "quayline"));
        assert!(!belongs("localhost:5000", "quayline"));
    }
}
