//! `wharf offer bundle`: lays out the input of Microsoft's packaging tool, and takes the tool's
//! result up into the offer.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use tokio::runtime::Handle;
use wharf_oci::{Digest, MANIFEST_SIZE_BYTES_MAX, Manifest, Reference};

use super::super::given::Given;
use super::super::remote::{Endpoint, open};
use super::super::{Context, variable};
use super::unpinned::unpinned;
use crate::application::layout::BundleLayout;
use crate::cli::BundleArgs;
use crate::exit::Exit;
use crate::input;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::{Bundle, KubernetesPlan, Plan, PlanKind};
use crate::offer::registries::target;
use crate::output_file;
use crate::report::Report;
use crate::rules::{self, Severity};
use crate::yaml_edit::{self, PathStep};

/// Longest hexadecimal digest in a text (SHA-512).
const DIGEST_CHARS_MAX: usize = "sha512:".len() + 128;

/// The value of a bare `--built`: ask the registry.
const ASK: &str = "registry";

/// A plan with its place in the offer.
type At<'a> = (usize, &'a Plan, &'a KubernetesPlan);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LaidOut {
    plans: Vec<LaidOutPlan>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LaidOutPlan {
    plan: String,
    folder: PathBuf,
    files: usize,
    /// Lines for a shell.
    verify: String,
    build_bundle: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TakenUp<'a> {
    plan: &'a str,
    version: &'a str,
    digest: Digest,
    /// Whether the offer said so before.
    is_same: bool,
}

/// Runs the command.
pub(super) fn run(args: &BundleArgs, context: &Context) -> anyhow::Result<Exit> {
    let file = OfferFile::open(&args.offer)?;
    let files = Content::load(&file)?;
    let plans = selected(args, &file)?;
    match (&args.output, &args.built) {
        (Some(output), _) => lay_out(args, &file, &files, &plans, output, context),
        (None, Some(built)) => {
            let [plan] = plans.as_slice() else {
                bail!("name the plan whose bundle was made: --plan ID");
            };
            take_up(args, &file, &files, *plan, built, context)
        }
        (None, None) => bail!("give --output DIR or --built"),
    }
}

fn selected<'a>(args: &BundleArgs, file: &'a OfferFile) -> anyhow::Result<Vec<At<'a>>> {
    let plans = file.select(&args.plans)?;
    if let Some((place, plan)) =
        plans.iter().find(|(_, plan)| matches!(plan.kind, PlanKind::Image(_)))
        && !args.plans.is_empty()
    {
        let message = format!("the plan `{}` is an image, which needs no bundle", plan.id);
        let help = "name a plan of `kind: kubernetes`";
        return Err(file.error_at(&format!("plans[{place}].id"), message, help).into());
    }
    let kubernetes: Vec<At<'_>> = plans
        .into_iter()
        .filter_map(|(place, plan)| match &plan.kind {
            PlanKind::Kubernetes(kind) => Some((place, plan, &**kind)),
            PlanKind::Image(_) => None,
        })
        .collect();
    if kubernetes.is_empty() {
        let help = "images need no bundle: `wharf push` and `wharf promote` bring them there";
        return Err(file.error_at("plans", "no plan is of `kind: kubernetes`", help).into());
    }
    Ok(kubernetes)
}

fn lay_out(
    args: &BundleArgs,
    file: &OfferFile,
    files: &Content,
    plans: &[At<'_>],
    output: &Path,
    context: &Context,
) -> anyhow::Result<Exit> {
    outside_of_charts(output, plans, files)?;
    // Rules would report only the effects in the rendered chart; `pin` is the fix.
    let unpinned = unpinned(file, files, plans.iter().map(|(place, plan, _)| (*place, *plan)));
    ensure!(unpinned.is_empty(), "{}", unpinned.join("\n"));
    let report = judged(args, file, files, plans)?;
    if report.exit() != Exit::Ok {
        context.output.result("offer bundle", &report, |paint| report.text(paint))?;
        return Ok(report.exit());
    }
    // Warnings are printed, and do not stop the bundle.
    if !report.findings.is_empty() && !context.global.quiet {
        context.output.result_aside(|paint| report.text(paint));
    }
    let mut laid_out = Vec::new();
    for (place, plan, _) in plans {
        let key = format!("plans[{place}]");
        let (Some(application), Some(chart)) =
            (files.applications.get(place), files.charts.get(place))
        else {
            return Err(file.error_at(&key, "its files were not read", "look at them").into());
        };
        let layout = BundleLayout::of(application, chart)?;
        let folder = output.join(plan.id.as_str());
        layout.write(&folder)?;
        let absolute = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let registry = file.offer.registries.get(&file.offer.offer.registry);
        let azure = registry.and_then(|registry| registry.azure.as_ref());
        let name = azure.map(|azure| azure.registry_name.as_str());
        laid_out.push(LaidOutPlan {
            plan: plan.id.to_string(),
            files: layout.files().len(),
            verify: verify_call(&absolute),
            build_bundle: build_call(&absolute, name.unwrap_or("REGISTRY")),
            folder,
        });
    }
    let result = LaidOut { plans: laid_out };
    context.output.result("offer bundle", &result, |_| text(&result, &args.offer))?;
    Ok(Exit::Ok)
}

/// A folder in a chart would be a part of the chart the next time.
fn outside_of_charts(output: &Path, plans: &[At<'_>], files: &Content) -> anyhow::Result<()> {
    for (_, plan, _) in plans {
        let folder = output.join(plan.id.as_str());
        let place = real(&folder);
        let inside = files.charts.values().find(|chart| place.starts_with(real(&chart.folder)));
        if let Some(chart) = inside {
            bail!(
                "{} is inside of the chart {}, which would pack it; name another --output",
                folder.display(),
                chart.folder.display()
            );
        }
    }
    Ok(())
}

/// A path with its links followed; a missing part stays as written.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|at| Some((at, at.canonicalize().ok()?)));
    let Some((at, real)) = found else { return path };
    real.join(path.strip_prefix(at).unwrap_or(Path::new("")))
}

/// The rules' errors about the applications of these plans.
fn judged(
    args: &BundleArgs,
    file: &OfferFile,
    files: &Content,
    plans: &[At<'_>],
) -> anyhow::Result<Report> {
    let named = std::iter::once(args.offer.as_path());
    let given = Given::read(&args.given, None, named, Some(file))?;
    let judgement = rules::judge_offer(file, files, &given.evidence, args.profile);
    let mut judgement = given.conclude(judgement, &[], true, args.profile);
    judgement.findings.retain(|finding| {
        let is_of = |id: &str| plans.iter().any(|(_, plan, _)| plan.id.as_str() == id);
        finding.rule.starts_with("K8S-") && finding.place.plan.as_deref().is_some_and(is_of)
    });
    judgement.gaps.clear();
    Ok(Report::new(Vec::new(), judgement, Severity::Error))
}

/// The tool's own check needs no registry.
fn verify_call(folder: &Path) -> String {
    let mount = quoted(&format!("{}:/data", folder.display()));
    format!("docker run --rm -v {mount} -w /data --entrypoint cpa \"$CPA_IMAGE\" verify")
}

/// It makes the bundle with the Docker of this machine and pushes it, so it logs in first.
fn build_call(folder: &Path, registry: &str) -> String {
    let mount = quoted(&format!("{}:/data", folder.display()));
    let words = quoted(&format!("az login && az acr login --name {registry} && cpa buildbundle"));
    format!(
        "docker run --rm -it -v /var/run/docker.sock:/var/run/docker.sock -v {mount} -w /data \
         --entrypoint /bin/bash \"$CPA_IMAGE\" -c {words}"
    )
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn text(result: &LaidOut, offer: &Path) -> String {
    let mut text = String::new();
    for at in &result.plans {
        let _ = writeln!(text, "{}: {} files in {}", at.plan, at.files, at.folder.display());
        let _ = writeln!(text, "  check:  {}", at.verify);
        let _ = writeln!(text, "  bundle: {}", at.build_bundle);
        let offer = quoted(&offer.display().to_string());
        let _ = writeln!(text, "  then:   wharf offer bundle {offer} --plan {} --built", at.plan);
    }
    text.push_str(
        "CPA_IMAGE is Microsoft's container packaging image; its address stands on the page of \
         technical assets for Kubernetes applications.\n",
    );
    text
}

fn take_up(
    args: &BundleArgs,
    file: &OfferFile,
    files: &Content,
    (place, plan, kind): At<'_>,
    built: &str,
    context: &Context,
) -> anyhow::Result<Exit> {
    let Some(bundle) = &kind.bundle else {
        let help = "write `bundle: { repository: NAME }` into the plan first";
        let message = format!("the plan `{}` does not say where its bundle is", plan.id);
        return Err(file.error_at(&format!("plans[{place}]"), message, help).into());
    };
    let manifest = files.applications.get(&place).and_then(|at| at.manifest.content.as_ref());
    let version = manifest.and_then(|manifest| manifest.version.as_ref());
    let Some(version) = version.map(|version| version.value.as_str()) else {
        let help = "write `version: 1.0.0` into it";
        let key = format!("plans[{place}].manifest");
        return Err(file.error_at(&key, "the manifest has no version", help).into());
    };
    let digest = match built {
        ASK => Handle::current().block_on(asked(file, bundle, version, context))?,
        text => match text.parse() {
            Ok(digest) => digest,
            Err(_) => read(Path::new(text))?,
        },
    };
    let is_same = bundle.digest == Some(digest) && bundle.version.as_deref() == Some(version);
    if !is_same {
        write(args, file, place, version, &digest)?;
    }
    let result = TakenUp { plan: plan.id.as_str(), version, digest, is_same };
    context.output.result("offer bundle", &result, |_| {
        let did = if is_same { "has" } else { "now has" };
        format!("{} {did} the bundle {version} of {}: {digest}\n", args.offer.display(), plan.id)
    })?;
    Ok(Exit::Ok)
}

/// The digest of this version in the registry Microsoft copies from.
async fn asked(
    file: &OfferFile,
    bundle: &Bundle,
    version: &str,
    context: &Context,
) -> anyhow::Result<Digest> {
    let target = target(file, &file.offer.offer.registry, &variable)?;
    let endpoint = Endpoint {
        name: target.name.as_str(),
        host: &target.login_server,
        plain_http: target.plain_http,
        credentials: target.credentials.as_ref(),
        folder: file.folder(),
    };
    let registry = open(&endpoint, context).await?;
    let repository = target.repository(&bundle.repository);
    let tag: Reference = Reference::Tag(version.parse()?);
    let found = registry.head_manifest(&repository, &tag).await?;
    let found = found.with_context(|| {
        format!(
            "{}/{repository}:{version} does not exist; `cpa buildbundle` pushes it",
            target.login_server
        )
    })?;
    Ok(found.digest)
}

/// The digest of a manifest, or the only one in the tool's output.
fn read(path: &Path) -> anyhow::Result<Digest> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let file = input::open(path).with_context(|| format!("`{shown}` is no digest and no file"))?;
    file.take(MANIFEST_SIZE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {shown}"))?;
    ensure!(bytes.len() as u64 <= MANIFEST_SIZE_BYTES_MAX, "{shown} has more than 4 MiB");
    if let Ok(manifest) = Manifest::parse(bytes.clone().into(), None) {
        return Ok(manifest.digest());
    }
    let found = digests(&String::from_utf8_lossy(&bytes));
    match found.as_slice() {
        [one] => Ok(*one),
        [] => bail!("{shown} holds no digest and is no manifest; give the digest itself"),
        _ => bail!("{shown} holds {} digests; give the one of the bundle itself", found.len()),
    }
}

/// The digests of a text, each once.
fn digests(text: &str) -> Vec<Digest> {
    let mut found = Vec::new();
    for (place, _) in text.match_indices("sha") {
        let word = text.get(place..).unwrap_or_default();
        let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != ':').unwrap_or(word.len());
        let word = word.get(..end.min(DIGEST_CHARS_MAX)).unwrap_or_default();
        if let Ok(digest) = word.trim_end_matches(':').parse()
            && !found.contains(&digest)
        {
            found.push(digest);
        }
    }
    found
}

fn write(
    args: &BundleArgs,
    file: &OfferFile,
    place: usize,
    version: &str,
    digest: &Digest,
) -> anyhow::Result<()> {
    let shown = args.offer.display();
    let mut text =
        std::fs::read_to_string(file.path()).with_context(|| format!("cannot read {shown}"))?;
    for (key, value) in [("version", version), ("digest", &digest.to_string())] {
        let path = [
            PathStep::Key("plans"),
            PathStep::Item(place),
            PathStep::Key("bundle"),
            PathStep::Key(key),
        ];
        text =
            yaml_edit::set(&text, &path, value).with_context(|| format!("cannot edit {shown}"))?;
    }
    OfferFile::parse(file.path(), text.clone().into_bytes())?;
    output_file::rewrite(file.path(), &text).with_context(|| format!("cannot write {shown}"))
}

#[cfg(test)]
mod tests;
