//! Clients for their own kinds of files: helm for a chart, and the libraries of Java and Python for
//! the files of the small programs in `tests/kit/programs`.

use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use wharf_testkit::clients;

use super::super::cell::{Cell, TAG};
use crate::fixture::noise;

/// The chart's file name, as given by helm.
pub(super) const CHART: &str = "tide-2.0.0.tgz";
const FILES: [(&str, usize); 2] = [("one.bin", 20_000), ("two.bin", 400_000)];

/// A seed of this cell alone, so no other cell has the same chart.
fn seed(cell: &Cell<'_>) -> u64 {
    cell.repo.bytes().fold(7, |seed, byte| seed.wrapping_mul(31) ^ u64::from(byte))
}

pub(super) fn write_chart(cell: &Cell<'_>) -> Result<(), String> {
    let write = || {
        let file = std::fs::File::create(cell.path(CHART))?;
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        let noise = noise(seed(cell), 400_000);
        for (name, content) in [
            ("tide/Chart.yaml", &b"apiVersion: v2\nname: tide\nversion: 2.0.0\n"[..]),
            ("tide/values.yaml", b"page: 1\n"),
            ("tide/files/noise.bin", &noise),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content)?;
        }
        archive.into_inner()?.finish().map(drop)
    };
    write().map_err(|error: std::io::Error| error.to_string())
}

pub(super) async fn chart_behind(cell: &Cell<'_>) -> Result<(), String> {
    write_chart(cell)?;
    let behind = format!("oci://{}/{}", cell.ground.origin.host(), cell.repo);
    cell.run(&["push", "--plain-http", CHART, &behind]).await.map(drop)
}

pub(super) async fn pull_chart(cell: &Cell<'_>) -> Result<(), String> {
    std::fs::create_dir_all(cell.path("out")).unwrap();
    let there = format!("oci://{}/{}/tide", cell.host, cell.repo);
    cell.run(&["pull", "--plain-http", &there, "--version", "2.0.0", "-d", "out"]).await?;
    let read = |path| std::fs::read(cell.path(path)).map_err(|error| error.to_string());
    let same = read(CHART)? == read(&format!("out/{CHART}"))?;
    if same { Ok(()) } else { Err("the chart differs".to_owned()) }
}

/// Signs the image in the backing registry with a key of the cell's own, without a transparency
/// log.
pub(in crate::patience) async fn sign_behind(cell: &Cell<'_>) -> Result<(), String> {
    cell.run(&["generate-key-pair"]).await?;
    let image = format!("{}/{}@{}", cell.ground.origin.host(), cell.repo, cell.layout.top.digest);
    let quiet = ["--use-signing-config=false", "--tlog-upload=false", "--yes"];
    cell.run(&[&["sign", "--key", "cosign.key"][..], &quiet, &[&image]].concat()).await.map(drop)
}

pub(super) async fn verify(cell: &Cell<'_>, image: &str) -> Result<(), String> {
    let alone = ["--insecure-ignore-tlog=true", "--private-infrastructure"];
    cell.run(&[&["verify", "--key", "cosign.pub"][..], &alone, &[image]].concat()).await.map(drop)
}

/// The files for the libraries' push.
pub(super) fn write_files(cell: &Cell<'_>) -> Result<(), String> {
    FILES.iter().try_for_each(|(name, bytes)| {
        let content = noise(seed(cell) ^ *bytes as u64, *bytes);
        std::fs::write(cell.path(name), content).map_err(|error| error.to_string())
    })
}

async fn jib(cell: &Cell<'_>, action: &str, more: &[&str]) -> Result<String, String> {
    let folder = clients::trials_folder().join("jib");
    let path = format!("{0}:{0}/lib/*", folder.display());
    // Little of the machine for each: many run at once.
    let small = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", &path];
    let (caches, there) = (cell.path("caches"), cell.reference());
    cell.run(&[&small[..], &["Trial", action, &caches, &there], more].concat()).await
}

pub(super) async fn push_by_jib(cell: &Cell<'_>) -> Result<String, String> {
    jib(cell, "push", &FILES.map(|(name, _)| name)).await
}

pub(super) async fn pull_by_jib(cell: &Cell<'_>) -> Result<(), String> {
    jib(cell, "pull", &["pulled.tar"]).await?;
    let pulled = std::fs::metadata(cell.path("pulled.tar")).map_err(|error| error.to_string())?;
    let largest = cell.layout.content().map(|blob| blob.size).max().unwrap_or_default();
    if pulled.len() >= largest { Ok(()) } else { Err("the archive is too small".to_owned()) }
}

async fn python(cell: &Cell<'_>, script: &str, arguments: &[&str]) -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kit/programs").join(script);
    let script = script.display().to_string();
    cell.run(&[&[script.as_str()][..], arguments].concat()).await
}

pub(super) async fn push_by_python(cell: &Cell<'_>, script: &str) -> Result<String, String> {
    let (folder, name) = (cell.path(""), format!("{}:{TAG}", cell.repo));
    let files = FILES.map(|(name, _)| name);
    python(cell, script, &[&["push", &folder, &cell.host, &name][..], &files].concat()).await
}

/// Pulls by Python; returns the names of the written files.
pub(super) async fn pull_by_python(cell: &Cell<'_>, script: &str) -> Result<String, String> {
    let (folder, name) = (cell.path("out"), format!("{}:{TAG}", cell.repo));
    std::fs::create_dir_all(&folder).unwrap();
    python(cell, script, &["pull", &folder, &cell.host, &name]).await
}
