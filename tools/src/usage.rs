//! The message about a wrong command line: for people in clap's words, for programs in one line
//! with the likely command.

use std::ffi::OsStr;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::logins;
use crate::output::failure_json;

/// The arguments of the program, and the answer to wrong ones.
#[derive(Debug)]
pub struct Arguments(Vec<String>);

impl Arguments {
    /// Those of this process, without its name.
    #[must_use]
    pub fn of_process() -> Self {
        Self(std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect())
    }

    /// Whether JSON was requested, as far as a wrong command line can tell.
    #[must_use]
    pub fn want_json(&self) -> bool {
        let mut pairs = self.0.iter().zip(self.0.iter().skip(1));
        self.0.iter().any(|text| text == "--output-format=json")
            || pairs.any(|(option, value)| option == "--output-format" && value == "json")
            || std::env::var_os("WHARF_OUTPUT_FORMAT").is_some_and(|value| value == "json")
    }

    /// The command in the arguments, as far as it is one: `promote plan`.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = Cli::command();
        command.build();
        let (mut at, mut names) = (&command, Vec::new());
        let mut texts = self.0.iter();
        while let Some(text) = texts.next() {
            if let Some(option) = text.strip_prefix("--") {
                let takes = |argument: &&clap::Arg| {
                    argument.get_long() == Some(option) && argument.get_action().takes_values()
                };
                if at.get_arguments().any(|argument| takes(&argument)) {
                    texts.next();
                }
            } else if !text.starts_with('-') {
                let Some(found) = at.find_subcommand(OsStr::new(text)) else { break };
                names.push(found.get_name());
                at = found;
            }
        }
        names.join(" ")
    }

    /// An argument in the form of an address with a login, and not an existing file.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.0
            .iter()
            .any(|text| logins::is_address(text) && std::fs::symlink_metadata(text).is_err())
    }

    /// A message without the text before the `@` of an argument or a variable.
    #[must_use]
    pub fn hide_in(&self, message: &str) -> String {
        let variables: Vec<String> = std::env::vars_os()
            .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"WHARF_"))
            .map(|(_, value)| value.to_string_lossy().into_owned())
            .collect();
        logins::hide_all(message, self.0.iter().chain(&variables).map(String::as_str))
    }

    /// The JSON document for a refusal of clap.
    #[must_use]
    pub fn refusal_json(&self, error: &clap::Error) -> String {
        let text = self.hide_in(&error.render().to_string());
        let (message, hint) = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                ("a command is missing".to_owned(), Some("`--help` lists them".to_owned()))
            }
            _ => words(&text),
        };
        failure_json(&self.command(), &message, hint.as_deref(), Exit::Usage)
    }
}

/// The first paragraph in one line, and the tip where there is one.
fn words(text: &str) -> (String, Option<String>) {
    let text = text.trim().trim_start_matches("error: ");
    let lines = text.lines().map(str::trim);
    let message = lines.clone().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let tip = lines.clone().find_map(|line| line.strip_prefix("tip: ")).map(str::to_owned);
    (message, tip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(texts: &[&str]) -> Arguments {
        Arguments(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn the_command_is_found_behind_options_and_their_values() {
        for (texts, command) in [
            (["--output-format", "json", "offer", "lint"].as_slice(), "offer lint"),
            (&["-q", "promote", "--color=never", "plan", "apply"], "promote plan"),
            (&["promote", "no-command"], "promote"),
            (&["--ca-file", "push", "verify"], "verify"),
            (&["push", "verify"], "push"),
            (&["no-command", "push"], ""),
            (&[], ""),
        ] {
            assert_eq!(arguments(texts).command(), command, "{texts:?}");
        }
    }

    #[test]
    fn a_message_is_one_line_without_usage() {
        let said =
            "error: these are missing:\n  <A>\n  <B>\n\n  tip: add them\n\nUsage: wharf <A>\n";
        let tip = Some("add them".to_owned());
        assert_eq!(words(said), ("these are missing: <A> <B>".to_owned(), tip));
    }
}
