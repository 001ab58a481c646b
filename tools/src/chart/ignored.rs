//! `.helmignore`: the files of a folder outside the chart. Read as Helm 3 reads it; its rules look
//! like Git's and are not: `**` is an error, and a `!` ignores every file it does not match.

use super::globs;

/// Most lines of the file.
const RULES_MAX: usize = 1_000;

/// The rules of a `.helmignore`.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    rules: Vec<IgnoreRule>,
}

#[derive(Debug)]
struct IgnoreRule {
    pattern: String,
    is_negated: bool,
    is_of_folders: bool,
    /// Whether the whole path must fit, and not only the last part.
    is_path: bool,
}

impl Ignored {
    /// Reads them; the line, from 1, of Helm's refusal is an error.
    pub(super) fn read(text: &str) -> Result<Self, usize> {
        // Helm adds this one itself.
        let own = IgnoreRule::read("templates/.?*");
        let mut rules = vec![own];
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.contains("**") || line == "!" || line == "/" || rules.len() > RULES_MAX {
                return Err(number + 1);
            }
            rules.push(IgnoreRule::read(line));
        }
        Ok(Self { rules })
    }

    /// Whether a path, relative to the chart, is left out.
    pub(super) fn takes(&self, path: &str, is_folder: bool) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| {
            let fits = rule.fits(path);
            if rule.is_negated {
                return (rule.is_of_folders && !is_folder) || !fits;
            }
            (is_folder || !rule.is_of_folders) && fits
        })
    }
}

impl IgnoreRule {
    fn read(line: &str) -> Self {
        let (is_negated, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (is_of_folders, line) = match line.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let is_path = line.contains('/');
        let pattern = line.strip_prefix('/').unwrap_or(line).to_owned();
        Self { pattern, is_negated, is_of_folders, is_path }
    }

    fn fits(&self, path: &str) -> bool {
        let name = if self.is_path { path } else { path.rsplit('/').next().unwrap_or(path) };
        globs::fits(&self.pattern, name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn takes(text: &str, path: &str, is_folder: bool) -> bool {
        Ignored::read(text).unwrap().takes(path, is_folder)
    }

    #[test]
    fn names_folders_and_paths_are_left_out() {
        assert!(takes("*.bak\n", "templates/a.bak", false));
        assert!(takes("# note\n\n.git/\n", ".git", true));
        assert!(!takes(".git/\n", ".git", false));
        assert!(takes("/notes\n", "notes", false) && !takes("/notes\n", "a/notes", false));
        assert!(takes("a/*.txt\n", "a/b.txt", false) && !takes("a/*.txt\n", "b.txt", false));
        assert!(takes("", "templates/.hidden", false) && !takes("", "templates/a.yaml", false));
    }

    #[test]
    fn helm_refuses_two_stars_and_a_negation_ignores_the_rest() {
        assert_eq!(Ignored::read("a\n**/b\n").unwrap_err(), 2);
        assert!(takes("!Chart.yaml\n", "values.yaml", false));
        assert!(!takes("!Chart.yaml\n", "Chart.yaml", false));
    }
}
