//! The pages of commands: the text of `--help`, command by command.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use wharf_testkit::processes::product;

use super::assert_current;

/// Columns of the help: clap's width without a terminal.
const COLUMNS: &str = "100";
/// The heading of the options common to every command of `wharf`.
const REPEATED: &str = "Options of every command:";

/// What a program says of a command, whatever the environment.
pub(super) fn help(program: &str, path: &[String]) -> String {
    let mut command = Command::new(product(program).unwrap());
    command.args(path).arg("--help").env_clear().env("COLUMNS", COLUMNS).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {path:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help lists.
pub(super) fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

/// A section for a command, then those below it.
fn section(page: &mut String, program: &str, path: &[String]) {
    let help = help(program, path);
    let name = [&[program.to_owned()], path].concat().join(" ");
    let shown = match help.split_once(REPEATED) {
        Some((own, _)) if !path.is_empty() => own,
        _ => &help,
    };
    let lines: Vec<&str> = shown.trim_end().lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n"));
    for command in listed(&help) {
        section(page, program, &[path, &[command]].concat());
    }
}

fn page(program: &str, more: &str) -> String {
    let mut page = format!(
        "# Commands of `{program}`\n\nWritten by `make reference` from `{program} COMMAND --help`; \
         a test holds the two together. {more}\n"
    );
    section(&mut page, program, &[]);
    page
}

#[test]
fn the_page_of_commands_of_wharfd_is_current() {
    let more = "Keys of the configuration file are in [`wharfd.toml`](configuration.md).";
    assert_current("wharfd.md", &page("wharfd", more));
}

#[test]
fn the_page_of_commands_of_wharf_is_current() {
    let more = "Options of every command stand once, at the top. Forms of images and exit codes are \
                in [what `wharf` reads](targets.md).";
    assert_current("wharf.md", &page("wharf", more));
}
