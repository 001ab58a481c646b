//! The files of an offer, and their way to their places: all of them, or none.
//!
//! Invariant: an existing file is never replaced unless the caller says so, an existing chart not
//! even then; and no file is left behind when a write fails or the program ends.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, RenameFlags, accessat, renameat_with};
use rustix::io::Errno;

use super::answers::Answers;
use super::error::InitError;
use super::kind::OfferKind;
use super::topics::Topic;
use super::{application, chart_skeleton, mark, offer_text, texts};
use crate::temporary::Temporary;

/// A file, with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Where, relative to the folder of the offer.
    pub path: String,
    pub outcome: FileOutcome,
}

/// The outcome for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOutcome {
    /// It was not there.
    Written,
    /// It was there, and was replaced.
    Replaced,
    /// It was there, and is as it was.
    Kept,
}

/// A file written beside its place, and not put there yet.
struct Ready {
    path: String,
    place: PathBuf,
    beside: Temporary,
    replaces: bool,
}

/// Writes the offer to `file`, and its named files beside it. Without `force` an existing offer is
/// an error, and other existing files stay as they are.
pub fn write(answers: &Answers, file: &Path, force: bool) -> Result<Vec<WrittenFile>, InitError> {
    let folder = folder_of(file);
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("offer.yaml");
    if !force && fs::symlink_metadata(file).is_ok() {
        return Err(InitError::Exists(file.to_owned()));
    }
    refuse_second_chart(answers, folder)?;
    let mut folders = Vec::new();
    let mut ready = Vec::new();
    let mut files = Vec::new();
    for (path, bytes) in contents(answers, name) {
        let place = folder.join(&path);
        let is_there = fs::symlink_metadata(&place).is_ok();
        if is_there && !force {
            files.push(WrittenFile { path, outcome: FileOutcome::Kept });
            continue;
        }
        let prepared = prepare(&place, &bytes, &mut folders)
            .map_err(|source| InitError::Write { path: place.clone(), source })?;
        ready.push(Ready { path, place, beside: prepared, replaces: is_there });
    }
    files.extend(publish(&ready)?);
    files.sort_by(|a, b| (a.path != name, &a.path).cmp(&(b.path != name, &b.path)));
    Ok(files)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether files can be created beside `file`, as far as a look can tell: a user should not answer
/// questions before a certain failure.
pub fn check_place(file: &Path) -> Result<(), InitError> {
    let failed = |source: io::Error| InitError::Write { path: file.to_owned(), source };
    let there = folder_of(file).ancestors().find(|at| fs::symlink_metadata(at).is_ok());
    let there = there.unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    match accessat(CWD, there, Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty()) {
        Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Err(failed(errno.into())),
        // Writing reports any other error.
        _ => Ok(()),
    }
}

/// A first chart is written only where there is none: it would mix with an existing chart, or take
/// its place.
fn refuse_second_chart(answers: &Answers, folder: &Path) -> Result<(), InitError> {
    let chart = folder.join(texts::CHART_FOLDER).join("Chart.yaml");
    let is_written = answers.kind == OfferKind::Kubernetes && answers.chart.is_none();
    if is_written && fs::symlink_metadata(&chart).is_ok() {
        return Err(InitError::ChartThere(chart));
    }
    Ok(())
}

/// Writes a file beside its place, into a folder that is removed again when it stays empty.
fn prepare(place: &Path, bytes: &[u8], folders: &mut Vec<Temporary>) -> io::Result<Temporary> {
    if let Some(folder) = place.parent() {
        make_folders(folder, folders)?;
    }
    let mut beside = place.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    let (beside, mut file) = Temporary::make(beside.into(), |path| options.open(path))?;
    file.write_all(bytes)?;
    Ok(beside)
}

/// Makes the missing folders; each is removed by itself, the innermost first.
fn make_folders(folder: &Path, made: &mut Vec<Temporary>) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|at| !at.is_dir()).collect();
    for at in missing.into_iter().rev().filter(|at| !at.as_os_str().is_empty()) {
        if let Some(temporary) = Temporary::folder_if_used(at)? {
            made.insert(0, temporary);
        }
    }
    Ok(())
}

/// Puts every file in its place. When one fails, the others are removed again.
fn publish(ready: &[Ready]) -> Result<Vec<WrittenFile>, InitError> {
    Temporary::undisturbed(|| {
        for (count, file) in ready.iter().enumerate() {
            if let Err(source) = file.put() {
                ready.iter().take(count).rev().for_each(Ready::take_back);
                return Err(InitError::Write { path: file.place.clone(), source });
            }
        }
        Ok(())
    })?;
    let outcome =
        |file: &Ready| if file.replaces { FileOutcome::Replaced } else { FileOutcome::Written };
    let written = |file| WrittenFile { path: Ready::path(file), outcome: outcome(file) };
    Ok(ready.iter().map(written).collect())
}

impl Ready {
    fn path(&self) -> String {
        self.path.clone()
    }

    /// The replaced file stands beside afterwards, until the whole is done.
    fn put(&self) -> io::Result<()> {
        let flags = if self.replaces { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, self.beside.path(), CWD, &self.place, flags) {
            // Some file systems have neither: then a link never replaces, and a rename does.
            Err(Errno::INVAL | Errno::NOSYS) if self.replaces => {
                fs::rename(self.beside.path(), &self.place)
            }
            Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(self.beside.path(), &self.place),
            put => Ok(put?),
        }
    }

    /// As well as possible: a second fault could not be reported.
    fn take_back(&self) {
        if self.replaces {
            let (beside, place) = (self.beside.path(), &self.place);
            let _ = renameat_with(CWD, beside, CWD, place, RenameFlags::EXCHANGE);
        } else {
            let _ = fs::remove_file(&self.place);
        }
    }
}

/// Every file of the offer, the offer itself last: its named files are there before.
fn contents(answers: &Answers, name: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |path: &str, text: String| files.push((path.to_owned(), text.into_bytes()));
    add(texts::DESCRIPTION_FILE, texts::description(answers));
    add(&texts::plan_file(answers), texts::plan(answers));
    add(texts::NOTES_FILE, texts::notes(answers));
    if !answers.standard_contract {
        add(texts::TERMS_FILE, texts::terms(answers));
    }
    if answers.kind == OfferKind::Kubernetes {
        if answers.chart.is_none() {
            for (path, text) in chart_skeleton::files(answers) {
                add(&path, text);
            }
        }
        for (path, text) in application::files(answers) {
            add(&path, text);
        }
    }
    let pictures = mark::pictures(answers.text(Topic::OfferId)).into_iter();
    files.extend(pictures.map(|(path, bytes)| (path.to_owned(), bytes)));
    files.push((name.to_owned(), offer_text::offer(answers).into_bytes()));
    files
}
