//! The cost of access control. Every client reads the same manifest from the same store:
//! anonymously, with a password, with a token of `wharfd`, with a token of an issuer, or as a
//! caller admitted by the upstream.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::bench::{self, Bench};
use crate::client::{Ask, Client};
use crate::content::{Image, MANIFEST_TYPE, REPOSITORY};
use crate::issuer::Issuer;
use crate::peer::{Kind, Peer, start_wharfd_with, wharfd_program};
use crate::process::Process;
use crate::report::{Basis, OURS, Table, Unit};
use crate::{content, wrk};

const USER: &str = "bench";
const PASSWORD: &str = "bench password";
const CONNECTIONS: [usize; 2] = [16, 64];
/// As `htpasswd -B` makes them.
const BCRYPT_COST: u32 = 10;
/// The most processor time for a request with access control, as a multiple of an open request.
const CPU_FACTOR: f64 = 1.5;

const TEXT: &str = "\
wrk asks for a manifest by tag, as in \"Small answers per second\"; `wharfd` has it in memory. \"open\"
asks nobody; Basic was verified once (bcrypt, cost 10) and is remembered; our token comes from our
`/token`; the token of an issuer is ES256, its key fetched before; passthrough was asked of the
upstream (`acr-double`) before and is remembered, with the tag fresh for the whole time.";

/// One kind of access, ready to be asked.
struct Served {
    name: &'static str,
    process: Process,
    addr: SocketAddr,
    authorization: Option<String>,
    /// Servers in use by this kind of access, for example an upstream.
    _behind: Vec<Process>,
    _registry: Option<Peer>,
    _issuer: Option<Issuer>,
    _folder: TempDir,
}

pub(crate) fn access(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let image = Image::small();
    let kinds = [
        open(bench, &image)?,
        basic(bench, &image)?,
        our_token(bench, &image)?,
        others_token(bench, &image)?,
        passthrough(bench, &image)?,
    ];
    for kind in &kinds {
        kind.check(&image)?;
    }
    rustix::fs::sync();
    let mut table = Table::new("What access costs a request", TEXT, &[]);
    for connections in CONNECTIONS {
        for _ in 0..bench.runs {
            for kind in &kinds {
                kind.measure(bench, &mut table, connections)?;
            }
        }
        for kind in kinds.iter().skip(1) {
            let open = case("open", connections);
            let target = (CPU_FACTOR, Basis::Case(open));
            table.target(&case(kind.name, connections), Unit::CPU_MICROS, target.0, target.1);
        }
    }
    kinds.into_iter().try_for_each(|kind| kind.process.stop())?;
    Ok(vec![table])
}

fn case(name: &str, connections: usize) -> String {
    format!("{name}, {connections} connections")
}

impl Served {
    /// The manifest is served with the credentials and refused without them.
    fn check(&self, image: &Image) -> anyhow::Result<()> {
        let status = |shown: Option<&str>| -> anyhow::Result<(u16, Vec<u8>)> {
            let headers = headers(shown);
            let (mut body, path) = (Vec::new(), Image::by_tag());
            let ask = Ask { headers: &headers, ..Ask::get(&path) };
            let mut take = |bytes: &[u8]| body.extend_from_slice(bytes);
            let answer = Client::connect(self.addr)?.send(ask, &mut take)?;
            Ok((answer.status, body))
        };
        let (said, body) = status(self.authorization.as_deref())?;
        ensure!(said == 200 && body == image.manifest.content, "{}: {said}", self.name);
        if self.authorization.is_some() {
            let (said, _) = status(None)?;
            ensure!(said == 401, "{} lets everybody in: {said}", self.name);
        }
        Ok(())
    }

    fn measure(&self, bench: &Bench, table: &mut Table, connections: usize) -> anyhow::Result<()> {
        let case = case(self.name, connections);
        bench::say(&case);
        let before = self.process.cpu_seconds();
        let load = (connections, bench.pick(3, 1));
        let shown = self.authorization.as_deref();
        let rate = wrk::run_as(self.addr, &Image::by_tag(), shown, load)?;
        let cpu = self.process.cpu_seconds() - before;
        table.add(&case, Unit::PER_SECOND, OURS, rate.per_second);
        table.add(&case, Unit::P99_MS, OURS, rate.p99_ms);
        table.add(&case, Unit::CPU_MICROS, OURS, cpu * 1e6 / rate.requests);
        Ok(())
    }
}

fn headers(authorization: Option<&str>) -> String {
    let mut headers = format!("Accept: {MANIFEST_TYPE}, */*\r\n");
    if let Some(shown) = authorization {
        let _ = write!(headers, "Authorization: {shown}\r\n");
    }
    headers
}

fn basic_pair() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

/// Starts `wharfd` without access rules, pushes the image, and starts it again with `lines`.
fn served(bench: &Bench, image: &Image, name: &'static str, lines: &str) -> anyhow::Result<Served> {
    let folder = TempDir::with_prefix_in("access-", bench.folder())?;
    let hash = bcrypt::hash(PASSWORD, BCRYPT_COST).context("a password is hashed")?;
    fs::write(folder.path().join("htpasswd"), format!("{USER}:{hash}\n"))?;
    let (process, addr) = start_wharfd_with(folder.path(), "")?;
    content::push_image(addr, image)?;
    process.stop()?;
    let (process, addr) = start_wharfd_with(folder.path(), lines)?;
    Ok(Served {
        name,
        process,
        addr,
        authorization: None,
        _behind: Vec::new(),
        _registry: None,
        _issuer: None,
        _folder: folder,
    })
}

/// Rules for 101 users; the rule of the only user with a password comes last.
fn users() -> String {
    let mut lines = "[access]\nkind = \"users\"\nhtpasswd = \"FOLDER/htpasswd\"\n".to_owned();
    for number in 0..100 {
        let rule = rule(&format!("user-{number}"), &format!("team-{number}/*"));
        let _ = write!(lines, "{rule}");
    }
    lines + &rule(USER, &format!("{REPOSITORY}*"))
}

fn rule(who: &str, repositories: &str) -> String {
    format!(
        "[[access.rule]]\nwho = [\"{who}\"]\nrepositories = [\"{repositories}\"]\n\
         actions = [\"pull\"]\n"
    )
}

fn open(bench: &Bench, image: &Image) -> anyhow::Result<Served> {
    served(bench, image, "open", "")
}

fn basic(bench: &Bench, image: &Image) -> anyhow::Result<Served> {
    let served = served(bench, image, "Basic", &users())?;
    Ok(Served { authorization: Some(basic_pair()), ..served })
}

fn our_token(bench: &Bench, image: &Image) -> anyhow::Result<Served> {
    let served = served(bench, image, "our token", &users())?;
    let path = format!("/token?service=wharfd&scope=repository:{REPOSITORY}:pull");
    let headers = headers(Some(&basic_pair()));
    let mut body = Vec::new();
    let mut take = |bytes: &[u8]| body.extend_from_slice(bytes);
    let ask = Ask { headers: &headers, ..Ask::get(&path) };
    let answer = Client::connect(served.addr)?.send(ask, &mut take)?;
    ensure!(answer.status == 200, "no token:\n{}", answer.head);
    let said: serde_json::Value = serde_json::from_slice(&body)?;
    let token = said.get("token").and_then(serde_json::Value::as_str).context("a token")?;
    Ok(Served { authorization: Some(format!("Bearer {token}")), ..served })
}

fn others_token(bench: &Bench, image: &Image) -> anyhow::Result<Served> {
    let issuer = Issuer::start()?;
    let url = issuer.url();
    let lines = format!(
        "[access]\nkind = \"users\"\n{}[[access.issuer]]\nname = \"bench\"\nissuer = \"{url}\"\n\
         audience = \"wharfd\"\njwks_url = \"{url}/keys\"\n",
        rule("bench:*", &format!("{REPOSITORY}*"))
    );
    let served = served(bench, image, "an issuer's token", &lines)?;
    let authorization = Some(format!("Bearer {}", issuer.token()?));
    Ok(Served { authorization, _issuer: Some(issuer), ..served })
}

fn passthrough(bench: &Bench, image: &Image) -> anyhow::Result<Served> {
    let registry = Peer::start(Kind::Registry, bench.folder(), None)?;
    registry.keep_image(image)?;
    let folder = TempDir::with_prefix_in("access-", bench.folder())?;
    let program = wharfd_program()?.with_file_name("acr-double");
    let advice = "build it with: cargo build --release -p wharf-double --bin acr-double";
    ensure!(program.is_file(), "{} is not there; {advice}", program.display());
    let mut command = Command::new(program);
    command.args(["--backing", &format!("http://{}", registry.addr())]);
    command.args(["--username", USER, "--password", PASSWORD]);
    let mut double = Process::start("acr-double", &mut command, folder.path())?;
    let double_addr = double.wait_for(|double| double.line(double_addr))?;
    let lines = format!(
        "[access]\nkind = \"passthrough\"\n[[upstream]]\nurl = \"http://{double_addr}\"\n\
         tag_ttl_seconds = 86400\n"
    );
    let (process, addr) = start_wharfd_with(folder.path(), &lines)?;
    Ok(Served {
        name: "passthrough",
        process,
        addr,
        authorization: Some(basic_pair()),
        _behind: vec![double],
        _registry: Some(registry),
        _issuer: None,
        _folder: folder,
    })
}

/// The double prints one line of JSON with its addresses.
fn double_addr(line: &str) -> Option<SocketAddr> {
    let said: serde_json::Value = serde_json::from_str(line).ok()?;
    said.get("addr")?.as_str()?.parse().ok()
}
