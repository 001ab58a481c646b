//! `wharf offer deploy`: the files go where they were asked for, and the exact next commands to the
//! person.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::super::inputs::Inputs;
use super::super::remote::jobs;
use super::super::{Context, write_file};
use crate::cli::{
    AciArgs, AksArgs, DeployArgs, DeployCommand, GroupFormat, ObjectsFormat, is_stdout,
};
use crate::deploy::aci::FILLED;
use crate::deploy::{
    ContainerGroup, Objects, PinnedImage, RegistryOrigin, Scale, Workload, WorkloadRequest, helm,
    next, workload,
};
use crate::exit::Exit;
use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::offer::model::{ImagePlan, KubernetesPlan, Plan, PlanImage, PlanKind};
use crate::output::{Paint, Style, visible};
use crate::source::Source;
use crate::verify::{Limits, check};

/// The generated manifests, and the next commands.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Deployment {
    plan: String,
    format: &'static str,
    /// The written files; empty for stdout.
    files: Vec<PathBuf>,
    /// The images by digest.
    images: Vec<String>,
    notes: Vec<String>,
    next: Vec<String>,
    /// The file, or the files of a folder with their paths in it.
    #[serde(skip)]
    content: Content,
    /// The files behind it.
    #[serde(skip)]
    inputs: Inputs,
}

/// The output's form.
#[derive(Debug)]
enum Content {
    File(String),
    Folder(Vec<(String, String)>),
}

impl Default for Content {
    fn default() -> Self {
        Self::File(String::new())
    }
}

/// Runs the command.
pub(super) fn run(command: &DeployCommand, context: &Context) -> anyhow::Result<Exit> {
    let (deployment, output) = match command {
        DeployCommand::Aci(args) => (group(args, context)?, &args.output),
        DeployCommand::Aks(args) => (objects(args, context)?, &args.output),
    };
    let output = output.as_deref().filter(|path| !is_stdout(path));
    finish(command.name(), deployment, output, context)
}

/// The plan, with the common needs of its images.
struct Chosen<'a> {
    file: &'a OfferFile,
    plan: &'a Plan,
    args: &'a DeployArgs,
    /// The registry of the images, unless an option names another.
    published: RegistryOrigin,
}

impl<'a> Chosen<'a> {
    /// The requested plan: the named one, or the only suitable one.
    fn new(
        file: &'a OfferFile,
        args: &'a DeployArgs,
        fits: impl Fn(&Plan) -> bool,
    ) -> anyhow::Result<Self> {
        let wanted: Vec<_> = args.plan.iter().cloned().collect();
        let plans = file.select(&wanted)?;
        let fitting: Vec<&Plan> =
            plans.iter().map(|(_, plan)| *plan).filter(|plan| fits(plan)).collect();
        let plan = match (fitting.as_slice(), &args.plan) {
            ([only], _) => *only,
            ([], Some(plan)) => anyhow::bail!(
                "the plan `{plan}` is a Kubernetes application, which Azure Container Instances \
                 does not run; take `wharf offer deploy aks`"
            ),
            ([], None) => {
                anyhow::bail!("no plan of the offer is of one image; take `wharf offer deploy aks`")
            }
            (several, _) => {
                let ids: Vec<&str> = several.iter().map(|plan| plan.id.as_str()).collect();
                anyhow::bail!("several plans would do; choose with --plan: {}", ids.join(", "))
            }
        };
        let name = &file.offer.offer.registry;
        let Some(registry) = file.offer.registries.get(name) else {
            anyhow::bail!("the offer has no registry `{name}`")
        };
        let (server, prefix) = (registry.login_server.clone(), registry.prefix.clone());
        Ok(Self { file, plan, args, published: RegistryOrigin { server, prefix } })
    }

    fn origin(&self) -> &RegistryOrigin {
        self.args.registry.as_ref().unwrap_or(&self.published)
    }

    /// The facts about the packaged image.
    fn facts(&self, image: &PlanImage, context: &Context) -> anyhow::Result<ImageFacts> {
        let layouts = self.args.layouts.clone();
        let layouts = layouts.unwrap_or_else(|| self.file.folder().join("out"));
        let path = layouts.join(image.id.as_str());
        context.output.note(&format!("reading {}", visible(&path.display().to_string())));
        let source = Source::open_local(&path, None, None)
            .context("the image is not packaged; run `wharf package` first, or name --layouts")?;
        Ok(check(&source, jobs(), &Limits::default()))
    }

    fn workload(&self, plan: &ImagePlan, context: &Context) -> anyhow::Result<Workload> {
        let facts = self.facts(&plan.image, context)?;
        let wishes = WorkloadRequest {
            origin: self.args.registry.as_ref(),
            page: self.args.probe_path.as_ref(),
        };
        let (offer, registry) = (self.file.offer.offer.id.as_str(), &self.published);
        let resources = plan.resources.as_ref();
        Ok(Workload::of(&facts, &plan.image, resources, offer, registry, wishes)?)
    }
}

fn group(args: &AciArgs, context: &Context) -> anyhow::Result<Deployment> {
    let file = OfferFile::open(&args.deploy.offer)?;
    let is_image = |plan: &Plan| matches!(plan.kind, PlanKind::Image(_));
    let chosen = Chosen::new(&file, &args.deploy, is_image)?;
    let PlanKind::Image(plan) = &chosen.plan.kind else {
        anyhow::bail!("the plan `{}` is not of one image", chosen.plan.id)
    };
    let workload = chosen.workload(plan, context)?;
    let group = ContainerGroup::new(&workload)?;
    let shown = shown(args.output.as_deref(), "-");
    let secrets = group.secret_parameters();
    let mut notes = group.notes().to_vec();
    if args.format == GroupFormat::Yaml {
        notes.push(FILLED.to_owned());
    }
    let (format, text, next) = match args.format {
        GroupFormat::Yaml => ("yaml", group.yaml(), next::group_file(&shown, &secrets)),
        GroupFormat::Arm => ("arm", group.arm(), next::template(&shown, &secrets)),
        GroupFormat::Bicep => ("bicep", group.bicep(), next::template(&shown, &secrets)),
    };
    Ok(Deployment {
        plan: chosen.plan.id.to_string(),
        format,
        images: vec![workload.image.reference()],
        notes,
        next,
        content: Content::File(text),
        inputs: Inputs::of(&file),
        ..Deployment::default()
    })
}

fn objects(args: &AksArgs, context: &Context) -> anyhow::Result<Deployment> {
    let file = OfferFile::open(&args.deploy.offer)?;
    let chosen = Chosen::new(&file, &args.deploy, |_| true)?;
    match &chosen.plan.kind {
        PlanKind::Image(plan) => of_image(&chosen, plan, args, context),
        PlanKind::Kubernetes(plan) => of_chart(&chosen, plan, args, context),
    }
}

fn of_image(
    chosen: &Chosen<'_>,
    plan: &ImagePlan,
    args: &AksArgs,
    context: &Context,
) -> anyhow::Result<Deployment> {
    let format = args.format.unwrap_or(ObjectsFormat::Manifests);
    anyhow::ensure!(
        format != ObjectsFormat::Helm || args.output.as_deref().is_some_and(|at| !is_stdout(at)),
        "a chart is a folder: name one that is not there with --output"
    );
    let workload = chosen.workload(plan, context)?;
    let scale = Scale { replicas: args.replicas, storage: args.storage.as_ref() };
    let objects = Objects::new(&workload, scale)?;
    let secrets: Vec<String> = objects.secrets().into_iter().map(ToOwned::to_owned).collect();
    let (notes, name) = (objects.notes(), workload.name.clone());
    let path = shown(args.output.as_deref(), "-");
    let (format, written, next) = match format {
        ObjectsFormat::Manifests => (
            "manifests",
            Content::File(objects.manifests()),
            next::manifests(&name, &path, &secrets),
        ),
        ObjectsFormat::Values => (
            "values",
            Content::File(helm::values_of_chart(&objects)),
            next::release(&name, "CHART", Some(&path), None, &secrets),
        ),
        ObjectsFormat::Helm => (
            "helm",
            Content::Folder(helm::chart(objects, &chosen.plan.summary)),
            next::release(&name, &path, None, None, &secrets),
        ),
    };
    Ok(Deployment {
        plan: chosen.plan.id.to_string(),
        format,
        images: vec![workload.image.reference()],
        notes,
        next,
        content: written,
        inputs: Inputs::of(chosen.file),
        ..Deployment::default()
    })
}

/// The values of the plan's own chart.
fn of_chart(
    chosen: &Chosen<'_>,
    plan: &KubernetesPlan,
    args: &AksArgs,
    context: &Context,
) -> anyhow::Result<Deployment> {
    let id = &chosen.plan.id;
    if !matches!(args.format, None | Some(ObjectsFormat::Values)) {
        anyhow::bail!(
            "the plan `{id}` has a chart of its own; only --format values is made for it"
        );
    }
    let needless = [
        ("--storage", args.storage.is_some()),
        ("--probe-path", args.deploy.probe_path.is_some()),
        ("--replicas", args.replicas != 1),
    ];
    if let Some((option, _)) = needless.iter().find(|(_, is_given)| *is_given) {
        anyhow::bail!("the plan `{id}` has a chart of its own, which says what {option} would");
    }
    anyhow::ensure!(
        !plan.images.is_empty(),
        "the plan `{id}` makes no image, so there is nothing to pin; `wharf offer pin` pins images \
         of others"
    );
    let mut pinned = Vec::new();
    for image in &plan.images {
        let facts = chosen.facts(image, context)?;
        let digest = workload::whole(&facts)?;
        let name = image.name.as_ref().map(ToString::to_string).unwrap_or_default();
        pinned.push((name, PinnedImage::new(image, digest, chosen.origin())?));
    }
    let values = helm::values(pinned.iter().map(|(name, image)| (name.as_str(), image)));
    let chart = chosen.file.resolve(&plan.chart);
    let path = shown(args.output.as_deref(), "-");
    let name = crate::deploy::words::ResourceName::nearest(id.as_str(), "app-");
    let chart = chart.display().to_string();
    let next = next::release(&name, &chart, Some(&path), plan.namespace.as_deref(), &[]);
    Ok(Deployment {
        plan: id.to_string(),
        format: "values",
        images: pinned.iter().map(|(_, image)| image.reference()).collect(),
        next,
        content: Content::File(values),
        inputs: Inputs::of(chosen.file),
        ..Deployment::default()
    })
}

fn shown(output: Option<&Path>, otherwise: &str) -> String {
    output.map_or_else(|| otherwise.to_owned(), |path| path.display().to_string())
}

/// Writes the output and reports it; beside a file on stdout only on stderr.
fn finish(
    command: &str,
    mut deployment: Deployment,
    output: Option<&Path>,
    context: &Context,
) -> anyhow::Result<Exit> {
    match (std::mem::take(&mut deployment.content), output) {
        (Content::File(text), Some(path)) => {
            write_file(path, &text, &deployment.inputs)?;
            deployment.files.push(path.to_owned());
        }
        (Content::File(text), None) => {
            context.output.raw(&text)?;
            if context.output.may_note() {
                context.output.result_aside(|paint| told(&deployment, paint));
            }
            return Ok(Exit::Ok);
        }
        (Content::Folder(files), path) => {
            let folder = path.unwrap_or(Path::new("."));
            deployment.files = write_folder(folder, &files)?;
        }
    }
    context.output.result(command, &deployment, |paint| told(&deployment, paint))?;
    Ok(Exit::Ok)
}

/// Writes the files into a missing or empty folder: a user's changes in a chart stay.
fn write_folder(folder: &Path, files: &[(String, String)]) -> anyhow::Result<Vec<PathBuf>> {
    let name = folder.display().to_string();
    let failed = || format!("cannot write {}", visible(&name));
    let found = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(failed),
    };
    anyhow::ensure!(
        !found,
        "{} has something in it; name a folder that is not there",
        visible(&name)
    );
    let mut written = Vec::new();
    for (file, text) in files {
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(failed)?;
        }
        write_file(&path, text, &Inputs::none())?;
        written.push(path);
    }
    Ok(written)
}

fn told(deployment: &Deployment, paint: Paint) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    for path in &deployment.files {
        line(&format!("wrote {}", visible(&path.display().to_string())));
    }
    for image in &deployment.images {
        line(&format!("{} {}", paint.text(Style::Dim, "image"), visible(image)));
    }
    for note in &deployment.notes {
        line(&format!("{} {}", paint.text(Style::Warning, "note:"), paint.wrap(note, 6)));
    }
    line(&paint.text(Style::Strong, "next:"));
    for command in &deployment.next {
        line(&format!("  {}", visible(command)));
    }
    text
}
