#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::yaml::{Value, YamlStyle};

/// A chart of these files, as if it stood in `chart`.
pub(crate) fn chart(files: &[(&str, &str)]) -> Chart {
    let mut files: Vec<ChartFile> = files
        .iter()
        .map(|(path, text)| ChartFile { path: (*path).to_owned(), bytes: text.as_bytes().to_vec() })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Chart::of(Path::new("chart"), files, Vec::new())
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let at = folder.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }
    folder
}

fn paths(chart: &Chart) -> Vec<&str> {
    chart.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn a_chart_is_read_with_its_subcharts_and_archives() {
    let folder = folder(&[
        ("Chart.yaml", "apiVersion: v2\nname: pool\nversion: 1.0.0\n"),
        ("values.yaml", "global: {azure: {images: {web: {registry: r.io, image: w, tag: '1'}}}}\n"),
        ("templates/web.yaml", "kind: Deployment\n"),
        ("charts/sea/Chart.yaml", "apiVersion: v2\nname: sea\nversion: 1.0.0\n"),
        ("charts/sea/templates/a.yaml", "x: 1\n"),
        ("charts/sea/charts/deep/Chart.yaml", "name: deep\n"),
        ("charts/packed-1.0.0.tgz", "x"),
        ("crds/one.yaml", "x: 1\n"),
        ("notes/templates/no.yaml", "x: 1\n"),
        ("old.bak", "x"),
        (".helmignore", "*.bak\n"),
    ]);
    let chart = Chart::read(folder.path()).unwrap();
    assert!(!paths(&chart).contains(&"old.bak"));
    let subcharts: Vec<&str> = chart.subcharts.iter().map(|at| at.path.as_str()).collect();
    assert_eq!(subcharts, ["charts/sea", "charts/sea/charts/deep"]);
    let templates: Vec<&str> = chart.templates().map(|at| at.path.as_str()).collect();
    assert_eq!(templates, ["charts/sea/templates/a.yaml", "templates/web.yaml"]);
    assert_eq!(chart.archives().count(), 1);
    let images = chart.images();
    assert_eq!(images[0].references(), ["r.io/w:1"]);
    assert_eq!(chart.metadata.as_ref().unwrap().name.as_ref().unwrap().text, "pool");
}

#[test]
fn links_out_of_the_chart_are_named_and_not_read() {
    let outside = folder(&[("secret", "s")]);
    let folder = folder(&[("Chart.yaml", "name: a\n"), ("values.yaml", "a: 1\n")]);
    symlink(outside.path().join("secret"), folder.path().join("out")).unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    symlink(outside.path(), folder.path().join("charts")).unwrap();
    symlink("values.yaml", folder.path().join("same.yaml")).unwrap();
    let mut chart = Chart::read(folder.path()).unwrap();
    chart.astray.sort();
    assert_eq!(chart.astray, ["charts", "dangling", "out"]);
    assert_eq!(paths(&chart), ["Chart.yaml", "same.yaml", "values.yaml"]);
}

#[test]
fn a_link_to_a_folder_of_the_chart_is_that_folder_once_more() {
    let folder = folder(&[("Chart.yaml", "name: a\n"), ("shared/one/a.yaml", "a: 1\n")]);
    symlink("shared", folder.path().join("files")).unwrap();
    symlink("..", folder.path().join("shared/up")).unwrap();
    symlink("../two", folder.path().join("shared/to-two")).unwrap();
    fs::create_dir(folder.path().join("two")).unwrap();
    symlink("../shared", folder.path().join("two/back")).unwrap();
    let chart = Chart::read(folder.path()).unwrap();
    assert!(paths(&chart).contains(&"files/one/a.yaml"), "{:?}", paths(&chart));
    assert!(chart.astray.contains(&"shared/up".to_owned()), "{:?}", chart.astray);
}

#[test]
fn what_is_no_chart_is_refused_by_what_it_is() {
    let folder = folder(&[("a", "x")]);
    let said = |path: &Path| Chart::read(path).unwrap_err();
    assert!(matches!(said(folder.path()), ChartError::NoChart(_)));
    assert!(matches!(said(&folder.path().join("a")), ChartError::NotAFolder(_)));
    assert!(matches!(said(&folder.path().join("b")), ChartError::Missing(_)));
    fs::write(folder.path().join(".helmignore"), "ok\n**/a\n").unwrap();
    assert!(matches!(said(folder.path()), ChartError::Pattern { line: 2, .. }));
}

#[test]
fn too_many_and_too_large_files_and_too_deep_folders_are_refused() {
    let place = folder(&[("Chart.yaml", "name: a\n")]);
    let big = place.path().join("big");
    fs::File::create(&big).unwrap().set_len(folder::FILE_BYTES_MAX + 1).unwrap();
    assert!(matches!(Chart::read(place.path()).unwrap_err(), ChartError::TooMuch { .. }));
    fs::remove_file(big).unwrap();
    let deep = "a/".repeat(folder::DEPTH_MAX + 2);
    fs::create_dir_all(place.path().join(deep)).unwrap();
    assert!(matches!(Chart::read(place.path()).unwrap_err(), ChartError::TooMuch { .. }));
}

#[test]
fn scalars_have_their_bytes_also_behind_other_letters_and_carriage_returns() {
    let text = "# grün\r\na: 'x'\r\nb: {c: \"d\", e: f} # g\r\nh:\r\ni: *z\r\n".replace("*z", "j");
    let node = yaml::one("values.yaml", &text).unwrap().unwrap();
    let token = |keys: &[&str]| &text[node.find(keys).unwrap().span.clone()];
    assert_eq!(token(&["a"]), "'x'");
    assert_eq!(token(&["b", "c"]), "\"d\"");
    assert_eq!(token(&["b", "e"]), "f");
    assert_eq!(token(&["h"]), "");
    assert_eq!(token(&["i"]), "j");
    assert_eq!(node.find(&["b", "e"]).unwrap().spot.line, 3);
    let style = |key: &str| match &node.get(key).unwrap().value {
        Value::Scalar { style, .. } => *style,
        _ => YamlStyle::Block,
    };
    assert_eq!((style("a"), style("i")), (YamlStyle::Single, YamlStyle::Plain));
}

#[test]
fn yaml_that_is_none_is_told_at_its_line() {
    let chart = chart(&[("Chart.yaml", "name: a\n"), ("values.yaml", "a: 1\nb: [\n")]);
    let fault = chart.values.unwrap_err();
    assert_eq!(fault.file, "values.yaml");
    assert!(fault.spot.line >= 2, "{fault:?}");
    let deep = "[".repeat(200);
    assert!(yaml::all("x", &deep).is_err());
    let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n";
    assert!(yaml::one("x", bomb).is_ok());
    assert!(yaml::one("x", "a: 1\n---\nb: 1\n").is_err());
}
