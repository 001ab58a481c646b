//! An offer without findings, in a folder of its own. Tests change its text or its files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// A blue unlike white and black.
const BLUE: [u8; 3] = [24, 96, 152];

const OFFER: &str = r#"version: 1
publisher: quayline
offer:
  id: tide
  alias: Tide
  registry: harbour
registries:
  harbour:
    loginServer: quayharbour.azurecr.io
    prefix: sold
    azure:
      subscriptionId: 51e0b7c4-2d39-4f6a-8c1b-93a7d4e6f058
      resourceGroup: harbour-group
      registryName: quayharbour
    credentials:
      username: { env: HARBOUR_USER }
      password: { env: HARBOUR_PASSWORD }
listing:
  title: Tide for containers
  searchSummary: Tells when the water is high.
  shortDescription: A small service that knows the tides of a thousand ports.
  description: { file: listing.html }
  keywords: [tides]
  privacyPolicy: https://quayline.dev/privacy
  supportUrl: https://quayline.dev/help
  links:
    - { title: First steps, url: https://quayline.dev/start }
  contacts:
    support: { name: Help desk, email: help@quayline.dev, phone: "+49 40 555 0101" }
    engineering: { name: Engine room, email: engine@quayline.dev, phone: "+49 40 555 0102" }
  assetBaseUrl: https://pictures.quayline.dev/tide
  logos:
    large: large.png
    medium: medium.png
    small: small.png
    wide: wide.png
  screenshots:
    - { file: screen.png, caption: The tides of a week }
  videos:
    - { title: A tour, url: https://vimeo.com/2, thumbnail: video.png }
legal:
  terms: { file: terms.txt }
properties:
  categories:
    containers: [container-images]
preview:
  subscriptions:
    - { id: 8d3f51a2-7c60-4e9b-b1d5-0f2a6c94e837, label: Trial }
certificationNotes: Start it and ask port 8080 for /tides.
plans:
  - id: tide-service
    name: Service
    summary: The service alone.
    description: <p>Nothing but the program that answers questions.</p>
    licence: byol
    image:
      repository: tide/service
      version: "1.4.0"
      created: "2026-03-01T08:00:00Z"
      tags: [latest, "{version}-all", "{version}-test", "{version}-{platform}"]
      platforms:
        - platform: linux/amd64
          layers:
            - { dir: root/amd64 }
        - platform: linux/arm64
          layers:
            - { dir: root/arm64 }
      config:
        entrypoint: [/srv/tide/tided]
        user: "1200:1200"
        exposedPorts: [8080/tcp]
    resources: { cpu: 1, memoryGb: 2 }
"#;

/// The name of the image plan, also of its layout.
pub const PLAN: &str = "tide-service";

/// One more plan, of a Kubernetes application.
const APPLICATION: &str = r#"  - id: tide-cluster
    kind: kubernetes
    name: Cluster
    summary: The page in a cluster.
    description: <p>The page that shows the tides, for a cluster of your own.</p>
    licence: byol
    chart: chart
    manifest: manifest.yaml
    uiDefinition: createUiDefinition.json
    armTemplate: mainTemplate.json
    namespace: tide
    extensionType: Quayline.Tide
    bundle: { repository: tide/bundle }
    images:
      web:
        repository: tide/web
        version: "1.0.0"
        created: "2026-03-01T08:00:00Z"
        platforms: [{ platform: linux/amd64, layers: [{ dir: web }] }]
        config: { entrypoint: [/web], user: "1200:1200" }
"#;

macro_rules! application_files {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../applications/web/", $name)))),*] };
}

/// The name of the application plan, also of its layout.
pub const APPLICATION_PLAN: &str = "tide-cluster";

/// An offer with its files.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The text of `offer.yaml`.
    pub text: String,
    /// The files beside the offer.
    pub files: BTreeMap<&'static str, Vec<u8>>,
}

impl Offer {
    /// An offer without findings.
    pub fn healthy() -> Self {
        let mut files = BTreeMap::from([
            (
                "listing.html",
                b"<p>Tides are when the water comes and goes. This service knows when.</p>\n\
                  <p>It needs 1 core and 2 GB of memory.</p>\n"
                    .to_vec(),
            ),
            ("terms.txt", b"Use it as you like; it comes without a promise.\n".to_vec()),
        ]);
        for (name, width, height) in [
            ("large.png", 256, 256),
            ("medium.png", 90, 90),
            ("small.png", 48, 48),
            ("wide.png", 255, 115),
            ("screen.png", 1280, 720),
            ("video.png", 1280, 720),
        ] {
            files.insert(name, picture(width, height, BLUE));
        }
        Self { text: OFFER.to_owned(), files }
    }

    /// A healthy offer with a plan of a Kubernetes application after the plan of the image.
    pub fn with_application() -> Self {
        let mut offer = Self::healthy();
        offer.add_application();
        offer
    }

    /// Puts a plan of a Kubernetes application behind the others, with its chart and other files.
    pub fn add_application(&mut self) {
        self.text.push_str(APPLICATION);
        let azure = "      registryName: quayharbour\n";
        self.add_after(azure, "      tenantId: d2a7f610-93b8-4c05-8e4f-7b16c09a52ed\n");
        self.add_application_files();
    }

    /// Puts the files of the application plan beside the offer.
    pub fn add_application_files(&mut self) {
        for (name, text) in application_files!(
            "manifest.yaml",
            "createUiDefinition.json",
            "mainTemplate.json",
            "chart/Chart.yaml",
            "chart/values.yaml",
            "chart/templates/web.yaml"
        ) {
            let text = text
                .replace("quayline.azurecr.io", "quayharbour.azurecr.io")
                .replace("live/tidepool", "sold/tide")
                .replace("tidepool", "tide");
            self.file(name, text);
        }
    }

    /// Puts another text where one stands, once.
    pub fn replace(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "the offer does not hold {from:?}");
        self.text = self.text.replacen(from, to, 1);
    }

    /// Puts a text after an existing text.
    pub fn add_after(&mut self, after: &str, text: &str) {
        self.replace(after, &format!("{after}{text}"));
    }

    /// Puts another file in the place of one.
    pub fn file(&mut self, name: &'static str, bytes: impl AsRef<[u8]>) {
        self.files.insert(name, bytes.as_ref().to_owned());
    }

    /// The listing's description.
    pub fn description(&mut self, html: &str) {
        let end = "<p>It needs 1 core and 2 GB of memory.</p>";
        self.file("listing.html", format!("<p>Tides, told.</p>{html}{end}"));
    }

    /// A second plan, behind the first.
    pub fn second_plan(&mut self, change: impl Fn(String) -> String) {
        let start = self.text.find("  - id: tide-service").expect("there is a plan");
        let plan = self.text.get(start..).unwrap_or_default();
        let plan = plan.split_inclusive('\n').enumerate();
        let first = plan.take_while(|(number, line)| *number == 0 || !line.starts_with("  - id: "));
        let plan: String = first.map(|(_, line)| line).collect();
        let plan = plan
            .replace("tide-service", "tide-probe")
            .replace("name: Service", "name: Probe")
            .replace("The service alone.", "A probe beside the service.")
            .replace("Nothing but the program that answers questions", "It asks and measures")
            .replace("tide/service", "tide/probe");
        let plan = change(plan);
        self.text.push_str(&plan);
    }

    /// Writes it; the path of `offer.yaml`.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, bytes)?;
        }
        let path = folder.join("offer.yaml");
        fs::write(&path, &self.text)?;
        Ok(path)
    }
}

/// A PNG of one colour.
pub fn picture(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    rows(width, height, &colour.repeat(width as usize))
}

/// A picture of stripes with soft edges, like an enlarged one.
pub fn blurred(width: u32, height: u32) -> Vec<u8> {
    // Four pixels from black to white, thirty-two from one edge to the next.
    let level = |x: u32| {
        let rise = u8::try_from(((x % 32 + 1) * 255 / 4).min(255)).unwrap_or(255);
        if x % 64 < 32 { rise } else { 255 - rise }
    };
    rows(width, height, &(0..width).flat_map(|x| [level(x); 3]).collect::<Vec<u8>>())
}

/// A picture with equal rows.
fn rows(width: u32, height: u32, row: &[u8]) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [width.to_be_bytes().as_slice(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    chunk(&mut png, *b"IHDR", &header);
    let row = [&[0], row].concat();
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..height {
        pixels.write_all(&row).expect("memory takes everything");
    }
    chunk(&mut png, *b"IDAT", &pixels.finish().expect("memory takes everything"));
    chunk(&mut png, *b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) {
    let mut crc = Crc::new();
    crc.update(&kind);
    crc.update(content);
    png.extend(u32::try_from(content.len()).unwrap_or_default().to_be_bytes());
    png.extend(kind);
    png.extend(content);
    png.extend(crc.sum().to_be_bytes());
}
