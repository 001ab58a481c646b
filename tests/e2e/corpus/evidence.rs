//! Reports of scanners and registries, and waivers: files beside an image.

use std::path::Path;

use serde_json::{Value, json};
use wharf_testkit::handmade::{Handmade, Written};

use super::{Case, Error, Make, NotProven, Warning, Weight};

/// A vector of each score named in the cases.
const VECTOR: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";

const fn scanned(
    rule: &'static str,
    weight: Weight,
    what: &'static str,
    report: fn(&Written) -> Value,
) -> Case {
    Case { rule, weight, what, make: Make::Scanned(report) }
}

const fn registry(
    rule: &'static str,
    weight: Weight,
    what: &'static str,
    change: fn(&mut Handmade, &mut Value),
) -> Case {
    Case { rule, weight, what, make: Make::Registry(change) }
}

const fn waived(
    rule: &'static str,
    weight: Weight,
    what: &'static str,
    image: fn(&mut Handmade),
    waivers: &'static str,
) -> Case {
    Case { rule, weight, what, make: Make::Waived(image, waivers) }
}

pub(super) const CASES: &[Case] = &[
    scanned("IMG-020", Error, "Trivy found a vulnerability of 9.8", |written| {
        trivy(written, &now(), &json!({ "nvd": { "V3Vector": VECTOR, "V3Score": 9.8 } }))
    }),
    scanned("IMG-020", Error, "Trivy calls low what has a score of 7.0", |written| {
        let mut report = trivy(written, &now(), &json!({ "nvd": { "V3Score": 7.0 } }));
        report["Results"][0]["Vulnerabilities"][0]["Severity"] = "LOW".into();
        report
    }),
    scanned("IMG-020", Error, "Grype found a vulnerability of 9.8", grype),
    scanned("IMG-020", Error, "a CycloneDX document has a vulnerability of 9.8", cyclonedx),
    scanned("IMG-021", Warning, "a report lists nothing, as without a scan", |written| {
        let mut report = trivy(written, &now(), &json!({}));
        report["Results"][0]["Vulnerabilities"] = json!([]);
        report
    }),
    scanned("IMG-021", Warning, "a report is of 2020", |written| {
        trivy(written, "2020-03-01T08:00:00Z", &json!({ "nvd": { "V3Score": 3.1 } }))
    }),
    scanned("IMG-021", Error, "a report is of another image", |written| {
        let mut report = trivy(written, &now(), &json!({ "nvd": { "V3Score": 3.1 } }));
        let other = format!("sha256:{}", "6".repeat(64));
        report["Metadata"] = json!({
            "ImageID": other, "DiffIDs": [other], "RepoDigests": [format!("tide@{other}")],
            "ImageConfig": { "architecture": "amd64", "os": "linux" },
        });
        report
    }),
    scanned("IMG-022", Warning, "a vulnerability has no score", |written| {
        trivy(written, &now(), &json!({}))
    }),
    registry("REG-001", Error, "the registry has no admin user", |_, state| {
        state["adminUserEnabled"] = false.into();
    }),
    registry("REG-001", Error, "the registry could not be changed", |_, state| {
        state["provisioningState"] = "Failed".into();
    }),
    registry("REG-003", Warning, "the registry goes by roles of repositories", |_, state| {
        state["roleAssignmentMode"] = "AbacRepositoryPermissions".into();
    }),
    registry("REG-004", Error, "nobody outside reaches the registry", |_, state| {
        state["sku"] = json!({ "name": "Premium", "tier": "Premium" });
        state["publicNetworkAccess"] = "Disabled".into();
        state["networkRuleBypassOptions"] = "None".into();
    }),
    registry("REG-005", NotProven, "the registry puts images in quarantine", |_, state| {
        state["sku"] = json!({ "name": "Premium", "tier": "Premium" });
        state["policies"]["quarantinePolicy"]["status"] = "enabled".into();
    }),
    registry("REG-007", Warning, "the registry deletes softly and at once", |_, state| {
        state["sku"] = json!({ "name": "Premium", "tier": "Premium" });
        state["policies"]["softDeletePolicy"]["status"] = "enabled".into();
        state["policies"]["retentionPolicy"]["status"] = "enabled".into();
    }),
    registry("REG-012", Warning, "the registry is encrypted by a key of its owner", |_, state| {
        state["sku"] = json!({ "name": "Premium", "tier": "Premium" });
        state["encryption"] = json!({
            "status": "enabled",
            "keyVaultProperties": { "keyIdentifier": "https://vault.quayline.dev/keys/tide" },
        });
    }),
    registry("REG-014", Error, "the registry is set to what its tier has not", |_, state| {
        state["dataEndpointEnabled"] = true.into();
    }),
    registry(
        "REG-015",
        Error,
        "the registry is in another group than the offer says",
        |_, state| {
            state["resourceGroup"] = "other-group".into();
            state["id"] =
                state["id"].as_str().unwrap().replace("harbour-group", "other-group").into();
        },
    ),
    waived(
        "WVR-001",
        Warning,
        "a waiver has expired",
        |_| (),
        "  - { rule: IMG-037, image: \"*\", reason: None is run here., expires: 2020-01-01 }\n",
    ),
    waived(
        "WVR-002",
        Warning,
        "a waiver waives nothing",
        |_| (),
        "  - { rule: IMG-037, image: \"*\", reason: None is run here., expires: EXPIRES }\n",
    ),
    waived(
        "WVR-003",
        Error,
        "a waiver is of a rule that does not exist",
        |_| (),
        "  - { rule: IMG-999, image: \"*\", reason: None is run here., expires: EXPIRES }\n",
    ),
];

/// Waived findings do not count.
pub(super) const HEALTHY: &[(&str, Make)] = &[
    (
        "a report of what is below the line",
        Make::Scanned(|written| {
            trivy(
                written,
                &now(),
                &json!({ "nvd": { "V3Vector": "CVSS:3.1/AV:N/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N", "V3Score": 2.6 } }),
            )
        }),
    ),
    ("a registry as it should be", Make::Registry(|_, _| ())),
];

/// This moment, as RFC 3339 writes it.
pub(super) fn now() -> String {
    let now = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    String::from_utf8(now.unwrap().stdout).unwrap().trim().to_owned()
}

/// The day a month from now.
fn in_a_month() -> String {
    let day = std::process::Command::new("date").args(["-u", "-d", "+30 days", "+%F"]).output();
    String::from_utf8(day.unwrap().stdout).unwrap().trim().to_owned()
}

/// A file of waivers, in a folder.
pub(super) fn write_waivers(folder: &Path, waivers: &str) -> std::path::PathBuf {
    let file = folder.join("waivers.yaml");
    let text = format!("version: 1\nwaivers:\n{}", waivers.replace("EXPIRES", &in_a_month()));
    std::fs::write(&file, text).unwrap();
    file
}

/// A report of Trivy of linux/amd64 with one vulnerability.
fn trivy(written: &Written, made: &str, scores: &Value) -> Value {
    json!({
        "SchemaVersion": 2, "CreatedAt": made, "ArtifactName": "tide", "ArtifactType": "container_image",
        "Metadata": {
            "ImageID": written.configs[0].digest,
            "RepoDigests": [format!("tide@{}", written.manifests[0].digest)],
            "ImageConfig": { "architecture": "amd64", "os": "linux" },
        },
        "Results": [{
            "Target": "tide (debian 13)", "Class": "os-pkgs", "Type": "debian",
            "Packages": [{ "Name": "libtide3", "Version": "3.1-1" }],
            "Vulnerabilities": [{
                "VulnerabilityID": "CVE-2026-10001", "PkgName": "libtide3",
                "InstalledVersion": "3.1-1", "FixedVersion": "3.1-2", "Severity": "HIGH",
                "CVSS": scores,
            }],
        }],
    })
}

/// The same of Grype.
fn grype(written: &Written) -> Value {
    json!({
        "matches": [{
            "vulnerability": {
                "id": "CVE-2026-10001", "severity": "Low", "dataSource": "", "namespace": "debian",
                "cvss": [{ "version": "3.1", "vector": VECTOR, "metrics": { "baseScore": 9.8 } }],
                "fix": { "versions": ["3.1-2"], "state": "fixed" },
            },
            "relatedVulnerabilities": [],
            "artifact": { "name": "libtide3", "version": "3.1-1", "type": "deb" },
        }],
        "source": { "type": "image", "target": {
            "userInput": "tide", "imageID": written.configs[0].digest,
            "manifestDigest": written.manifests[0].digest, "repoDigests": [], "layers": [],
        } },
        "descriptor": { "name": "grype", "version": "0.90.0", "timestamp": now(),
            "db": { "built": now(), "schemaVersion": 5 } },
    })
}

/// The same as `CycloneDX`.
pub(super) fn cyclonedx(written: &Written) -> Value {
    let digest = &written.manifests[0].digest;
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "metadata": {
            "timestamp": now(),
            "tools": { "components": [{ "type": "application", "name": "tide-scan" }] },
            "component": {
                "type": "container", "bom-ref": "tide", "name": "tide", "version": digest,
                "purl": format!("pkg:oci/tide@{}", digest.replace(':', "%3A")),
            },
        },
        "components": [
            { "type": "library", "bom-ref": "libtide3", "name": "libtide3", "version": "3.1-1" },
        ],
        "vulnerabilities": [{
            "id": "CVE-2026-10001",
            "ratings": [
                { "score": 9.8, "severity": "critical", "method": "CVSSv31", "vector": VECTOR },
            ],
            "affects": [{ "ref": "libtide3" }],
        }],
    })
}

/// The output of `az acr show` for the registry of the offer.
pub(super) fn registry_state() -> Value {
    json!({
        "id": "/subscriptions/51e0b7c4-2d39-4f6a-8c1b-93a7d4e6f058/resourceGroups/harbour-group\
               /providers/Microsoft.ContainerRegistry/registries/quayharbour",
        "name": "quayharbour", "type": "Microsoft.ContainerRegistry/registries",
        "loginServer": "quayharbour.azurecr.io", "resourceGroup": "harbour-group",
        "location": "northeurope", "sku": { "name": "Standard", "tier": "Standard" },
        "provisioningState": "Succeeded", "adminUserEnabled": true, "anonymousPullEnabled": false,
        "dataEndpointEnabled": false, "publicNetworkAccess": "Enabled", "networkRuleSet": null,
        "networkRuleBypassOptions": "AzureServices", "zoneRedundancy": "Disabled",
        "roleAssignmentMode": "LegacyRegistryPermissions",
        "encryption": { "keyVaultProperties": null, "status": "disabled" },
        "policies": {
            "exportPolicy": { "status": "enabled" },
            "quarantinePolicy": { "status": "disabled" },
            "retentionPolicy": { "days": 7, "status": "disabled" },
            "softDeletePolicy": { "retentionDays": 7, "status": "disabled" },
            "trustPolicy": { "status": "disabled", "type": "Notary" },
        },
    })
}
