//! The files an offer names: texts and pictures, read once for the rules and for rendering.
//! Layer folders are not among them: they exist only after the build, and `package` names them.

use std::collections::BTreeMap;

use super::OfferFile;
use super::audience::{AudienceMember, AudienceTable};
use super::error::{Diagnostic, OfferError};
use super::model::{PlanKind, Screenshot, Video};
use super::plans::KubernetesPlan;
use super::texts::{Terms, Text, TextError};
use super::values::RelativePath;
use crate::application::{Application, SourceFile, SourceFileError};
use crate::chart::{Chart, ChartError};
use crate::pictures::{self, PictureError};

/// Texts and pictures of an offer.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// The description of the offer.
    pub description: String,
    /// The publisher's own terms, when they are a text.
    pub terms: Option<String>,
    /// The notes for the certification team.
    pub certification_notes: Option<String>,
    /// The descriptions of the plans, in their order.
    pub plan_descriptions: Vec<String>,
    /// The descriptions of the listing in other languages, in the order of its translations.
    pub translations: Vec<String>,
    /// The descriptions of each plan in other languages, in the order of its translations.
    pub plan_translations: Vec<Vec<String>>,
    /// The preview's audience besides the members in the offer itself.
    pub preview_table: Option<AudienceTable>,
    /// The further audience of private plans, by the place of the plan.
    pub audience_tables: BTreeMap<usize, AudienceTable>,
    /// The pictures, by the path of their key (`listing.logos.large`).
    pub pictures: BTreeMap<String, pictures::PictureContent>,
    /// The packaging tool's input for each Kubernetes plan, by the place of the plan.
    pub applications: BTreeMap<usize, Application>,
    /// The charts of Kubernetes plans, by the places of the plans.
    pub charts: BTreeMap<usize, Chart>,
}

impl Content {
    /// Reads every named file; one error lists all missing or unreadable files, each with its line
    /// of the offer.
    pub fn load(file: &OfferFile) -> Result<Self, OfferError> {
        let mut loader = Loader { file, faults: Vec::new() };
        let offer = &file.offer;
        let mut content = Self {
            description: loader.text("listing.description", &offer.listing.description),
            ..Self::default()
        };
        if let Some(Terms::Text(terms)) = &offer.legal.terms {
            content.terms = Some(loader.text("legal.terms", terms));
        }
        if let Some(notes) = &offer.certification_notes {
            content.certification_notes = Some(loader.text("certificationNotes", notes));
        }
        for (place, plan) in offer.plans.iter().enumerate() {
            let text = loader.text(&format!("plans[{place}].description"), &plan.description);
            content.plan_descriptions.push(text);
            let key = |number| format!("plans[{place}].translations[{number}].description");
            let translations = plan.translations.iter().enumerate();
            let texts = translations.map(|(at, one)| loader.text(&key(at), &one.description));
            content.plan_translations.push(texts.collect());
            if let PlanKind::Kubernetes(application) = &plan.kind
                && let Some(csv) = application.audience.as_ref().and_then(|at| at.csv.as_ref())
                && let Some(table) = loader.table(
                    &format!("plans[{place}].audience.csv"),
                    csv,
                    AudienceMember::Tenant,
                )
            {
                content.audience_tables.insert(place, table);
            }
            if let PlanKind::Kubernetes(plan) = &plan.kind
                && let Some(chart) = loader.chart(&format!("plans[{place}].chart"), &plan.chart)
            {
                content.charts.insert(place, chart);
            }
        }
        for (place, translation) in offer.listing.translations.iter().enumerate() {
            let key = format!("listing.translations[{place}].description");
            content.translations.push(loader.text(&key, &translation.description));
        }
        if let Some(csv) = &offer.preview.csv {
            content.preview_table = loader.table("preview.csv", csv, AudienceMember::Subscription);
        }
        for (key, path) in picture_paths(file) {
            if let Some(picture) = loader.picture(&key, path) {
                content.pictures.insert(key, picture);
            }
        }
        for (place, _, plan) in offer.kubernetes_plans() {
            if let Some(application) = loader.application(place, plan) {
                content.applications.insert(place, application);
            }
        }
        if loader.faults.is_empty() {
            return Ok(content);
        }
        loader.faults.sort_by_key(|fault| fault.spot);
        Err(OfferError::Invalid(loader.faults))
    }

    /// The version of a plan's `manifest.yaml`, for the bundle of an offer without its own.
    #[must_use]
    pub fn manifest_version(&self, plan: usize) -> Option<&str> {
        let manifest = self.applications.get(&plan)?.manifest.content.as_ref()?;
        Some(manifest.version.as_ref()?.value.as_str())
    }
}

/// Every picture the offer names, with the path of its key, in the order of the file.
#[must_use]
pub fn picture_paths(file: &OfferFile) -> Vec<(String, &RelativePath)> {
    let listing = &file.offer.listing;
    let logos = &listing.logos;
    let mut paths = vec![("listing.logos.large".to_owned(), &logos.large)];
    for (name, path) in [("medium", &logos.medium), ("small", &logos.small), ("wide", &logos.wide)]
    {
        paths.extend(path.iter().map(|path| (format!("listing.logos.{name}"), path)));
    }
    paths.extend(screens("listing", &listing.screenshots, &listing.videos));
    for (place, translation) in listing.translations.iter().enumerate() {
        let key = format!("listing.translations[{place}]");
        paths.extend(screens(&key, &translation.screenshots, &translation.videos));
    }
    paths
}

/// The screenshots and the pictures of videos below a key.
fn screens<'a>(
    key: &str,
    screenshots: &'a [Screenshot],
    videos: &'a [Video],
) -> Vec<(String, &'a RelativePath)> {
    let of_screen = |(place, at): (usize, &'a Screenshot)| {
        (format!("{key}.screenshots[{place}].file"), &at.file)
    };
    let of_video = |(place, at): (usize, &'a Video)| {
        (format!("{key}.videos[{place}].thumbnail"), &at.thumbnail)
    };
    let screenshots = screenshots.iter().enumerate().map(of_screen);
    screenshots.chain(videos.iter().enumerate().map(of_video)).collect()
}

struct Loader<'a> {
    file: &'a OfferFile,
    faults: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn text(&mut self, key: &str, text: &Text) -> String {
        match text.read(self.file.folder()) {
            Ok(text) => text,
            Err(error) => {
                let key = if self.file.has(&format!("{key}.file")) {
                    format!("{key}.file")
                } else {
                    key.to_owned()
                };
                let help = match &error {
                    TextError::Missing(_) => "write that file, or correct its path",
                    TextError::Read { .. } => "make it a file that you may read",
                    TextError::TooLarge(_) => "no text of the marketplace is that long; shorten it",
                    TextError::NotUtf8 { .. } => "save it as UTF-8",
                };
                self.fault(&key, &error, help);
                String::new()
            }
        }
    }

    fn table(
        &mut self,
        key: &str,
        path: &RelativePath,
        member: AudienceMember,
    ) -> Option<AudienceTable> {
        match AudienceTable::read(&self.file.resolve(path), member) {
            Ok(table) => Some(table),
            Err(error) => {
                let help =
                    "write a table with the columns Id, Description and Type, or correct its path";
                self.fault(key, &error, help);
                None
            }
        }
    }

    fn picture(&mut self, key: &str, path: &RelativePath) -> Option<pictures::PictureContent> {
        match pictures::read(&self.file.resolve(path)) {
            Ok(picture) => Some(picture),
            Err(error) => {
                let help = match &error {
                    PictureError::Missing(_) => "make that picture, or correct its path",
                    PictureError::Read { .. } => "make it a file that you may read",
                };
                self.fault(key, &error, help);
                None
            }
        }
    }

    fn application(&mut self, place: usize, plan: &KubernetesPlan) -> Option<Application> {
        let file = self.file;
        let manifest = SourceFile::manifest(&file.resolve(&plan.manifest));
        let ui = SourceFile::ui(&file.resolve(&plan.ui_definition));
        let template = SourceFile::template(&file.resolve(&plan.arm_template));
        let manifest = self.source(&format!("plans[{place}].manifest"), manifest);
        let ui = self.source(&format!("plans[{place}].uiDefinition"), ui);
        let template = self.source(&format!("plans[{place}].armTemplate"), template);
        Some(Application { manifest: manifest?, ui: ui?, template: template? })
    }

    fn source<T>(
        &mut self,
        key: &str,
        read: Result<SourceFile<T>, SourceFileError>,
    ) -> Option<SourceFile<T>> {
        let failed = |error: SourceFileError| {
            self.fault(key, &error, error.help());
        };
        read.map_err(failed).ok()
    }

    fn chart(&mut self, key: &str, path: &RelativePath) -> Option<Chart> {
        match Chart::read(&self.file.resolve(path)) {
            Ok(chart) => Some(chart),
            Err(error) => {
                let help = match &error {
                    ChartError::Missing(_) | ChartError::NoChart(_) => {
                        "make that chart, or correct its path"
                    }
                    ChartError::NotAFolder(_) => "unpack it, and name the folder",
                    ChartError::Read { .. } => "make it a folder of files that you may read",
                    ChartError::TooMuch { .. } => "leave out what Helm need not install",
                    ChartError::Pattern { .. } => "write patterns without `**`",
                    ChartError::Name(_) => "give the file another name",
                };
                self.fault(key, &error, help);
                None
            }
        }
    }

    fn fault(&mut self, key: &str, error: &dyn std::error::Error, help: &str) {
        let message = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        self.faults.push(self.file.diagnostic(key, message).help(help));
    }
}
