//! The environment of the figures: the machine, the programs, the date.

use std::path::Path;
use std::process::Command;

use crate::peer::wharfd_program;

/// Lines of Markdown.
pub(crate) fn describe(bed: &Path) -> anyhow::Result<String> {
    let wharfd = wharfd_program()?;
    let kernel = first_line("uname", &["-sr"]);
    let files = first_line("findmnt", &["-n", "-o", "FSTYPE", "-T", &bed.display().to_string()]);
    let source = first_line("git", &["describe", "--always", "--dirty"]);
    // Other work on the machine falsifies the figures.
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let lines = [
        ("command", format!("bench-peers {}", words.join(" ")).trim().to_owned()),
        ("date", first_line("date", &["-u", "+%F"])),
        ("machine", wharf_benches::machine()),
        ("load average at the start", load.trim().to_owned()),
        ("kernel", kernel),
        ("file system", format!("{files}, at {}", bed.parent().unwrap_or(bed).display())),
        ("wharfd", format!("{}, sources {source}", first_line(&wharfd, &["--version"]))),
        ("docker-registry", first_line("docker-registry", &["--version"])),
        ("nginx", first_line("/usr/sbin/nginx", &["-v"])),
        ("wrk", first_line("wrk", &["-v"])),
    ];
    Ok(lines.map(|(name, value)| format!("- {name}: {value}\n")).concat())
}

/// The first line of a program on either output.
fn first_line(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&said);
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}
