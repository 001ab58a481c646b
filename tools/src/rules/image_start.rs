//! Rules about whether a container of the image starts: its user, its program, its interpreter, and
//! the folders engines prepare.

use super::roots::{Need, Root, each_root, shown};
use super::start::{Chain, StartFault, chains};
use super::{Check, Findings, ImageView, Rule, Severity};
use crate::image::accounts::{ContainerUser, MissingAccount};
use crate::image::files::{BrokenPath, FileKind};
use crate::output::visible;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-040",
        title: "the program of the command is in the image, and its user may start it",
        severity: Severity::Error,
        source: "execve(2); INFERENCE (docker, podman and containerd refuse to start anything else)",
        why: "The container of every customer ends before it begins.",
        fix: "copy the program into the image, set its mode (chmod 0755), or correct `entrypoint`, `PATH` or `workingDir`",
        check: Check::Image(|view, judge| {
            each_chain(view, judge, |judge, _, chain| {
                if let Some(StartFault::Program(message)) = &chain.fault {
                    judge.error("config", message.as_str());
                }
                true
            });
        }),
    },
    Rule {
        id: "IMG-041",
        title: "what the command names is a program, or a script whose interpreter is in the image",
        severity: Severity::Error,
        source: "execve(2)",
        why: "The kernel says `no such file` or `exec format error`, although the file is there: the loader of another C library, a missing shell, or line ends of Windows.",
        fix: "add the interpreter, build for the C library of the base image or statically, and save scripts with LF",
        check: Check::Image(|view, judge| {
            each_chain(view, judge, |judge, _, chain| {
                if let Some(StartFault::Interpreter(message)) = &chain.fault {
                    judge.error("config", message.as_str());
                }
                !chain.files.is_empty()
            });
        }),
    },
    Rule {
        id: "IMG-044",
        title: "the user and the group of the image exist",
        severity: Severity::Error,
        source: "OCI image specification (`User`); INFERENCE (engines look names up in the image)",
        why: "A name that is in neither file is refused, and no container starts.",
        fix: "create the user in the build, or write numbers",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::All, |judge, root| {
                match root.identity() {
                    Ok(_) => {}
                    Err(MissingAccount::User(name)) => {
                        let message =
                            format!("the user `{}` is not in /etc/passwd", visible(&name));
                        judge.error("config.user", message);
                    }
                    Err(MissingAccount::Group(name)) => {
                        let message =
                            format!("the group `{}` is not in /etc/group", visible(&name));
                        judge.error("config.user", message);
                    }
                }
                !root.config.config.user.is_empty()
            });
        }),
    },
    Rule {
        id: "IMG-045",
        title: "the working folder is a folder, or can be made",
        severity: Severity::Error,
        source: "OCI image specification (`WorkingDir`); INFERENCE (engines make it)",
        why: "No container starts in a file.",
        fix: "correct `workingDir`, or remove the file that is in its place",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::All, |judge, root| {
                let folder = root.config.config.working_dir.as_str();
                if let Some(why) = no_folder(root, folder) {
                    judge.error("config.workingDir", format!("the working folder {why}"));
                }
                !folder.is_empty()
            });
        }),
    },
    Rule {
        id: "IMG-046",
        title: "volumes are folders, or can be made",
        severity: Severity::Error,
        source: "OCI image specification (`Volumes`); INFERENCE (engines mount a folder)",
        why: "A folder cannot be mounted over a file; no container starts.",
        fix: "name the folder that the file is in",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::All, |judge, root| {
                let volumes = &root.config.config.volumes;
                for volume in volumes.keys() {
                    if let Some(why) = no_folder(root, volume) {
                        judge.error("config.volumes", format!("the volume {why}"));
                    }
                }
                !volumes.is_empty()
            });
        }),
    },
];

/// Looks at every command a container of each platform starts.
pub(super) fn each_chain(
    view: &ImageView<'_>,
    judge: &mut Findings<'_>,
    mut look: impl FnMut(&mut Findings<'_>, &Root<'_>, &Chain<'_>) -> bool,
) {
    each_root(view, judge, Need::All, |judge, root| {
        // Without a user no program starts (IMG-044); as root, the other faults are still found.
        let identity = root.identity().unwrap_or_else(|_| ContainerUser::root());
        let mut applies = false;
        for chain in chains(root, &identity) {
            applies |= look(judge, root, &chain);
        }
        applies
    });
}

/// Why a path neither is a folder nor can be made one.
fn no_folder(root: &Root<'_>, path: &str) -> Option<String> {
    match root.files.follow(path.as_bytes()) {
        Ok(file) if file.kind() == FileKind::Folder => None,
        Err(BrokenPath::Missing(_)) => None,
        Ok(file) => Some(format!("{} is a {}", shown(path.as_bytes()), file.kind().name())),
        Err(BrokenPath::Loop(at)) => Some(format!(
            "{} leads to a link in a circle at {}",
            shown(path.as_bytes()),
            shown(&at)
        )),
        Err(BrokenPath::NotAFolder(at)) => {
            Some(format!("{} cannot be made: {} is no folder", shown(path.as_bytes()), shown(&at)))
        }
    }
}
