//! A Helm chart of a workload, and the values of an existing chart. Images are where the
//! Marketplace looks for them: `global.azure.images.<name>` with registry, image and digest.

use std::collections::BTreeMap;

use super::aks::Objects;
use super::tree::{Map, TemplateNode};
use super::workload::PinnedImage;
use super::yaml::{self, Fill};

/// Where the templates of a chart are.
const TEMPLATES: &str = "templates";

/// The files of a chart, by their paths in its folder.
#[must_use]
pub fn chart(objects: Objects<'_>, summary: &str) -> Vec<(String, String)> {
    let objects = objects.of_chart();
    let workload = objects.workload;
    let name = workload.name.camel();
    let image = format!(".Values.global.azure.images.{name}");
    let expressions = BTreeMap::from([
        ("name".to_owned(), ".Release.Name".to_owned()),
        ("registry".to_owned(), format!("{image}.registry")),
        ("repository".to_owned(), format!("{image}.image")),
        ("digest".to_owned(), format!("{image}.digest")),
        ("replicas".to_owned(), ".Values.replicaCount".to_owned()),
    ]);
    let about = Map::new()
        .with("apiVersion", "v2")
        .with("name", workload.name.as_str())
        .with("description", summary)
        .with("type", "application")
        .with("version", chart_version(&workload.version))
        .with("appVersion", workload.version.as_str());
    let mut files = vec![
        ("Chart.yaml".to_owned(), plain(&about)),
        ("values.yaml".to_owned(), values_of_chart(&objects)),
    ];
    for (file, text) in objects.templates(&expressions) {
        files.push((format!("{TEMPLATES}/{file}"), text));
    }
    files
}

/// The values of such a chart.
#[must_use]
pub fn values_of_chart(objects: &Objects<'_>) -> String {
    let workload = objects.workload;
    let name = workload.name.camel();
    let values = images([(name.as_str(), &workload.image)]).noted(
        "replicaCount",
        "How many pods there are.",
        objects.scale.replicas,
    );
    plain(&values)
}

/// The values with the pins of a chart's images.
#[must_use]
pub fn values<'i>(all: impl IntoIterator<Item = (&'i str, &'i PinnedImage)>) -> String {
    plain(&images(all))
}

fn images<'i>(all: impl IntoIterator<Item = (&'i str, &'i PinnedImage)>) -> Map {
    let mut images = Map::new();
    for (name, image) in all {
        let pinned = Map::new()
            .with("registry", image.server.to_string())
            .with("image", image.repository.to_string())
            .with("digest", image.digest.to_string());
        images = images.with(name, pinned);
    }
    let azure = Map::new().noted(
        "images",
        "By digest, so that what was certified is what runs; the Marketplace sets `registry` anew.",
        TemplateNode::Map(images),
    );
    Map::new().with("global", Map::new().with("azure", azure))
}

fn plain(map: &Map) -> String {
    yaml::document(map, Fill::Values(&BTreeMap::new()))
}

/// The version of the chart: three numbers, as Microsoft's packaging tool requires.
fn chart_version(version: &str) -> String {
    let numbers: Vec<&str> = version.split('.').collect();
    let is_number = |text: &&str| {
        let is_plain = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        is_plain && (*text == "0" || !text.starts_with('0'))
    };
    match numbers.as_slice() {
        all if !all.iter().all(is_number) => "0.1.0".to_owned(),
        [major] => format!("{major}.0.0"),
        [major, minor] => format!("{major}.{minor}.0"),
        [major, minor, patch, ..] => format!("{major}.{minor}.{patch}"),
        [] => "0.1.0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::chart_version;

    #[test]
    fn charts_have_three_numbers() {
        for (image, chart) in [
            ("1.4.0", "1.4.0"),
            ("2.0", "2.0.0"),
            ("7", "7.0.0"),
            ("1.2.3.4", "1.2.3"),
            ("1.4.0-rc1", "0.1.0"),
            ("01.2", "0.1.0"),
            ("", "0.1.0"),
        ] {
            assert_eq!(chart_version(image), chart, "{image}");
        }
    }
}
