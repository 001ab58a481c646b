//! The clients, and how each of them pulls and pushes.

mod engines;
pub(super) mod programs;

use wharf_testkit::clients::{self, Client};

use super::cases::Way;
use super::cell::{Cell, TAG};
use super::oci_client;

/// A client: one row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tool {
    Crane,
    Regctl,
    Oras,
    Helm,
    Cosign,
    Skopeo,
    Podman,
    Buildah,
    Docker,
    /// containerd 1.6 of Debian.
    Ctr1,
    /// containerd 2; its daemon pulls and pushes.
    Ctr2,
    /// The same, where `ctr` itself does.
    Ctr2Local,
    Jib,
    OrasPy,
    PythonDxf,
    OciClient,
}

impl Tool {
    pub(super) const ALL: [Self; 16] = [
        Self::Crane,
        Self::Regctl,
        Self::Oras,
        Self::Helm,
        Self::Cosign,
        Self::Skopeo,
        Self::Podman,
        Self::Buildah,
        Self::Docker,
        Self::Ctr1,
        Self::Ctr2,
        Self::Ctr2Local,
        Self::Jib,
        Self::OrasPy,
        Self::PythonDxf,
        Self::OciClient,
    ];
    /// Those of the short form.
    pub(super) const SHORT: [Self; 5] =
        [Self::Crane, Self::Regctl, Self::Oras, Self::Skopeo, Self::Docker];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crane => "crane",
            Self::Regctl => "regctl",
            Self::Oras => "oras",
            Self::Helm => "helm",
            Self::Cosign => "cosign",
            Self::Skopeo => "skopeo",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
            Self::Docker => "docker",
            Self::Ctr1 => "ctr 1.6",
            Self::Ctr2 => "ctr 2",
            Self::Ctr2Local => "ctr 2 --local",
            Self::Jib => "jib",
            Self::OrasPy => "oras-py",
            Self::PythonDxf => "python-dxf",
            Self::OciClient => "oci-client",
        }
    }

    /// Its program. CI must have the programs of `make test`; the table reports a missing program
    /// of the trials.
    pub(super) fn find(self) -> Option<Client> {
        match self {
            Self::Crane | Self::Regctl | Self::Oras | Self::Helm => clients::require(self.name()),
            Self::Skopeo | Self::Podman | Self::Buildah | Self::Docker => {
                clients::require(self.name())
            }
            Self::Ctr1 => clients::require("ctr"),
            Self::Cosign => clients::of_trials("bin/cosign"),
            Self::Ctr2 | Self::Ctr2Local => clients::of_trials("bin/ctr"),
            Self::Jib => {
                clients::of_trials("jib/Trial.class").and_then(|_| clients::optional("java"))
            }
            Self::OrasPy | Self::PythonDxf => clients::of_trials("python/bin/python"),
            Self::OciClient => None,
        }
    }

    /// Whether it goes this way at all.
    pub(super) fn has(self, way: Way) -> bool {
        way != Way::Discover
            || matches!(self, Self::Regctl | Self::Oras | Self::Cosign | Self::OciClient)
    }

    /// Where it pushes to.
    pub(super) fn repo(self, cell: &Cell<'_>) -> String {
        if self == Self::Helm { format!("{}/tide", cell.repo) } else { cell.repo.clone() }
    }

    /// The tag of its push.
    pub(super) fn tag(self) -> &'static str {
        if self == Self::Helm { "2.0.0" } else { TAG }
    }

    /// The needed content of the backing registry before a pull.
    pub(super) async fn before_pull(self, cell: &Cell<'_>) -> Result<(), String> {
        if self == Self::Helm {
            return programs::chart_behind(cell).await;
        }
        cell.ground.origin.push_layout(&cell.repo, &cell.layout).await;
        Ok(())
    }

    /// The client's preparations before a push.
    pub(super) async fn before_push(self, cell: &Cell<'_>) -> Result<(), String> {
        match self {
            Self::Helm => programs::write_chart(cell),
            Self::Cosign => {
                // cosign loads only an image saved by itself.
                let repo = format!("{}-saved", cell.repo);
                cell.ground.origin.push_layout(&repo, &cell.layout).await;
                let from = format!("{}/{repo}:{TAG}", cell.ground.origin.host());
                cell.run(&["save", "--dir", "saved", &from]).await.map(drop)
            }
            Self::Podman => engines::load(cell, &engines::PODMAN).await,
            Self::Buildah => engines::load(cell, &engines::BUILDAH).await,
            Self::Docker => engines::load_docker(cell).await,
            Self::Ctr1 | Self::Ctr2 | Self::Ctr2Local => engines::import(cell).await,
            Self::Jib | Self::OrasPy | Self::PythonDxf => programs::write_files(cell),
            Self::Crane | Self::Regctl | Self::Oras | Self::Skopeo | Self::OciClient => Ok(()),
        }
    }

    pub(super) async fn pull(self, cell: &Cell<'_>) -> Result<(), String> {
        let there = cell.reference();
        match self {
            Self::Crane => {
                cell.run(&["pull", "--insecure", "--format=oci", &there, "out"]).await?;
                cell.pulled_layout("out")
            }
            Self::Regctl => {
                let host = format!("reg={},tls=disabled", cell.host);
                let out = format!("ocidir://out:{TAG}");
                cell.run(&["--host", &host, "image", "copy", &there, &out]).await?;
                cell.pulled_layout("out")
            }
            Self::Oras => {
                let out = format!("out:{TAG}");
                cell.run(&["cp", "--from-plain-http", &there, "--to-oci-layout", &out]).await?;
                cell.pulled_layout("out")
            }
            Self::Cosign => {
                cell.run(&["save", "--dir", "out", &there]).await?;
                cell.pulled_layout("out")
            }
            Self::Skopeo => {
                let (from, out) = (format!("docker://{there}"), format!("oci:out:{TAG}"));
                cell.run(&["copy", "--src-tls-verify=false", &from, &out]).await?;
                cell.pulled_layout("out")
            }
            Self::Helm => programs::pull_chart(cell).await,
            Self::Podman => engines::pull(cell, &engines::PODMAN).await,
            Self::Buildah => engines::pull(cell, &engines::BUILDAH).await,
            Self::Docker => engines::pull_docker(cell).await,
            Self::Ctr1 | Self::Ctr2Local => engines::fetch(cell).await,
            Self::Ctr2 => engines::pull_by_daemon(cell).await,
            Self::Jib => programs::pull_by_jib(cell).await,
            Self::OrasPy => {
                programs::pull_by_python(cell, "oras_py.py").await?;
                cell.pulled_content("out")
            }
            Self::PythonDxf => {
                cell.pulled_files(&programs::pull_by_python(cell, "dxf_py.py").await?)
            }
            Self::OciClient => oci_client::pull(cell).await,
        }
    }

    pub(super) async fn push(self, cell: &Cell<'_>) -> Result<(), String> {
        let there = cell.reference();
        let layout = format!("in:{TAG}");
        let said = match self {
            Self::Crane => cell.run(&["push", "--insecure", "in", &there]).await,
            Self::Regctl => {
                let host = format!("reg={},tls=disabled", cell.host);
                let from = format!("ocidir://{layout}");
                cell.run(&["--host", &host, "image", "copy", &from, &there]).await
            }
            Self::Oras => {
                let from = ["cp", "--from-oci-layout", &layout];
                cell.run(&[&from[..], &["--to-plain-http", &there]].concat()).await
            }
            Self::Cosign => cell.run(&["load", "--dir", "saved", &there]).await,
            Self::Skopeo => {
                let (from, to) = (format!("oci:{layout}"), format!("docker://{there}"));
                cell.run(&["copy", "--dest-tls-verify=false", &from, &to]).await
            }
            Self::Helm => {
                let to = format!("oci://{}/{}", cell.host, cell.repo);
                cell.run(&["push", "--plain-http", programs::CHART, &to]).await
            }
            Self::Podman => engines::push(cell, &engines::PODMAN).await,
            Self::Buildah => engines::push(cell, &engines::BUILDAH).await,
            Self::Docker => engines::push_docker(cell).await,
            Self::Ctr1 | Self::Ctr2 | Self::Ctr2Local => engines::push_by_ctr(cell).await,
            Self::Jib => programs::push_by_jib(cell).await,
            Self::OrasPy => programs::push_by_python(cell, "oras_py.py").await,
            Self::PythonDxf => programs::push_by_python(cell, "dxf_py.py").await,
            Self::OciClient => return oci_client::push(cell).await,
        };
        said.map(drop)
    }

    /// Lists the attachments of the image; there is exactly one.
    pub(super) async fn discover(self, cell: &Cell<'_>) -> Result<(), String> {
        let image = format!("{}/{}@{}", cell.host, cell.repo, cell.layout.top.digest);
        let said = match self {
            Self::Regctl => {
                let host = format!("reg={},tls=disabled", cell.host);
                let list = ["--host", &host, "artifact", "list", "--format", "raw-body", &image];
                cell.run(&list).await?
            }
            Self::Oras => {
                cell.run(&["discover", "--plain-http", "--format", "json", &image]).await?
            }
            Self::Cosign => return programs::verify(cell, &image).await,
            Self::OciClient => oci_client::referrers(cell).await?,
            _ => return Err("it knows no referrers".to_owned()),
        };
        let found = said.contains("application/x-note");
        if found { Ok(()) } else { Err(format!("it found nothing: {said}")) }
    }
}
