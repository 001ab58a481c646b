//! A Helm chart's own facts, as far as an offer repeats them: `Chart.yaml`, and the images of
//! `values.yaml`. How a chart is judged is for the rules.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::error::InitError;
use super::image;
use crate::input;

/// Largest file of a chart, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How many entries of a folder are looked at.
const ENTRIES_MAX: usize = 1_000;
/// How many images are named.
const IMAGES_MAX: usize = 50;
/// How deep values are looked into.
const DEPTH_MAX: usize = 16;
/// Where charts are kept, besides the folder of the offer itself.
const PLACES: [&str; 5] = ["", "charts", "helm", "deploy", "kubernetes"];
/// The flag for a chart.
const FLAG: &str = "--chart";

/// The facts of a chart.
#[derive(Debug, Clone, Default)]
pub struct ChartFound {
    /// Its folder, relative to the offer's.
    pub path: String,
    pub name: String,
    pub version: String,
    pub description: Option<String>,
    pub home: Option<String>,
    pub sources: Vec<String>,
    /// Mail addresses of its maintainers.
    pub emails: Vec<String>,
    pub images: Vec<NamedImage>,
}

/// An image of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Its name under `global.azure.images`, or the path of its values elsewhere.
    pub name: String,
    /// `REGISTRY/IMAGE`, without a tag.
    pub location: String,
    /// Whether it stands under `global.azure.images`.
    pub is_of_azure: bool,
}

#[derive(Deserialize)]
struct ChartFile {
    name: String,
    version: Value,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    home: Option<String>,
    #[serde(default)]
    sources: Option<Vec<String>>,
    #[serde(default)]
    maintainers: Option<Vec<Maintainer>>,
}

#[derive(Deserialize)]
struct Maintainer {
    #[serde(default)]
    email: Option<String>,
}

/// Reads the chart in a folder; `path` is how the offer names it.
pub(super) fn read(folder: &Path, path: String) -> Result<ChartFound, InitError> {
    let failed = |file: &Path, reason: String| InitError::Unreadable {
        flag: FLAG,
        path: file.to_owned(),
        reason,
    };
    let file = folder.join("Chart.yaml");
    let text = text(&file).map_err(|reason| failed(&file, reason))?;
    let chart: ChartFile =
        serde_saphyr::from_str(&text).map_err(|error| failed(&file, first_line(&error)))?;
    // A version without quotes is a number.
    let version = match chart.version {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return Err(failed(&file, "`version` is no text such as 1.0.0".to_owned())),
    };
    let maintainers = chart.maintainers.unwrap_or_default().into_iter();
    Ok(ChartFound {
        path,
        name: chart.name,
        version,
        description: chart.description.filter(|text| !image::is_unsafe(text)),
        home: chart.home,
        sources: chart.sources.unwrap_or_default(),
        emails: maintainers.filter_map(|maintainer| maintainer.email).collect(),
        images: images(folder),
    })
}

/// The charts in a folder and in those where charts are kept.
#[must_use]
pub(super) fn look_for(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for place in PLACES {
        let Ok(entries) = fs::read_dir(folder.join(place)) else { continue };
        let entries = entries.take(ENTRIES_MAX).filter_map(Result::ok);
        found.extend(entries.map(|entry| entry.path()).filter(|path| is_chart(path)));
        let itself = folder.join(place);
        if !place.is_empty() && is_chart(&itself) {
            found.push(itself);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn is_chart(folder: &Path) -> bool {
    folder.join("Chart.yaml").is_file()
}

/// The images under `global.azure.images` of the values, or else any mapping in the form of one.
fn images(folder: &Path) -> Vec<NamedImage> {
    let Ok(text) = text(&folder.join("values.yaml")) else { return Vec::new() };
    let Ok(values) = serde_saphyr::from_str::<Value>(&text) else { return Vec::new() };
    let mut images = Vec::new();
    match values.pointer("/global/azure/images").and_then(Value::as_object) {
        Some(named) => {
            images.extend(named.iter().filter_map(|(name, image)| of_azure(name, image)));
        }
        None => elsewhere(&values, "", DEPTH_MAX, &mut images),
    }
    images.retain(|image| !image::is_unsafe(&image.location));
    images.truncate(IMAGES_MAX);
    images
}

fn of_azure(name: &str, image: &Value) -> Option<NamedImage> {
    let registry = image.get("registry")?.as_str()?;
    let location = format!("{registry}/{}", image.get("image")?.as_str()?);
    Some(NamedImage { name: name.to_owned(), location, is_of_azure: true })
}

/// Mappings with `repository`, as in charts from outside Azure.
fn elsewhere(values: &Value, path: &str, depth: usize, images: &mut Vec<NamedImage>) {
    let Some(mapping) = values.as_object().filter(|_| depth > 0) else { return };
    if let Some(repository) = mapping.get("repository").and_then(Value::as_str) {
        let registry = mapping.get("registry").and_then(Value::as_str);
        let registry = registry.map(|host| format!("{host}/")).unwrap_or_default();
        let location = format!("{registry}{repository}");
        images.push(NamedImage { name: path.to_owned(), location, is_of_azure: false });
        return;
    }
    for (key, value) in mapping.iter().take(ENTRIES_MAX) {
        if images.len() == IMAGES_MAX {
            return;
        }
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        elsewhere(value, &path, depth - 1, images);
    }
}

fn text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = input::open(path).map_err(|error| error.to_string())?;
    let mut file = file.take(FILE_BYTES_MAX + 1);
    let read = file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn chart(folder: &Path, name: &str, text: &str, values: &str) -> PathBuf {
        let at = folder.join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("Chart.yaml"), text).unwrap();
        fs::write(at.join("values.yaml"), values).unwrap();
        at
    }

    #[test]
    fn a_chart_says_who_it_is_and_which_images_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let text = "apiVersion: v2\nname: tidepool\nversion: 1.4.0\ndescription: A cache.\n\
                    home: https://quayline.dev\nsources: [https://github.com/quayline/t]\n\
                    maintainers:\n- name: Ann\n- { name: Bob, email: bob@quayline.dev }\n";
        let values = "global:\n  azure:\n    images:\n      web: { registry: q.azurecr.io, image: \
                      tidepool/web, digest: x }\n      odd: 3\n";
        let at = chart(folder.path(), "chart", text, values);
        let found = read(&at, "chart".to_owned()).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("tidepool", "1.4.0"));
        assert_eq!(found.home.as_deref(), Some("https://quayline.dev"));
        assert_eq!(found.emails, ["bob@quayline.dev"]);
        let image = |name: &str, location: &str, is_of_azure| NamedImage {
            name: name.to_owned(),
            location: location.to_owned(),
            is_of_azure,
        };
        assert_eq!(found.images, [image("web", "q.azurecr.io/tidepool/web", true)]);
        let values = "web:\n  image: { repository: nginx, tag: x }\nsidecar: { image: { registry: \
                      r.dev, repository: a/b } }\n";
        let at = chart(folder.path(), "other", "name: a\nversion: 1.2\n", values);
        let found = read(&at, "other".to_owned()).unwrap();
        assert_eq!(found.version, "1.2");
        let others =
            [image("sidecar.image", "r.dev/a/b", false), image("web.image", "nginx", false)];
        assert_eq!(found.images, others);
    }

    #[test]
    fn a_chart_that_cannot_be_read_is_an_error_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let said = |folder: &Path| read(folder, "x".to_owned()).unwrap_err().to_string();
        assert!(
            said(folder.path()).contains("--chart") && said(folder.path()).contains("Chart.yaml")
        );
        let at = chart(folder.path(), "a", "name: [", "");
        assert!(said(&at).contains("Chart.yaml"));
        for version in ["[1]", "{ a: 1 }", "true", "null"] {
            let text = format!("name: a\nversion: {version}\n");
            let at = chart(folder.path(), "c", &text, "");
            let said = said(&at);
            assert!(said.contains("`version` is no text such as 1.0.0"), "{version}: {said}");
        }
        let at = chart(folder.path(), "b", &format!("# {}\n", "x".repeat(2_000_000)), "");
        assert!(said(&at).contains("more than"), "{}", said(&at));
    }

    #[test]
    fn charts_are_found_where_they_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert!(look_for(folder.path()).is_empty());
        let first = chart(folder.path(), "charts/web", "name: a\nversion: 1.0.0\n", "");
        let second = chart(folder.path(), "deploy", "name: b\nversion: 1.0.0\n", "");
        chart(folder.path(), "some/where/else", "name: c\nversion: 1.0.0\n", "");
        assert_eq!(look_for(folder.path()), [first, second]);
    }
}
