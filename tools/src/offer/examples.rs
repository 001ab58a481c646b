//! An example of every key of an offer, its default, and its rules. Messages, the schema and the
//! reference say the same by this.

use serde_json::Value;

use super::schema::{choices, resolve};

/// The facts about a key besides its type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) mapping: &'static str,
    /// The key in it.
    pub(super) key: &'static str,
    /// A value as it is written, in YAML; nothing where the type says enough.
    example: &'static str,
    /// The default value, in YAML.
    default: &'static str,
    /// The IDs of the value's rules, with spaces between them.
    rules: &'static str,
}

impl Row {
    /// The example as a value.
    pub(super) fn example(&self) -> Option<Value> {
        read(self.example)
    }

    /// The default value.
    pub(super) fn default(&self) -> Option<Value> {
        read(self.default)
    }

    /// The IDs of the value's rules.
    pub(super) fn rules(&self) -> impl Iterator<Item = &'static str> {
        self.rules.split_whitespace()
    }
}

fn read(yaml: &str) -> Option<Value> {
    if yaml.is_empty() { None } else { serde_saphyr::from_str(yaml).ok() }
}

/// The facts about this key.
pub(super) fn find(mapping: &str, key: &str) -> Option<&'static Row> {
    // The keys of an input are those of a layer.
    let mapping = if mapping == "Input" { "Layer" } else { mapping };
    ROWS.iter().find(|row| row.mapping == mapping && row.key == key)
}

/// How a value of this part of the schema is written, in one line.
pub(super) fn example(part: &Value, schema: &Value) -> Option<String> {
    let first = |part: &Value| part.get("examples")?.get(0).map(flow);
    let resolved = resolve(part, schema);
    if let Some(example) = first(part).or_else(|| first(resolved)) {
        return Some(example);
    }
    if let Some(word) = choices(resolved).and_then(|words| words.first().copied()) {
        return Some(word.to_owned());
    }
    if let Some(several) = resolved.get("anyOf").and_then(Value::as_array) {
        return several.iter().find_map(|one| example(one, schema));
    }
    let kind = resolved.get("type")?;
    match kind.as_str().or_else(|| kind.get(0)?.as_str())? {
        "boolean" => Some("true".to_owned()),
        "array" => Some(format!("[{}]", example(resolved.get("items")?, schema)?)),
        "object" => {
            let properties = resolved.get("properties")?;
            let required = resolved.get("required").and_then(Value::as_array);
            let pairs = required.into_iter().flatten().filter_map(|key| {
                let key = key.as_str()?;
                Some(format!("{key}: {}", example(properties.get(key)?, schema)?))
            });
            let pairs: Vec<String> = pairs.collect();
            if pairs.is_empty() {
                Some("{ … }".to_owned())
            } else {
                Some(format!("{{ {} }}", pairs.join(", ")))
            }
        }
        _ => None,
    }
}

/// A value as it is written in one line of YAML.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(pairs) if pairs.is_empty() => "{}".to_owned(),
        Value::Object(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| format!("{key}: {}", flow(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Whether a text needs no quotes, also between braces.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '.' | '<'))
        && !text.contains([',', '[', ']', '{', '}', '#', '"', '\''])
        && !text.contains(": ")
        && !text.ends_with(':')
        && serde_saphyr::from_str::<Value>(text).is_ok_and(|read| read.is_string())
}

macro_rules! rows {
    ($($mapping:ident { $($key:ident $example:literal $default:literal $rules:literal)* })*) => {
        &[$($(Row {
            mapping: stringify!($mapping),
            key: stringify!($key),
            example: $example,
            default: $default,
            rules: $rules,
        },)*)*]
    };
}

/// All of them: the key, its example, its default, its rules.
pub(super) const ROWS: &[Row] = rows! {
    Offer {
        version "1" "" ""
        publisher "quayline" "" "OFR-004"
        registries "{ production: { loginServer: quayline.azurecr.io } }" "" ""
        certificationNotes "{ file: listing/certification-notes.txt }" "" "OFR-015"
    }
    Identity {
        id "tidepool-cache" "" "OFR-001 OFR-002"
        alias "Tidepool Cache" "" "OFR-014"
        registry "production" "" "TEC-001 TEC-002 TEC-003 TEC-004 TEC-005"
        sellThroughMicrosoft "" "" "OFR-006"
    }
    Registry {
        loginServer "quayline.azurecr.io" "" "TEC-004"
        prefix "production" "" "TEC-006"
        plainHttp "" "" ""
    }
    AzureRegistry {
        subscriptionId "7c1f2d64-9a0b-4e5d-8f3a-2b6c91d0e7f4" "" "TEC-001"
        resourceGroup "quayline-registries" "" "TEC-002"
        registryName "quayline" "" "TEC-003 TEC-004"
        tenantId "5e0d7c3b-1f42-4a9d-8b66-0c7a9e21d4f8" "" "TEC-001"
    }
    Credentials {
        username "{ env: QUAY_USERNAME }" "" "TEC-005"
        password "{ env: QUAY_PASSWORD }" "" "TEC-005"
    }
    Listing {
        language "en-us" "" "LST-008"
        title "Tidepool Cache" "" "LST-001 LST-002 LST-026"
        searchSummary "A cache that says when it is well." "" "LST-003 LST-026"
        shortDescription "A cache with safe defaults, and people to ask." "" "LST-004 LST-026"
        description "{ file: listing/description.html }" "" "LST-005 LST-006 LST-007 LST-008 LST-025 LST-027"
        keywords "[redis cache, session store]" "" "LST-009"
        privacyPolicy "https://quayline.dev/privacy" "" "LST-010 LST-025"
        supportUrl "https://quayline.dev/support" "" "LST-013 LST-025"
        governmentSupportUrl "https://quayline.dev/support/government" "" "LST-014 LST-025"
        links "[{ title: Operations guide, url: https://quayline.dev/docs }]" "" "LST-011"
        assetBaseUrl "https://assets.quayline.dev/tidepool" "" "LST-025"
        screenshots "[{ file: pictures/overview.png, caption: One day }]" "" "LST-018 LST-021"
        videos "[{ title: Tour, url: https://vimeo.com/1, thumbnail: pictures/tour.png }]" "" "LST-020 LST-021"
    }
    Link {
        title "Operations guide" "" "LST-011 LST-026"
        url "https://quayline.dev/docs" "" "LST-011 LST-025"
    }
    Contact {
        name "Quayline Support" "" "LST-012 LST-026"
        email "support@quayline.dev" "" "LST-012"
        phone "\"+1 206 555 0142\"" "" "LST-012"
    }
    PartnerContact {
        name "Quayline Partners" "" "LST-012 LST-026"
        email "partners@quayline.dev" "" "LST-012"
        phone "\"+1 206 555 0144\"" "" "LST-012"
        url "https://quayline.dev/partners" "" "LST-025"
    }
    Logos {
        large "pictures/logo-large.png" "" "LST-015 LST-017 LST-021"
        medium "pictures/logo-medium.png" "" "LST-016 LST-017 LST-021"
        small "pictures/logo-small.png" "" "LST-016 LST-017 LST-021"
        wide "pictures/logo-wide.png" "" "LST-016 LST-017 LST-021"
    }
    Screenshot {
        file "pictures/overview.png" "" "LST-018 LST-021"
        caption "One day of a cache" "" "LST-018 LST-026"
    }
    Video {
        title "Tour" "" "LST-020 LST-026"
        url "https://vimeo.com/1" "" "LST-020"
        thumbnail "pictures/tour.png" "" "LST-020 LST-021"
    }
    ListingTranslation {
        language "de-de" "" ""
        title "Tidepool-Cache" "" "LST-001 LST-002 LST-026"
        searchSummary "Ein Cache, der sagt, wie es ihm geht." "" "LST-003 LST-026"
        shortDescription "Ein Cache mit sicheren Vorgaben." "" "LST-004 LST-026"
        description "{ file: listing/description.de.html }" "" "LST-005 LST-006 LST-007"
        keywords "[Redis-Cache]" "" "LST-009"
    }
    Legal {
        standardContract "" "" "OFR-009"
        terms "{ file: legal/terms.txt }" "" "OFR-009 OFR-010"
    }
    Properties {
        categories "{ containers: [container-images] }" "" "OFR-012"
    }
    Preview {
        subscriptions "[{ id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386 }]" "" "OFR-007"
        csv "preview.csv" "" ""
    }
    PreviewSubscription {
        id "3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386" "" "OFR-007"
        label "Quayline test subscription" "" ""
    }
    Lead {
        destination "httpsEndpoint" "" ""
        notify "[sales@quayline.dev]" "" ""
        url "https://leads.quayline.dev/azure" "" ""
        account "00D5e000001abcd" "" ""
        form "\"1042\"" "" ""
        secret "{ env: LEADS_CONNECTION }" "" ""
        username "leads@quayline.dev" "" ""
    }
    Resale {
        channel "selected" "" ""
        partners "[{ id: 9a4c2e17-0b5d-4f83-a6c1-7d2e8f90b345 }]" "" ""
    }
    ResalePartner {
        id "9a4c2e17-0b5d-4f83-a6c1-7d2e8f90b345" "" ""
        label "A partner" "" ""
    }
    Plan {
        id "cache-server" "" "PLN-001"
        kind "kubernetes" "" ""
        name "Tidepool Cache Server" "" "PLN-003 PLN-005 LST-026"
        summary "The server, ready for a pod." "" "PLN-004 PLN-005 LST-026"
        description "{ file: listing/cache-server.html }" "" "PLN-004 PLN-005 LST-006 LST-007"
        licence "byol" "" "OFR-006"
        visibility "hidden" "visible" "PLN-010"
        regions "[azureGlobal]" "[azureGlobal]" "LST-014"
        governmentCertifications "[{ name: FedRAMP High, url: https://quayline.dev/fedramp }]" "" "PLN-009"
        chart "chart" "" ""
        manifest "manifest.yaml" "" ""
        uiDefinition "createUiDefinition.json" "" ""
        armTemplate "mainTemplate.json" "" ""
        clusters "[aks, arc]" "[aks]" ""
        scope "namespace" "cluster" ""
        namespace "tidepool" "" ""
        extensionType "Quayline.Tidepool" "" ""
        markets "[US, DE]" "" ""
        images "{ web: { repository: tidepool/web, version: \"1.0\", platforms: [{ platform: linux/amd64 }] } }" "" "PLN-006"
        image "" "" "PLN-006"
        resources "{ cpu: 1, memoryGb: 1.5 }" "" "DEP-001 DEP-002"
    }
    PlanTranslation {
        language "de-de" "" ""
        name "Tidepool-Server" "" "PLN-003"
        summary "Der Server." "" "PLN-004"
        description "{ file: listing/cache-server.de.html }" "" "PLN-004"
    }
    Certification {
        name "FedRAMP High" "" "PLN-009"
        url "https://quayline.dev/fedramp" "" "PLN-009 LST-025"
    }
    Resources {
        cpu "1" "" "DEP-001 DEP-002"
        memoryGb "1.5" "" "DEP-001 DEP-002"
    }
    Bundle {
        repository "tidepool/bundle" "" ""
        version "\"1.4.0\"" "" ""
        digest "sha256:4bc453b53cb3d914b45f4b250294236adba2c0e09ff6f03793949e7e39fd4cc1" "" ""
    }
    Prices {
        unit "perCore" "" ""
        usdPerHour "0.02" "" ""
        meters "[{ id: queries, name: Queries, unit: query, usdPerUnit: 0.001 }]" "" ""
    }
    CustomMeter {
        id "queries" "" ""
        name "Queries" "" ""
        unit "query" "" ""
        usdPerUnit "0.001" "" ""
        included "1000" "" ""
    }
    Audience {
        tenants "[{ id: 9a4c2e17-0b5d-4f83-a6c1-7d2e8f90b345 }]" "" ""
        csv "tenants.csv" "" ""
    }
    Tenant {
        id "9a4c2e17-0b5d-4f83-a6c1-7d2e8f90b345" "" ""
        label "A customer" "" ""
    }
    Image {
        repository "tidepool/cache-server" "" "TEC-006"
        version "\"1.4.0\"" "" "TEC-013"
        created "\"2026-11-01T00:00:00Z\"" "" ""
        tags "[latest, \"{version}-all\", \"{version}-{platform}\"]" "auto" "TEC-009 TEC-010 TEC-011 TEC-012 TEC-013 TEC-014 TEC-019 TEC-020 TEC-021 TEC-022"
        publishedTags "[\"1.3.0\"]" "" "TEC-009 TEC-023"
        base "registry.example/debian:12" "" ""
        adopt "build/app.tar" "" ""
        source "https://quayline.dev/source/tidepool" "" "LST-025"
        revision "8f3a2b6" "" ""
        licences "BSD-3-Clause" "" ""
        compression "zstd" "gzip" ""
        annotations "{ org.opencontainers.image.documentation: https://quayline.dev/docs }" "" ""
        attestations "[sbom, provenance]" "[sbom, provenance]" ""
    }
    PlatformBuild {
        platform "linux/amd64" "" ""
        osVersion "10.0.20348.2700" "" ""
        base "scratch" "" ""
        adopt "build/app-arm64.tar" "" ""
        layers "[{ dir: build/rootfs }]" "" ""
    }
    Layer {
        inputs "[{ dir: build/app }, { file: app.conf, into: /etc/app/ }]" "" ""
        dir "build/rootfs" "" ""
        file "build/app" "" ""
        tar "build/rootfs.tar" "" ""
        deb "debs/*.deb" "" ""
        into "/srv/data" "/" ""
        owner "\"999:999\"" "\"0:0\"" ""
        mode "\"0755\"" "" ""
        modes "kept" "normal" ""
        include "[\"usr/bin/**\"]" "" ""
        exclude "[\"usr/share/doc/**\"]" "" ""
        ignoreFile "build/.dockerignore" "" ""
        dpkgStatus "true" "true" ""
        comment "The program and its configuration" "" ""
    }
    ContainerConfig {
        entrypoint "[/usr/bin/redis-server]" "" ""
        cmd "[/etc/tidepool/tidepool.conf]" "" ""
        env "{ TZ: Etc/UTC, CACHE_PORT: \"6379\" }" "" ""
        workingDir "/srv/data" "" ""
        user "\"999:999\"" "" ""
        exposedPorts "[6379/tcp]" "" ""
        labels "{ org.opencontainers.image.vendor: Quayline }" "" ""
        volumes "[/data]" "" ""
        stopSignal "SIGTERM" "" ""
    }
};
