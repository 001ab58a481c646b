//! Commands in the documents: each command and each of its options is one that `--help` has.

use std::collections::BTreeMap;
use std::path::Path;

use super::commands::{help, listed};
use super::{DOCS, files, root, text};

/// The helps that were asked for, by command.
#[derive(Default)]
struct Helps(BTreeMap<Vec<String>, String>);

impl Helps {
    fn of(&mut self, path: &[String]) -> &str {
        let ask = || help(&path[0], &path[1..]);
        self.0.entry(path.to_vec()).or_insert_with(ask)
    }

    /// What is wrong with a command as it is written, word by word; `a|b` are two commands.
    fn faults(&mut self, words: &[&str]) -> Vec<String> {
        let mut path = vec![words[0].to_owned()];
        for word in &words[1..] {
            let known = listed(self.of(&path));
            let names: Vec<&str> = word.split('|').collect();
            if !names.iter().all(|name| known.iter().any(|known| known == name)) {
                break;
            }
            path.push(names[0].to_owned());
        }
        let is_named = words.get(1).is_some_and(|word| word.starts_with(char::is_lowercase));
        if path.len() == 1 && is_named {
            return vec![format!("no command `{}`", words.join(" "))];
        }
        let help = self.of(&path);
        let options = words.iter().flat_map(|word| word.split(['[', '|', '='])).filter(|word| {
            word.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_lowercase))
        });
        let option = |word: &str| word.trim_end_matches([']', ',', '.', ')']).to_owned();
        let has = |option: &str| {
            help.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == option)
        };
        options
            .map(option)
            .filter(|word| !has(word))
            .map(|word| format!("`{}` has no {word}", path.join(" ")))
            .collect()
    }
}

/// The commands of ours in a line of shell: without its prompt, variables and comment.
fn ours(line: &str) -> Vec<Vec<&str>> {
    let line = line.split(" #").next().unwrap_or(line);
    let commands = line.split(['&', ';']).flat_map(|part| part.split(" | "));
    let words = commands.map(|command| {
        let words = command.split_whitespace().skip_while(|word| *word == "$");
        words.skip_while(|word| word.contains('=')).collect::<Vec<_>>()
    });
    words.filter(|words| matches!(words.first(), Some(&("wharf" | "wharfd")))).collect()
}

/// Lines of code of a page, and code within its text, with their numbers.
fn code(page: &str) -> Vec<(usize, &str)> {
    let mut is_code = false;
    let mut found = Vec::new();
    for (place, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            found.push((place + 1, line));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|code| (place + 1, code)));
        }
    }
    found
}

#[test]
fn every_command_in_the_documents_is_one_that_the_help_has() {
    let generated = ["wharf.md", "wharfd.md"];
    let is_written = |page: &Path| {
        let is_ours = page == Path::new("README.md") || page.starts_with(DOCS);
        is_ours && !generated.iter().any(|name| page.ends_with(name))
    };
    let (mut helps, mut faults, mut count) = (Helps::default(), Vec::new(), 0);
    for page in files(&[".md"]).into_iter().filter(|page| is_written(page)) {
        for (number, line) in code(&text(&root().join(&page))) {
            for words in ours(line) {
                count += 1;
                let found = helps.faults(&words).into_iter();
                faults.extend(found.map(|fault| format!("{}:{number}: {fault}", page.display())));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
    assert!(count > 100, "only {count} commands were found");
}

#[test]
fn a_wrong_command_or_option_is_found() {
    let mut helps = Helps::default();
    let mut faults = |line: &str| -> Vec<String> {
        ours(line).iter().flat_map(|words| helps.faults(words)).collect()
    };
    assert_eq!(faults("A=b wharf offer lint x --waivers f && wharf rules ID  # --no"), [""; 0]);
    assert_eq!(faults("wharfd store stats|scrub --store DIR"), [""; 0]);
    assert_eq!(faults("$ wharf offer lint x --waiver f"), ["`wharf offer lint` has no --waiver"]);
    assert_eq!(faults("wharf lint x"), ["no command `wharf lint x`"]);
}
