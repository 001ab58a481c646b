//! An offer for tests without any finding, in a folder of its own. Tests change one place in its
//! text or in its files and look at the messages.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::content::Content;
use super::{OfferError, OfferFile};
use crate::pictures::tests::png;

/// One more plan, of a Kubernetes application with an image of its own.
pub(crate) const APPLICATION: &str = r#"  - id: cluster
    kind: kubernetes
    name: Cluster
    summary: In your cluster.
    description: <p>In your cluster.</p>
    licence: payAsYouGo
    prices: { unit: perCore, usdPerHour: 0.02 }
    chart: chart
    manifest: manifest.yaml
    uiDefinition: createUiDefinition.json
    armTemplate: mainTemplate.json
    namespace: tidepool
    extensionType: Quayline.Tidepool
    images:
      web: { repository: tidepool/web, version: "1.0", platforms: [{ platform: linux/amd64, layers: [{ dir: x }] }] }
"#;

macro_rules! application_files {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/kit/applications/web/", $name)))),*]
    };
}

pub(crate) const APPLICATION_FILES: [(&str, &str); 6] = application_files!(
    "manifest.yaml",
    "createUiDefinition.json",
    "mainTemplate.json",
    "chart/Chart.yaml",
    "chart/values.yaml",
    "chart/templates/web.yaml"
);

/// The file. Tests replace pieces of it, so every piece they name stands here once.
pub(crate) const OFFER: &str = r#"version: 1
publisher: quayline
offer:
  id: tidepool
  alias: Tidepool
  registry: production
registries:
  staging:
    loginServer: quaylinestaging.azurecr.io
  production:
    loginServer: quayline.azurecr.io
    prefix: live
    azure:
      subscriptionId: 7c1f2d64-9a0b-4e5d-8f3a-2b6c91d0e7f4
      resourceGroup: quayline-registries
      registryName: quayline
    credentials:
      username: { env: QUAY_USER }
      password: { env: QUAY_PASSWORD }
listing:
  title: Tidepool Cache
  searchSummary: A cache that says when it is well.
  shortDescription: A cache with safe defaults.
  description: { file: description.html }
  keywords: [cache]
  privacyPolicy: https://quayline.dev/privacy
  supportUrl: https://quayline.dev/support
  links:
    - { title: Guide, url: https://quayline.dev/guide }
  contacts:
    support: { name: Support, email: support@quayline.dev, phone: "+1 206 555 0142" }
    engineering: { name: Engineering, email: eng@quayline.dev, phone: "+1 206 555 0143" }
  assetBaseUrl: https://assets.quayline.dev/t
  logos:
    large: large.png
    medium: medium.png
    small: small.png
    wide: wide.png
  screenshots:
    - { file: screen.png, caption: One day }
  videos:
    - { title: Tour, url: https://vimeo.com/1, thumbnail: video.png }
legal:
  terms: { file: terms.txt }
properties:
  categories:
    containers: [container-images]
preview:
  subscriptions:
    - { id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386, label: Test }
certificationNotes: Start it and ask port 8080.
plans:
  - id: server
    name: Server
    summary: The server.
    description: <p>Only what the server has.</p>
    licence: byol
    image:
      repository: tidepool/server
      version: "1.4.0"
      created: "2026-11-01T00:00:00Z"
      tags: [latest, "{version}-all", "{version}-test", "{version}-{platform}"]
      platforms:
        - platform: linux/amd64
          layers:
            - { dir: rootfs/amd64 }
        - platform: linux/arm64
          layers:
            - { dir: rootfs/arm64, owner: "7:8" }
      config:
        entrypoint: [/bin/server]
        env: { TZ: Etc/UTC }
        user: "999:999"
        exposedPorts: [6379/tcp]
    resources: { cpu: 1, memoryGb: 1.5 }
  - id: probe
    name: Probe
    summary: The probe.
    description: <p>Nothing but a health check.</p>
    licence: free
    visibility: hidden
    image:
      repository: tidepool/probe
      version: "1.4.0"
      tags: [latest, "{version}-all", "{version}-test", "{version}-{platform}"]
      platforms:
        - platform: linux/amd64
          layers:
            - { tar: probe.tar }
      config:
        cmd: [/bin/probe]
        user: "999:999"
"#;

/// The member in the tables of audiences.
pub(crate) const TABLED: &str = "0c5b1a72-3f64-4d8e-9b27-e1d06a94c853";

/// The same with pieces replaced; each must stand in it.
pub(crate) fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = OFFER.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the test offer does not hold {from:?}");
        text = text.replacen(from, to, 1);
    }
    text
}

/// The type of an offer text, as if it stood in `offer.yaml`.
pub(crate) fn parse(text: &str) -> Result<OfferFile, OfferError> {
    OfferFile::parse(Path::new("offer.yaml"), text.as_bytes().to_vec())
}

/// The pictures of the offer; made once, because that takes a while.
static PICTURES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let sizes = [
        ("large.png", 256, 256),
        ("medium.png", 90, 90),
        ("small.png", 48, 48),
        ("wide.png", 255, 115),
        ("screen.png", 1280, 720),
        ("video.png", 1280, 720),
    ];
    let made = |(name, width, height)| (name, png(width, height, [20, 90, 160]));
    sizes.into_iter().map(made).collect()
});

/// A folder with the offer and every file it names.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// All files as they should be.
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        folder.write(
            "description.html",
            "<p>A cache for containers, with people to ask.</p>\n<p>Needs 1 core and 2 GB.</p>\n",
        );
        folder.write("terms.txt", b"Be kind.\n");
        folder.write("preview.csv", format!("Id,Description,Type\n{TABLED},Us,SubscriptionId\n"));
        folder.write("tenants.csv", format!("Id,Description,Type\n{TABLED},Them,TenantId\n"));
        for (name, bytes) in &*PICTURES {
            folder.write(name, bytes);
        }
        for (name, text) in APPLICATION_FILES {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    /// Writes a file into it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        let folder = path.parent().expect("a file is in a folder");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(path, bytes).expect("the folder can be written");
    }

    /// Takes a file out of it.
    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.path().join(name)).expect("the file is there");
    }

    /// Where the offer file is.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("offer.yaml")
    }

    /// The offer of this text with its files.
    pub(crate) fn load(&self, text: &str) -> Result<(OfferFile, Content), OfferError> {
        let file = OfferFile::parse(&self.path(), text.as_bytes().to_vec())?;
        let content = Content::load(&file)?;
        Ok((file, content))
    }
}

pub(crate) fn with_application() -> String {
    format!("{OFFER}{APPLICATION}")
}
