//! Format rules over more than one key: names must exist, values must differ, numbers have a
//! maximum. All faults are collected, so that one run shows them all.

use std::collections::BTreeSet;

use super::OfferFile;
use super::described::described;
use super::error::{Diagnostic, FAULTS_MAX};
use super::layers::Layer;
use super::model::{Image, MadeFrom, Offer, Plan, PlanImage, PlanKind, PlatformBuild};
use super::origin::{DOCKERFILE_ADVICE, is_dockerfile};
use super::parse;
use super::plans::plans_allowed;
use super::tags::TagError;
use super::values::RegistryName;

const PLATFORMS_MAX: usize = 16;
const LAYERS_MAX: usize = 127;

/// Checks the offer of this file, and fills in each image's expanded tags and description.
pub(super) fn check(file: &mut OfferFile) -> Result<(), Vec<Diagnostic>> {
    place(&mut file.offer);
    let mut faults = Faults { file, found: Vec::new() };
    whole(&mut faults);
    for (place, plan) in faults.file.offer.plans.iter().enumerate() {
        check_plan(&mut faults, &format!("plans[{place}]"), plan);
    }
    let mut found = faults.found;
    let mut expanded = Vec::new();
    // A doubled platform doubles its tags too; one fault is said once.
    if found.is_empty() {
        for image in file.offer.images() {
            match expand(&image.image) {
                Ok(tags) => expanded.push(tags),
                Err(error) => found.push(tag_fault(file, image, &error)),
            }
        }
    }
    if !found.is_empty() {
        found.sort_by_key(|fault| fault.spot);
        return Err(found);
    }
    let offer = &file.offer;
    let said = offer.plans.iter().flat_map(|plan| plan.images().iter().map(move |at| (plan, at)));
    let said: Vec<_> = said.map(|(plan, at)| described(offer, plan, &at.image)).collect();
    let images = file.offer.plans.iter_mut().flat_map(Plan::images_mut);
    for ((image, tags), said) in images.zip(expanded).zip(said) {
        image.complete(tags, said);
    }
    let images = file.offer.plans.iter_mut().flat_map(Plan::images_mut);
    for (image, written) in images.zip(parse::images(&file.text)) {
        image.written_image = written;
    }
    Ok(())
}

/// Says of each image where it stands.
fn place(offer: &mut Offer) {
    for (place, plan) in offer.plans.iter_mut().enumerate() {
        for image in plan.images_mut() {
            image.plan = place;
            image.key = match &image.name {
                None => format!("plans[{place}].image"),
                Some(name) => format!("plans[{place}].images.{name}"),
            };
        }
    }
}

const BOTH: &str = "`base` and `adopt` stand together";
const BOTH_HELP: &str = "`base` takes layers on top, `adopt` takes the image as it is; keep one";

struct Faults<'a> {
    file: &'a OfferFile,
    found: Vec<Diagnostic>,
}

impl Faults<'_> {
    fn add(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        if self.found.len() < FAULTS_MAX {
            self.found.push(self.file.diagnostic(path, message).help(help));
        }
    }
}

fn whole(faults: &mut Faults<'_>) {
    let Offer { version, publisher, offer, registries, plans, .. } = &faults.file.offer;
    if *version != 1 {
        let message = format!("offer format {version} is not known, this wharf reads 1");
        faults.add("version", message, "write `version: 1`");
    }
    if publisher.trim().is_empty() {
        faults.add("publisher", "the publisher is empty", "write your publisher ID");
    }
    if registries.is_empty() {
        faults.add("registries", "there is no registry", "describe at least one");
    }
    if !registries.contains_key(&offer.registry) {
        let known: Vec<&str> = registries.keys().map(RegistryName::as_str).collect();
        let message = format!("there is no registry `{}`", offer.registry);
        faults.add("offer.registry", message, format!("known are: {}", known.join(", ")));
    }
    if plans.is_empty() {
        faults.add("plans", "there are 0 plans", plans_allowed());
    }
    let mut ids = BTreeSet::new();
    for (place, plan) in plans.iter().enumerate() {
        if !ids.insert(&plan.id) {
            let message = format!("the plan ID `{}` stands twice (PLN-002)", plan.id);
            faults.add(&format!("plans[{place}].id"), message, "give every plan its own ID");
        }
    }
}

fn check_plan(faults: &mut Faults<'_>, path: &str, plan: &Plan) {
    if let PlanKind::Image(image) = &plan.kind
        && let Some(resources) = &image.resources
    {
        for (key, value) in [("cpu", resources.cpu), ("memoryGb", resources.memory_gb)] {
            if !(value.is_finite() && value > 0.0) {
                let message = format!("`{key}` is {value}");
                faults.add(&format!("{path}.resources.{key}"), message, "write more than 0");
            }
        }
    }
    for image in plan.images() {
        check_image(faults, &image.key, &image.image);
    }
}

fn check_image(faults: &mut Faults<'_>, path: &str, image: &Image) {
    for (name, registry) in &faults.file.offer.registries {
        if let Some(prefix) = &registry.prefix
            && let Err(error) = image.repository.under(prefix)
        {
            let message = format!("with the prefix of `{name}`, {error}");
            faults.add(&format!("{path}.repository"), message, "shorten one of the two");
        }
    }
    if image.base.is_some() && image.adopt.is_some() {
        faults.add(&format!("{path}.adopt"), BOTH, BOTH_HELP);
    }
    check_texts(faults, path, image);
    check_emptied(faults, path, image);
    for (name, value) in &image.config.env {
        if value.contains('\0') {
            let at = format!("{path}.config.env.{name}");
            faults.add(&at, "the value holds a NUL", "no program could read it; remove it");
        }
    }
    let count = image.platforms.len();
    if count == 0 || count > PLATFORMS_MAX {
        let message = format!("there are {count} platforms");
        let help = format!("an image has 1 to {PLATFORMS_MAX}");
        faults.add(&format!("{path}.platforms"), message, help);
    }
    let mut seen = BTreeSet::new();
    for (place, build) in image.platforms.iter().enumerate() {
        let at = format!("{path}.platforms[{place}]");
        if !seen.insert(build.full_platform()) {
            let message = format!("the platform `{}` stands twice", build.platform);
            faults.add(&format!("{at}.platform"), message, "put its layers into one entry");
        }
        if build.base.is_some() && build.adopt.is_some() {
            faults.add(&format!("{at}.adopt"), BOTH, BOTH_HELP);
        }
        check_layers(faults, &at, image, build);
    }
}

/// The content of such a text is for the rules of texts.
fn check_texts(faults: &mut Faults<'_>, path: &str, image: &Image) {
    let texts =
        [("source", &image.source), ("revision", &image.revision), ("licences", &image.licences)];
    for (key, text) in texts {
        let Some(text) = text else { continue };
        if text.trim().is_empty() {
            let help = "write it, or leave the key out";
            faults.add(&format!("{path}.{key}"), format!("`{key}` is empty"), help);
        }
    }
}

/// An empty value leaves the base's value in place, which its writer did not mean.
fn check_emptied(faults: &mut Faults<'_>, path: &str, image: &Image) {
    let is_from_scratch = |build| MadeFrom::of(image, build) == MadeFrom::Scratch;
    if image.platforms.iter().all(is_from_scratch) {
        return;
    }
    let config = &image.config;
    let has_command = !config.entrypoint.is_empty();
    let emptied = [
        ("entrypoint", config.entrypoint.is_empty()),
        // An entrypoint of its own drops the base's `cmd` anyway.
        ("cmd", config.cmd.is_empty() && !has_command),
        ("user", config.user.as_ref().is_some_and(|user| user.trim().is_empty())),
    ];
    for (key, is_empty) in emptied {
        let at = format!("{path}.config.{key}");
        if is_empty && faults.file.has(&at) {
            let message = format!("`{key}` is empty, which keeps that of the base");
            faults.add(&at, message, "leave the key out to keep it, or write another");
        }
    }
}

fn check_layers(faults: &mut Faults<'_>, at: &str, image: &Image, build: &PlatformBuild) {
    let count = build.layers.len();
    let at = format!("{at}.layers");
    match MadeFrom::of(image, build) {
        MadeFrom::Adopt(_) if count > 0 => {
            let message = "an adopted image is taken whole, and gets no layers";
            faults.add(&at, message, "write `base` instead of `adopt` to put layers on it");
        }
        MadeFrom::Scratch if count == 0 => {
            let help = format!("a platform has 1 to {LAYERS_MAX}, or an image: `base`, `adopt`");
            faults.add(&at, "there are 0 layers", help);
        }
        _ if count > LAYERS_MAX => {
            let message = format!("there are {count} layers");
            faults.add(&at, message, format!("a platform has at most {LAYERS_MAX}"));
        }
        _ => {}
    }
    for (place, layer) in build.layers.iter().enumerate() {
        if let Some(path) = dockerfile_in(layer) {
            let message = format!("`{path}` is a Dockerfile, which wharf does not build");
            faults.add(&format!("{at}[{place}]"), message, DOCKERFILE_ADVICE);
        }
    }
}

fn dockerfile_in(layer: &Layer) -> Option<&str> {
    let mut paths = layer.inputs.iter().map(|input| input.path().as_str());
    paths.find(|path| is_dockerfile(path))
}

fn expand(image: &Image) -> Result<Vec<super::tags::ExpandedTag>, TagError> {
    let platforms: Vec<_> = image.platforms.iter().map(|build| build.platform.clone()).collect();
    image.tags.expand(&image.version, &platforms)
}

fn tag_fault(file: &OfferFile, at: &PlanImage, error: &TagError) -> Diagnostic {
    let path = format!("{}.tags", at.key);
    let image = &at.image;
    let template = match error {
        TagError::Invalid { template, .. } | TagError::Twice { template, .. } => Some(template),
        TagError::Placeholder(_) | TagError::Empty => None,
    };
    let place = template.and_then(|template| {
        image.tags.as_slice().iter().rposition(|candidate| candidate.as_str() == template)
    });
    let path = place.map_or(path.clone(), |place| format!("{path}[{place}]"));
    let message = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    file.diagnostic(&path, message).help("every tag of an image must be valid and come out once")
}
