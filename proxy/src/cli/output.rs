//! The only lines that `wharfd` prints itself. Logs go to stderr.

use wharf_proxy::observe::log;
use wharf_proxy::observe::log::LogForm;

/// Ends with the errors in the arguments. The message repeats arguments, except for those that may
/// hold a password.
pub(crate) fn refuse(error: &clap::Error) -> ! {
    let text = error.to_string();
    if !text.contains('@') {
        error.exit();
    }
    let shown =
        |word: &str| if word.contains(['@', '?']) { "(not shown)" } else { word }.to_owned();
    let line = |line: &str| line.split(' ').map(shown).collect::<Vec<_>>().join(" ");
    say(&text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n"));
    std::process::exit(error.exit_code())
}

/// The log of all commands but `serve`: their result goes to the output.
pub(crate) fn start_log_of_command() {
    log::start(LogForm::Text, "warn", None);
}

/// Prints a line for the person at the terminal.
#[expect(clippy::print_stderr, reason = "this is where wharfd prints")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
