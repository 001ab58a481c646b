//! One cell of the table: a client, a `wharfd` and an upstream of its own, and the result.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::process::Command;
use tokio::time::Instant;
use wharf_double::{AcrDouble, FaultRule};
use wharf_testkit::clients::{Client, Output};
use wharf_testkit::images::{Blob, Layout, Recipe, sha256};

use super::cases::{Case, Trouble, Way};
use super::ground::Ground;
use super::tools::{Tool, programs};
use crate::fixture::{How, USER, Wharfd, disk_bytes, double_config, held_port, upstream_lines};

/// The longest time of a client. A user at a terminal waits no longer.
const CLIENT_TIME: Duration = Duration::from_secs(150);
pub(super) const TAG: &str = "1.0";
/// The bytes in each layer.
const LAYERS: [u64; 2] = [20_000, 400_000];
/// The shown part of a client's output.
const WORDS_MAX: usize = 400;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The result of a cell.
#[derive(Debug)]
pub(super) enum Ending {
    /// The client got through.
    Through,
    /// The client got through, but never sent the request with the fault.
    Unmet,
    /// The client failed: the last line of its output.
    Failed(String),
    /// Its program is not here.
    Missing,
}

/// The inputs of a client.
pub(super) struct Cell<'a> {
    pub(super) ground: &'a Ground,
    pub(super) tool: Tool,
    /// `HOST:PORT` of its `wharfd`.
    pub(super) host: String,
    pub(super) repo: String,
    /// The image as a layout.
    pub(super) layout: Layout,
    folder: PathBuf,
}

impl<'a> Cell<'a> {
    /// Runs one cell; returns its result, and the seconds of the client.
    pub(super) async fn try_out(ground: &'a Ground, tool: Tool, case: &Case) -> (Ending, u64) {
        if !ground.has(tool) {
            return (Ending::Missing, 0);
        }
        let beginning = ground.beginnings.acquire().await.unwrap();
        let (number, folder) = ground.place();
        let upstream = Upstream::start(ground, case).await;
        let wharfd = upstream.wharfd(case).await;
        let recipe = Recipe::new(number + 1_000, &LAYERS);
        let layout = recipe.write(&folder.join("in"), TAG).unwrap();
        let (host, repo) = (wharfd.host(), format!("patience/{number}"));
        let cell = Self { ground, tool, host, repo, layout, folder };
        let said = match cell.prepare(case.way).await {
            Ok(()) => {
                let largest = cell.largest();
                let opened = upstream.begin(ground, case, &largest);
                drop(beginning);
                let began = Instant::now();
                let work = async { (cell.work(case.way).await, began.elapsed().as_secs()) };
                let (double, (said, seconds)) = tokio::join!(opened, work);
                let said = match said {
                    Ok(()) => cell.check(case.way).await,
                    Err(words) => Err(words),
                };
                let ending = match said {
                    Err(words) => Ending::Failed(words),
                    Ok(()) if case.is_unmet(&double) => Ending::Unmet,
                    Ok(()) => Ending::Through,
                };
                cell.keep(case, &ending, &wharfd, &double);
                (ending, seconds)
            }
            Err(words) => (Ending::Failed(format!("before it began: {words}")), 0),
        };
        let _ = std::fs::remove_dir_all(&cell.folder);
        said
    }

    /// The client's own time is over when it has not ended by then.
    async fn work(&self, way: Way) -> Result<(), String> {
        let work = async {
            match way {
                Way::Pull => self.tool.pull(self).await,
                Way::Push => self.tool.push(self).await,
                Way::Discover => self.tool.discover(self).await,
            }
        };
        let over = || Err(format!("it had not ended after {} s", CLIENT_TIME.as_secs()));
        tokio::time::timeout(CLIENT_TIME, work).await.unwrap_or_else(|_| over())
    }

    /// A client's preparations for a push, and the backing registry's content for a pull.
    async fn prepare(&self, way: Way) -> Result<(), String> {
        match way {
            Way::Pull => self.tool.before_pull(self).await,
            Way::Push => self.tool.before_push(self).await,
            Way::Discover => {
                self.ground.origin.push_layout(&self.repo, &self.layout).await;
                if self.tool == Tool::Cosign {
                    return programs::sign_behind(self).await;
                }
                self.attach().await;
                Ok(())
            }
        }
    }

    /// Attaches a manifest to the image in the backing registry, as clients do without a referrers
    /// API.
    async fn attach(&self) {
        let origin = &self.ground.origin;
        let empty = origin.push_blob(&self.repo, "{}").await;
        let empty =
            json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 });
        let top = &self.layout.top;
        let note = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": "application/x-note",
            "config": empty, "layers": [empty],
            "subject": { "mediaType": top.media_type, "digest": top.digest, "size": top.size },
        });
        let note = note.to_string();
        let digest = sha256(note.as_bytes());
        let size = note.len();
        let put = origin.put_manifest(&self.repo, &digest, MANIFEST_TYPE, note).await;
        assert_eq!(put.status, 201, "{}", put.text());
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX_TYPE,
            "manifests": [{
                "mediaType": MANIFEST_TYPE, "digest": digest, "size": size,
                "artifactType": "application/x-note",
            }],
        });
        let tag = top.digest.replace(':', "-");
        let put = origin.put_manifest(&self.repo, &tag, INDEX_TYPE, index.to_string()).await;
        assert_eq!(put.status, 201, "{}", put.text());
    }

    /// The digest of its largest blob.
    fn largest(&self) -> String {
        let chart = self.tool == Tool::Helm;
        let of_chart = || std::fs::read(self.path("tide-2.0.0.tgz")).map(|bytes| sha256(&bytes));
        match of_chart() {
            Ok(digest) if chart => digest,
            _ => self.layout.content().max_by_key(|blob| blob.size).unwrap().digest.clone(),
        }
    }

    /// A pushed image is complete in the backing registry. The pulling client itself has checked a
    /// pulled one.
    async fn check(&self, way: Way) -> Result<(), String> {
        if way != Way::Push {
            return Ok(());
        }
        let (origin, repo) = (&self.ground.origin, self.tool.repo(self));
        let top = origin.get_manifest(&repo, self.tool.tag()).await;
        if top.status != 200 {
            return Err(format!("it says that it pushed, but behind the tag is {}", top.status));
        }
        let mut missing = BTreeSet::new();
        for digest in named(&top.json().unwrap()) {
            let here = origin.head_blob(&repo, &digest).await.status;
            let here =
                if here == 200 { here } else { origin.head_manifest(&repo, &digest).await.status };
            if here != 200 {
                missing.insert(digest);
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} is not behind")) }
    }

    /// Keeps the logs of a failed cell.
    fn keep(&self, case: &Case, ending: &Ending, wharfd: &Wharfd, double: &AcrDouble) {
        let Some(folder) = std::env::var_os("WHARF_PATIENCE_DIR") else { return };
        let Ending::Failed(words) = ending else { return };
        let name = format!("{}-{}", self.tool.name(), case.name);
        let name: String = name
            .chars()
            .map(|letter| if letter.is_alphanumeric() { letter } else { '-' })
            .collect();
        let journal = double.journal().iter().fold(String::new(), |all, entry| {
            format!("{all}{} {} {} {:?}\n", entry.status, entry.method, entry.path, entry.kind)
        });
        let said = std::fs::read_to_string(self.path("said")).unwrap_or_default();
        let text = format!("{words}\n\n{said}\n\nat the upstream:\n{journal}\n{}", wharfd.log());
        let _ = std::fs::write(Path::new(&folder).join(format!("{name}.log")), text);
    }

    /// A path of the cell's own.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// `HOST:PORT/REPOSITORY:TAG`, as clients name it.
    pub(super) fn reference(&self) -> String {
        format!("{}/{}:{TAG}", self.host, self.repo)
    }

    /// Runs this client; returns its standard output, or the last line of its whole output.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        self.run_by(self.ground.program(self.tool), arguments).await
    }

    /// Runs a program with nothing of this user's configuration.
    pub(super) async fn run_by(
        &self,
        program: &Client,
        arguments: &[&str],
    ) -> Result<String, String> {
        let home = self.folder.join("home");
        std::fs::create_dir_all(&home).unwrap();
        let mut command = Command::new(program.path());
        command.args(arguments).current_dir(&self.folder).env("HOME", &home);
        command.env("XDG_RUNTIME_DIR", &home).env("COSIGN_PASSWORD", "");
        for name in ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        let output = program.run_with(&mut command, CLIENT_TIME).await;
        let output = output.map_err(|error| format!("{error:#}"))?;
        let said = format!("{:?}\n{}\n{}\n", command.as_std(), output.stdout, output.stderr);
        let _ = std::fs::write(self.folder.join("said"), said);
        if output.status.success() { Ok(output.stdout) } else { Err(last_words(&output)) }
    }

    /// Every blob and manifest of the image is in the client's layout.
    pub(super) fn pulled_layout(&self, out: &str) -> Result<(), String> {
        let manifests = self.layout.images.iter().map(|image| &image.manifest);
        self.layout.content().chain(manifests).try_for_each(|blob| {
            let path = self.folder.join(out).join("blobs").join(blob.digest.replace(':', "/"));
            self.is_blob(&path, blob)
        })
    }

    fn is_blob(&self, path: &Path, blob: &Blob) -> Result<(), String> {
        let pulled = std::fs::read(path).map_err(|error| format!("{}: {error}", blob.digest))?;
        let right = self.layout.read(blob).unwrap() == pulled;
        if right { Ok(()) } else { Err(format!("{} differs", blob.digest)) }
    }

    /// The client unpacked layers into a folder: as many bytes as they have.
    pub(super) fn pulled_content(&self, folder: &str) -> Result<(), String> {
        let bytes = disk_bytes(&self.folder.join(folder));
        let wanted = LAYERS.iter().sum::<u64>();
        if bytes >= wanted { Ok(()) } else { Err(format!("only {bytes} bytes of {wanted}")) }
    }

    /// Each of the files printed by the client is a layer of the image.
    pub(super) fn pulled_files(&self, said: &str) -> Result<(), String> {
        let layers = &self.layout.images[0].layers;
        let mut wanted: BTreeSet<_> =
            layers.iter().map(|layer| layer.blob.digest.clone()).collect();
        for line in said.lines().filter(|line| line.starts_with('/')) {
            wanted.remove(&sha256(&std::fs::read(line).map_err(|error| error.to_string())?));
        }
        if wanted.is_empty() { Ok(()) } else { Err(format!("{wanted:?} was not pulled")) }
    }
}

/// Every descriptor of a manifest or an index.
fn named(manifest: &Value) -> Vec<String> {
    let lists = ["layers", "manifests"].into_iter().filter_map(|list| manifest[list].as_array());
    let entries = lists.flatten().chain(manifest.get("config"));
    entries.filter_map(|entry| entry["digest"].as_str()).map(str::to_owned).collect()
}

/// The line with the client's reason for its failure: usually its last one.
fn last_words(output: &Output) -> String {
    let lines = || {
        output.stdout.lines().chain(output.stderr.lines()).filter(|line| !line.trim().is_empty())
    };
    let cause =
        lines().rfind(|line| line.starts_with("Caused by: ") || line.starts_with("Exception in"));
    let words = cause.or_else(|| lines().next_back()).unwrap_or("it said nothing");
    format!("{} ({})", words.trim().chars().take(WORDS_MAX).collect::<String>(), output.status)
}

impl Case {
    fn is_unmet(&self, double: &AcrDouble) -> bool {
        let orders = matches!(self.trouble, Trouble::Rules(_) | Trouble::OnLargest(_));
        orders && double.struck_in_all() == 0
    }

    /// The faults ordered at the upstream; the digest is the largest blob's.
    fn orders(&self, largest: &str) -> Vec<FaultRule> {
        match &self.trouble {
            Trouble::Rules(rules) => rules.clone(),
            Trouble::OnLargest(rule) => vec![rule.clone().of_digest(largest)],
            Trouble::Nothing | Trouble::Refuses(_) => Vec::new(),
        }
    }
}

/// The upstream of a cell.
enum Upstream {
    Here(AcrDouble),
    /// There is no listener yet, but the address is taken.
    Later(TcpSocket, SocketAddr),
}

impl Upstream {
    async fn start(ground: &Ground, case: &Case) -> Self {
        if let Trouble::Refuses(_) = case.trouble {
            let (socket, addr) = held_port();
            return Self::Later(socket, addr);
        }
        Self::Here(AcrDouble::start(double_config(&ground.registry)).await.unwrap())
    }

    async fn wharfd(&self, case: &Case) -> Wharfd {
        let url = match self {
            Self::Here(double) => double.url(),
            Self::Later(_, addr) => format!("http://{addr}"),
        };
        let push = if case.staged { "staged" } else { "through" };
        let upstream = format!("{}push = \"{push}\"\n", upstream_lines(&url, USER));
        // As in production: a temporary failure is held before it is refused.
        let variables = vec![("WHARFD_HOLD", "45".to_owned())];
        let how = How { variables, ..How::default() };
        Wharfd::started(&format!("{}{upstream}", case.lines), how).await
    }

    /// The trouble begins; the double, when it is there.
    async fn begin(self, ground: &Ground, case: &Case, largest: &str) -> AcrDouble {
        match (self, &case.trouble) {
            (Self::Later(socket, addr), Trouble::Refuses(time)) => {
                tokio::time::sleep(*time).await;
                drop(socket);
                let mut config = double_config(&ground.registry);
                config.listen = addr;
                AcrDouble::start(config).await.unwrap()
            }
            (Self::Here(double), _) => {
                for rule in case.orders(largest) {
                    double.set_fault(rule);
                }
                double
            }
            (Self::Later(..), _) => unreachable!("only a case that refuses has no upstream"),
        }
    }
}
