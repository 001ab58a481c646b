//! The input besides the offer and the images: reports of scanners, the state of the registry,
//! waivers. Files are read here, so rules read none.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::variable;
use crate::application::SourceFile;
use crate::chart::Chart;
use crate::chart::helm::{self, Rendering};
use crate::cli::{GivenArgs, ScanArgs};
use crate::image::facts::ImageFacts;
use crate::offer::OfferFile;
use crate::offer::plans::PlanKind;
use crate::published::{self, LedgerState, PublishedFile};
use crate::registry_state::{RegistryState, STATE_BYTES_MAX};
use crate::rules::evidence::{Evidence, MaxAge};
use crate::rules::waiving::Waiving;
use crate::rules::{self, Judgement, Profile};
use crate::scans::{REPORT_BYTES_MAX, Scan};
use crate::waivers::{WAIVERS_BYTES_MAX, WaiverFile};
use crate::yaml::Node;
use crate::{clock, input};

/// Most settings of one application that are given a sample value.
const SETTINGS_MAX: usize = 200;

/// The further input, parsed.
pub(super) struct Given {
    /// The evidence for rules.
    pub evidence: Evidence,
    waivers: Option<WaiverFile>,
}

impl Given {
    /// Reads all of it. `others` are the command's other files, so that stdin is not read twice.
    pub(super) fn read<'a>(
        given: &'a GivenArgs,
        scans: Option<&'a ScanArgs>,
        others: impl Iterator<Item = &'a Path>,
        offer: Option<&OfferFile>,
    ) -> anyhow::Result<Self> {
        check(given, scans, others)?;
        let mut evidence = Evidence { now: clock::now(), ..Evidence::default() };
        if let Some(scans) = scans {
            evidence.report_max_age = MaxAge(scans.report_max_age);
            for file in &scans.scans {
                let bytes = read(file, REPORT_BYTES_MAX, "report")?;
                evidence.scans.push(Scan::read(&shown(file), &bytes)?);
            }
        }
        if let Some(offer) = offer {
            evidence.registry = registry(&given.registry_states, offer)?;
            evidence.rendered = rendered(offer);
        }
        Ok(Self { evidence, waivers: waivers(given)? })
    }

    /// The judgement with the findings about reports without an image, and with its waivers
    /// applied. A report may belong to an unreadable image.
    pub(super) fn conclude(
        &self,
        mut judgement: Judgement,
        images: &[(Option<usize>, ImageFacts)],
        is_complete: bool,
        profile: Profile,
    ) -> Judgement {
        let known = if is_complete { images } else { &[] };
        judgement.join(rules::judge_scans(&self.evidence, known, profile));
        match &self.waivers {
            Some(file) => {
                let now = self.evidence.now;
                Waiving { file, images, now, profile }.apply(judgement)
            }
            None => judgement,
        }
    }
}

/// The published state, from the given ledger or the one beside the offer. The offer gets its tags
/// of earlier versions from it.
pub(super) fn published(
    ledger: Option<&Path>,
    file: &mut OfferFile,
) -> anyhow::Result<Option<LedgerState>> {
    let Some(ledger) = PublishedFile::find(file.folder(), ledger)? else { return Ok(None) };
    let state = ledger.state();
    // A file without a record knows as little as none.
    if state.offers.is_empty() {
        return Ok(None);
    }
    published::complete(file, &state);
    Ok(Some(state))
}

/// The state of the offer's publishing registry, from the first file about it.
fn registry(files: &[PathBuf], offer: &OfferFile) -> anyhow::Result<Option<RegistryState>> {
    let name = &offer.offer.offer.registry;
    let Some(entry) = offer.offer.registries.get(name) else { return Ok(None) };
    let named = entry.azure.as_ref().map(|azure| azure.registry_name.as_str());
    let mut other = None;
    for file in files {
        let states = RegistryState::read_all(&shown(file), &read(file, STATE_BYTES_MAX, "state")?)?;
        match RegistryState::choose(&shown(file), states, named, entry.login_server.as_str()) {
            Ok(state) => return Ok(Some(state)),
            Err(error) => other = Some(error),
        }
    }
    other.map_or(Ok(None), |error| Err(error.into()))
}

/// The rendered manifests of the offer's charts; none without Helm. An unreadable chart is reported
/// where the content of the offer is read.
fn rendered(offer: &OfferFile) -> BTreeMap<usize, Rendering> {
    let Some(program) = helm::find(&variable) else { return BTreeMap::new() };
    let mut known = BTreeMap::new();
    let mut rendered = BTreeMap::new();
    for (place, plan) in offer.offer.plans.iter().enumerate() {
        let PlanKind::Kubernetes(plan) = &plan.kind else { continue };
        let namespace = plan.namespace.as_deref().unwrap_or("default");
        let key = (plan.chart.as_str(), plan.arm_template.as_str(), namespace);
        let found = known.entry(key).or_insert_with(|| {
            let chart = Chart::read(&offer.resolve(&plan.chart)).ok()?;
            let settings = open_settings(&offer.resolve(&plan.arm_template), &chart);
            Some(helm::render(&program, &chart, namespace, &settings, helm::PATIENCE))
        });
        rendered.extend(found.clone().map(|found| (place, found)));
    }
    rendered
}

/// The settings the ARM template gives to a chart without a default in its values: a customer is
/// asked for them.
fn open_settings(template: &Path, chart: &Chart) -> Vec<String> {
    let read = SourceFile::template(template).ok().and_then(|source| source.content);
    let values = chart.values.as_ref().ok().and_then(Option::as_ref);
    let is_open = |name: &String| {
        let keys: Vec<&str> = name.split('.').collect();
        let found = values.and_then(|values| values.find(&keys));
        let is_said = |node: &Node| {
            node.said().is_some() || !node.entries().is_empty() || !node.items().is_empty()
        };
        // Microsoft fills in the images. Other characters have a meaning in Helm.
        !name.starts_with("global.azure.")
            && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"._-".contains(&letter))
            && !found.is_some_and(is_said)
    };
    let extensions = read.iter().flat_map(|template| &template.extensions);
    let settings = extensions.flat_map(|at| at.settings.iter().chain(&at.protected));
    let names = settings.map(|setting| setting.name.value.clone()).filter(is_open);
    names.take(SETTINGS_MAX).collect()
}

/// The waivers, if there are any.
fn waivers(given: &GivenArgs) -> anyhow::Result<Option<WaiverFile>> {
    let Some(file) = &given.waivers else { return Ok(None) };
    let bytes = read(file, WAIVERS_BYTES_MAX, "waivers")?;
    Ok(Some(WaiverFile::parse(&shown(file), bytes)?))
}

/// Refuses a command line with stdin as two inputs.
fn check<'a>(
    given: &'a GivenArgs,
    scans: Option<&'a ScanArgs>,
    others: impl Iterator<Item = &'a Path>,
) -> anyhow::Result<()> {
    let scans = scans.map(|scans| scans.scans.as_slice()).unwrap_or_default();
    let given = given.registry_states.iter().chain(&given.waivers).chain(scans);
    let count = given.map(PathBuf::as_path).chain(others).filter(|file| is_stdin(file)).count();
    ensure!(count < 2, "`-` stands more than once, and stdin can be read only once");
    Ok(())
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

/// A file's name in messages.
fn shown(file: &Path) -> PathBuf {
    if is_stdin(file) { PathBuf::from("stdin") } else { file.to_owned() }
}

/// Reads a whole file, or stdin, of bounded size.
fn read(file: &Path, most: u64, what: &str) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read the {what} {}", shown(file).display());
    let mut bytes = Vec::new();
    if is_stdin(file) {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes).with_context(cannot)?;
    } else {
        let opened = input::open(file).with_context(cannot)?;
        opened.take(most + 1).read_to_end(&mut bytes).with_context(cannot)?;
    }
    let is_small = bytes.len() as u64 <= most;
    ensure!(is_small, "the {what} {} has more than {most} bytes", shown(file).display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::offer::fixture::{Folder, OFFER};
    use crate::published::LEDGER_NAME;

    #[test]
    fn a_ledger_without_records_is_none() {
        let folder = Folder::new();
        let mut file = OfferFile::parse(&folder.path(), OFFER.as_bytes().to_vec()).unwrap();
        for text in ["", "\n\n"] {
            folder.write(LEDGER_NAME, text);
            assert!(published(None, &mut file).unwrap().is_none());
        }
        folder.write(LEDGER_NAME, "no record\n");
        assert!(published(None, &mut file).is_err());
    }

    #[test]
    fn settings_that_the_values_leave_open_are_a_customers() {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("mainTemplate.json");
        let text = r#"{"resources": [{"type": "Microsoft.KubernetesConfiguration/extensions",
            "properties": {
                "configurationSettings": {"title": "t", "a,b": "x", "global.azure.x": "y"},
                "configurationProtectedSettings": {"db.password": "p", "db.user": "u"}}}]}"#;
        std::fs::write(&template, text).unwrap();
        std::fs::write(folder.path().join("Chart.yaml"), "name: pool\n").unwrap();
        let values = "title: known\ndb: {password: \"\"}\n";
        std::fs::write(folder.path().join("values.yaml"), values).unwrap();
        let chart = Chart::read(folder.path()).unwrap();
        assert_eq!(open_settings(&template, &chart), ["db.password", "db.user"]);
    }
}
