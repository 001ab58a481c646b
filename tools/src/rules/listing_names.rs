//! Rules LST-022 to LST-024: a title's promises, and a description's required ending.

use super::html::plain_text;
use super::listing_fields::languages;
use super::{Check, Findings, OfferView, Rule, Severity};
use crate::offer::model::PlanImage;

/// The label and annotation for a product's name (OCI image specification).
const TITLE: &str = "org.opencontainers.image.title";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "LST-022",
        title: "the title is the name that the images give the product",
        severity: Severity::Warning,
        source: "policy 100.1.1",
        why: "A product that is known by another name elsewhere must have that name here too.",
        fix: "use one name in `listing.title` and in the labels of the images",
        check: Check::Offer(same_name),
    },
    Rule {
        id: "LST-023",
        title: "the title of repackaged open source says what was added, or by whom",
        severity: Severity::Warning,
        source: "policy 100.1.1; the list of names is INFERENCE",
        why: "The bare name of somebody else's project is refused.",
        fix: "write what you add, or `NAME with support by SELLER`",
        check: Check::Offer(|view, judge| {
            for texts in languages(view) {
                if let Some(name) = bare_name(texts.title, &view.offer.publisher) {
                    let message = format!("the title says nothing but `{name}`, which others make");
                    judge.warning(&texts.key("title"), message);
                }
            }
        }),
    },
    Rule {
        id: "LST-024",
        title: "the description ends with the least resources that the product needs",
        severity: Severity::Warning,
        source: "IOT; for containers INFERENCE",
        why: "Certification looks for it in the last paragraph, and starts the product with that.",
        fix: "end the description with a paragraph such as: Minimum resources: 1 CPU core and 2 GB of memory",
        check: Check::Offer(|view, judge| {
            if !view.content.description.trim().is_empty()
                && !names_resources(&last_paragraph(&view.content.description))
            {
                let message = "the last paragraph names no cores and no memory";
                judge.narrow("listing.description", message);
            }
        }),
    },
];

fn same_name(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let title = view.offer.listing.title.to_lowercase();
    let mut is_said = false;
    for PlanImage { image, key, .. } in view.offer.images() {
        let maps = [("config.labels", &image.config.labels), ("annotations", &image.annotations)];
        for (map, values) in maps {
            let Some(name) = values.get(TITLE) else { continue };
            is_said = true;
            let shared = |word: &str| word.chars().count() > 2 && title.contains(word);
            if !name.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(shared) {
                let message = format!("`{name}` shares no word with the title of the listing");
                judge.warning(&format!("{key}.{map}.{TITLE}"), message);
            }
        }
    }
    if !is_said {
        judge.not_applicable();
    }
}

/// Projects that many publishers repackage.
const PROJECTS: &[&str] = &[
    "airflow",
    "apache",
    "argo",
    "cassandra",
    "clickhouse",
    "consul",
    "couchdb",
    "django",
    "drupal",
    "elasticsearch",
    "envoy",
    "etcd",
    "fluentd",
    "ghost",
    "gitea",
    "gitlab",
    "grafana",
    "haproxy",
    "harbor",
    "jenkins",
    "joomla",
    "kafka",
    "keycloak",
    "kibana",
    "kubernetes",
    "loki",
    "magento",
    "mariadb",
    "matomo",
    "mediawiki",
    "memcached",
    "minio",
    "mongodb",
    "moodle",
    "mysql",
    "nats",
    "neo4j",
    "nextcloud",
    "nginx",
    "nodejs",
    "odoo",
    "opensearch",
    "phpmyadmin",
    "php",
    "postgres",
    "postgresql",
    "prometheus",
    "python",
    "rabbitmq",
    "redis",
    "redmine",
    "solr",
    "sonarqube",
    "spark",
    "tensorflow",
    "tomcat",
    "traefik",
    "valkey",
    "vault",
    "wordpress",
    "zookeeper",
];

/// Filler words beside the name of a project.
const FILLERS: &[&str] = &[
    "a",
    "and",
    "app",
    "application",
    "azure",
    "aks",
    "cache",
    "chart",
    "cluster",
    "community",
    "container",
    "database",
    "db",
    "docker",
    "edition",
    "enterprise",
    "for",
    "helm",
    "image",
    "images",
    "in",
    "kubernetes",
    "latest",
    "linux",
    "lts",
    "of",
    "on",
    "open",
    "packaged",
    "server",
    "service",
    "source",
    "stack",
    "the",
    "v",
    "version",
    "web",
    "with",
];

/// The project in a title made of a project's name and filler words and numbers only.
fn bare_name(title: &str, publisher: &str) -> Option<&'static str> {
    let title = title.to_lowercase();
    let words: Vec<&str> =
        title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let project = PROJECTS.iter().copied().find(|project| words.contains(project))?;
    let is_publisher = |word: &str| publisher.to_lowercase().contains(word) && word.len() > 2;
    let adds = |word: &&str| {
        !PROJECTS.contains(word)
            && !FILLERS.contains(word)
            && !word.trim_start_matches('v').chars().all(|c| c.is_ascii_digit())
    };
    let is_bare = !words.iter().any(|word| adds(word) || is_publisher(word));
    is_bare.then_some(project)
}

/// The text after the last end of a block but one.
fn last_paragraph(html: &str) -> String {
    let plain = html.trim_end();
    let lower = plain.to_ascii_lowercase();
    let start = ["<p", "<li", "<h", "<div", "<br"]
        .iter()
        .filter_map(|tag| lower.rfind(tag))
        .max()
        .unwrap_or_default();
    plain_text(plain.get(start..).unwrap_or(plain))
}

/// Whether a text names an amount of cores or of memory.
fn names_resources(text: &str) -> bool {
    const UNITS: [&str; 13] = [
        "core",
        "cores",
        "cpu",
        "cpus",
        "vcpu",
        "vcpus",
        "gb",
        "gib",
        "mb",
        "mib",
        "kerne",
        "m",
        "gigabytes",
    ];
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '.' || c == ','))
        .map(|word| word.trim_matches(['.', ',']))
        .filter(|word| !word.is_empty())
        .collect();
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let joined = |word: &str| {
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ','));
        is_number(word) && UNITS.contains(&unit)
    };
    words.iter().any(|word| joined(word))
        || words.windows(2).any(|pair| match pair {
            [number, unit] => is_number(number) && UNITS.contains(unit),
            _ => false,
        })
        || words.windows(3).any(|three| match three {
            [number, _, unit] => is_number(number) && UNITS.contains(unit),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_project_is_told_from_what_somebody_made_of_it() {
        for bare in
            ["Redis", "NGINX Server 1.27", "PostgreSQL for Azure", "Apache Kafka Cluster v3"]
        {
            assert!(bare_name(bare, "quayline").is_some(), "{bare}");
        }
        for own in [
            "Tidepool Cache, Redis supported by Quayline",
            "Redis by Quayline",
            "Hardened Redis",
            "Tidepool",
            "Redis with support by Otherline",
        ] {
            assert_eq!(bare_name(own, "quayline"), None, "{own}");
        }
    }

    #[test]
    fn resources_are_looked_for_in_the_last_paragraph() {
        let ends = |html: &str| names_resources(&last_paragraph(html));
        for good in [
            "<p>A cache.</p><p>Minimum resources: 1 CPU core and 1.5 GB of memory.</p>",
            "<p>Needs 2 vCPU.</p>\n",
            "<ul><li>memory: 512MiB</li></ul>",
            "<p>x</p><p>From 0.5 core on.",
        ] {
            assert!(ends(good), "{good}");
        }
        for bad in [
            "",
            "<p>Needs 2 GB.</p><p>Ask us.</p>",
            "<p>Needs little.</p>",
            "<p>24 hours a day</p>",
        ] {
            assert!(!ends(bad), "{bad}");
        }
    }
}
