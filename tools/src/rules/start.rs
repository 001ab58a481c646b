//! The start of a container: the file opened by the kernel for its command, and for a script's or
//! program's interpreter. The rules about it are in `image_start`.

use super::roots::{Root, shown, words};
use crate::image::accounts::ContainerUser;
use crate::image::files::{BrokenPath, ElfKind, File, FileKind, Magic};

/// Where engines look for programs when the image does not say.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How many interpreters of interpreters the kernel starts.
const INTERPRETERS_MAX: usize = 5;
/// Programs that start the command in their own arguments.
const INITS: [&[u8]; 4] = [b"tini", b"dumb-init", b"catatonit", b"docker-init"];
/// Words known to shells themselves.
const BUILTINS: [&str; 68] = [
    "alias",
    "autoload",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "float",
    "for",
    "function",
    "getopts",
    "hash",
    "history",
    "if",
    "integer",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "setopt",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
];
/// The same, of loops.
const LOOPS: [&str; 3] = ["until", "wait", "while"];
const SHELLS: [&[u8]; 5] = [b"sh", b"bash", b"ash", b"dash", b"zsh"];

/// Why a command cannot start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StartFault {
    /// It is not there, no file, or the user may not start it.
    Program(String),
    /// The file is there, but its interpreter is not, or it is no program.
    Interpreter(String),
}

/// The files the kernel opens for one command, the program first.
pub(super) struct Chain<'a> {
    /// The command, and its source.
    pub(super) what: String,
    pub(super) files: Vec<File<'a>>,
    pub(super) fault: Option<StartFault>,
}

/// A container's programs: its command, and the further ones stated plainly in its arguments.
pub(super) fn chains<'a>(root: &Root<'a>, identity: &ContainerUser) -> Vec<Chain<'a>> {
    let config = &root.config.config;
    let command: Vec<&str> =
        config.entrypoint.iter().chain(&config.cmd).map(String::as_str).collect();
    let Some((program, arguments)) = command.split_first() else { return Vec::new() };
    let key = if config.entrypoint.is_empty() { "cmd" } else { "entrypoint" };
    let base = program.rsplit('/').next().unwrap_or_default().as_bytes();
    let form = match arguments {
        ["-c", ..] if SHELLS.contains(&base) => " (for the shell form of a command)",
        _ => "",
    };
    let what = format!("the {key} `{}`{form}", words(program.as_bytes()));
    let mut all = vec![chain(root, identity, program, what, By::Engine)];
    if INITS.contains(&base) {
        if let Some(next) = after_dashes(arguments) {
            let what = format!("`{}`, which {} starts", words(next.as_bytes()), words(base));
            all.push(chain(root, identity, next, what, By::Program));
        }
    } else if let Some(next) = in_shell_line(base, arguments) {
        let what = format!("`{}`, which the shell starts", words(next.as_bytes()));
        all.push(chain(root, identity, next, what, By::Program));
    }
    all
}

/// The command of `init [OPTION..] -- COMMAND`, or of `init COMMAND`.
fn after_dashes<'w>(arguments: &[&'w str]) -> Option<&'w str> {
    let dashes = arguments.iter().position(|word| *word == "--");
    match dashes {
        Some(at) => arguments.get(at + 1).copied(),
        None => arguments.first().copied().filter(|word| !word.starts_with('-')),
    }
}

/// The program of `sh -c LINE`, when the line begins with nothing but a program, and does not go on
/// without it: after `exec`, or where nothing but `&&` follows.
fn in_shell_line<'w>(shell: &[u8], arguments: &[&'w str]) -> Option<&'w str> {
    let [flags, line, ..] = arguments else { return None };
    if !SHELLS.contains(&shell) || !matches!(*flags, "-c" | "-ec" | "-lc" | "-exc" | "-euc") {
        return None;
    }
    let mut words = line.split_ascii_whitespace();
    let mut first = words.next()?;
    let is_replaced = first == "exec";
    if is_replaced {
        first = words.next()?;
    }
    let rest = line.replace("&&", " ");
    if !is_replaced && rest.contains([';', '|', '&', '\n']) {
        return None;
    }
    let is_plain = first.bytes().all(|c| c.is_ascii_alphanumeric() || b"/._-+".contains(&c));
    // A login shell may set another PATH in its startup files.
    let by_path = first.contains('/') || !flags.contains('l');
    let is_program = is_plain && by_path && !first.starts_with(['-', '.', '+']);
    let is_builtin = BUILTINS.contains(&first) || LOOPS.contains(&first);
    (is_program && !is_builtin).then_some(first)
}

/// A program's starter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// An engine: a file of unknown format is an error.
    Engine,
    /// A shell or an init: a file of unknown format goes to a shell (POSIX, `execvp`).
    Program,
}

/// The chain of files opened by the kernel for a word of a command.
fn chain<'a>(
    root: &Root<'a>,
    identity: &ContainerUser,
    word: &str,
    what: String,
    by: By,
) -> Chain<'a> {
    let mut chain = Chain { what, files: Vec::new(), fault: None };
    match program(root, identity, word.as_bytes()) {
        Ok(file) if by == By::Program && is_for_a_shell(&file) => return chain,
        Ok(file) => chain.files.push(file),
        Err(why) => {
            chain.fault = Some(StartFault::Program(format!("{} {why}", chain.what)));
            return chain;
        }
    }
    let mut at = 0;
    while let Some(file) = chain.files.get(at).copied() {
        at += 1;
        match interpreters(root, identity, &file) {
            Ok(more) => chain.files.extend(more),
            Err(why) => {
                let path = shown(file.path());
                let which = if chain.what.contains(&format!("`{path}`")) {
                    String::new()
                } else {
                    format!(" ({path})")
                };
                chain.fault = Some(StartFault::Interpreter(format!("{}{which} {why}", chain.what)));
                break;
            }
        }
        if at > INTERPRETERS_MAX {
            let why = format!("{} needs more than {INTERPRETERS_MAX} interpreters", chain.what);
            chain.fault = Some(StartFault::Interpreter(why));
            break;
        }
    }
    chain
}

/// Whether a file is none the kernel starts, but may be a script without its first line.
fn is_for_a_shell(file: &File<'_>) -> bool {
    matches!(file.content().magic, Magic::Empty | Magic::Other)
}

/// Where programs are looked for.
pub(super) fn search_path<'a>(root: &Root<'a>) -> impl Iterator<Item = &'a str> {
    root.variable("PATH").unwrap_or(PATH_DEFAULT).split(':').filter(|folder| !folder.is_empty())
}

/// The file of a program, by its path, or by its name in one of the folders of PATH.
fn program<'a>(root: &Root<'a>, identity: &ContainerUser, word: &[u8]) -> Result<File<'a>, String> {
    if word.is_empty() {
        return Err("is an empty word".to_owned());
    }
    if word.contains(&b'/') {
        return executable(root, identity, &absolute(root, word));
    }
    let mut refused = None;
    for folder in search_path(root) {
        let path = [folder.as_bytes(), b"/", word].concat();
        match executable(root, identity, &absolute(root, &path)) {
            Ok(file) => return Ok(file),
            Err(why) if root.find(&path).is_some_and(|file| file.kind() == FileKind::File) => {
                refused.get_or_insert(why);
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| {
        let folders: Vec<&str> = search_path(root).collect();
        format!("is in no folder of PATH ({})", words(folders.join(":").as_bytes()))
    }))
}

/// A path seen from the folder a container starts in.
fn absolute(root: &Root<'_>, path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    [root.working_folder().as_bytes(), b"/", path].concat()
}

/// The file at a path, if it is one and the user may start it.
fn executable<'a>(
    root: &Root<'a>,
    identity: &ContainerUser,
    path: &[u8],
) -> Result<File<'a>, String> {
    let file = match root.files.follow(path) {
        Ok(file) => file,
        Err(BrokenPath::Missing(at)) if at == path || at == clean(path) => {
            return Err("is not in the image".to_owned());
        }
        Err(BrokenPath::Missing(at)) => {
            return Err(format!("is not in the image: there is no {}", shown(&at)));
        }
        Err(BrokenPath::Loop(at)) => {
            return Err(format!("is a link in a circle at {}", shown(&at)));
        }
        Err(BrokenPath::NotAFolder(at)) => {
            return Err(format!("is not in the image: {} is no folder", shown(&at)));
        }
    };
    let path = shown(file.path());
    if file.kind() != FileKind::File {
        return Err(format!("is no file: {path} is a {}", file.kind().name()));
    }
    let who = who(identity);
    if let Some(folder) = closed_folder(root, identity, &file) {
        return Err(format!("is in {}, which {who} may not enter", shown(folder.path())));
    }
    if !identity.may_execute(&file) {
        let (user, group) = file.owner();
        return Err(format!(
            "cannot be started by {who}: {path} has the mode {:04o} and belongs to {user}:{group}",
            file.mode()
        ));
    }
    Ok(file)
}

fn clean(path: &[u8]) -> Vec<u8> {
    crate::image::files::clean(path).into_owned()
}

pub(super) fn who(identity: &ContainerUser) -> String {
    let group = identity.groups.first().copied().unwrap_or_default();
    format!("the user {}:{group}", identity.user)
}

/// The first folder above a file the user may not walk through. The root itself is not asked:
/// engines make it as they like.
fn closed_folder<'a>(
    root: &Root<'a>,
    identity: &ContainerUser,
    file: &File<'a>,
) -> Option<File<'a>> {
    let path = file.path();
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let folders = slashes.filter_map(|(at, _)| root.files.get(path.get(..at)?));
    let mut folders =
        folders.filter(|folder| identity.user != 0 && folder.kind() == FileKind::Folder);
    folders.find(|folder| !identity.may_execute(folder))
}

/// The kernel's next file after a file: none, an interpreter, or also the program of `env`.
fn interpreters<'a>(
    root: &Root<'a>,
    identity: &ContainerUser,
    file: &File<'a>,
) -> Result<Vec<File<'a>>, String> {
    match &file.content().magic {
        Magic::Elf(elf) if elf.kind == ElfKind::Other => {
            Err("is an object file, no program".to_owned())
        }
        Magic::Elf(elf) => {
            let Some(loader) = &elf.interpreter else { return Ok(Vec::new()) };
            // A loader is no script, so nothing follows it.
            match executable(root, identity, &absolute(root, loader)) {
                Ok(_) => Ok(Vec::new()),
                Err(why) => Err(format!("needs the loader {}, which {why}", words(loader))),
            }
        }
        Magic::Script(line) => {
            if !identity.may_read(file) {
                return Err(format!("is a script that {} may not read", who(identity)));
            }
            script(root, identity, line)
        }
        Magic::Empty => Err("is an empty file".to_owned()),
        Magic::Other | Magic::PrivateKey(_) | Magic::Eicar => {
            Err("is neither a program nor a script that begins with `#!`".to_owned())
        }
    }
}

fn script<'a>(
    root: &Root<'a>,
    identity: &ContainerUser,
    line: &[u8],
) -> Result<Vec<File<'a>>, String> {
    if line.ends_with(b"\r") {
        let line = words(line.trim_ascii_end());
        return Err(format!("ends its line `#!{line}` as Windows does (CR LF)"));
    }
    let mut parts = line.trim_ascii().splitn(2, |c| matches!(c, b' ' | b'\t'));
    let interpreter = parts.next().unwrap_or_default();
    if interpreter.is_empty() {
        return Err("has no interpreter after `#!`".to_owned());
    }
    let describe = |why| format!("needs the interpreter {}, which {why}", words(interpreter));
    let first = executable(root, identity, &absolute(root, interpreter)).map_err(describe)?;
    let mut files = vec![first];
    let arguments = parts.next().unwrap_or_default().trim_ascii();
    if interpreter.ends_with(b"/env")
        && let Some(name) = started_by_env(arguments)
    {
        let why = |why| format!("needs `{}`, which {why}", words(name));
        files.push(program(root, identity, name).map_err(why)?);
    }
    Ok(files)
}

/// The program of `env`, when its one argument is the program, or `-S` and a line without quotes.
fn started_by_env(argument: &[u8]) -> Option<&[u8]> {
    let line = argument.strip_prefix(b"-S").or_else(|| argument.strip_prefix(b"--split-string="));
    let Some(line) = line else {
        // Without -S everything is one word.
        let is_word = !argument.contains(&b'=') && !argument.starts_with(b"-");
        return (is_word && !argument.is_empty()).then_some(argument);
    };
    if line.iter().any(|byte| b"'\"\\$".contains(byte)) {
        return None;
    }
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    // With another PATH than the image's the program's place is unknown.
    if words.clone().any(|word| word.starts_with(b"PATH=")) {
        return None;
    }
    words.find(|word| !word.contains(&b'=')).filter(|word| !word.starts_with(b"-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_shell_line_is_found_when_it_stands_first() {
        for (line, program) in [
            ("/app/server --x", Some("/app/server")),
            ("exec redis-server /etc/r.conf", Some("redis-server")),
            ("cd /app && ./server", None),
            ("migrate && exec server", Some("migrate")),
            ("migrate || true; exec server", None),
            ("update; exec server", None),
            ("exec server || true", Some("server")),
            ("ulimit -n 1024; exec server", None),
            ("umask 027 && exec server", None),
            ("exec", None),
            ("A=1 server", None),
            ("\"$HOME\"/run", None),
            (". ./env.sh && run", None),
            ("exec", None),
            ("", None),
        ] {
            assert_eq!(in_shell_line(b"sh", &["-c", line]), program, "{line}");
        }
        assert_eq!(in_shell_line(b"bash", &["-lc", "server"]), None);
        assert_eq!(in_shell_line(b"python", &["-c", "server"]), None);
    }

    #[test]
    fn what_an_init_starts_stands_after_its_options() {
        assert_eq!(after_dashes(&["-g", "--", "/app"]), Some("/app"));
        assert_eq!(after_dashes(&["/app", "-x"]), Some("/app"));
        assert_eq!(after_dashes(&["-p", "SIGTERM", "/app"]), None);
        assert_eq!(after_dashes(&["--"]), None);
    }

    #[test]
    fn what_env_starts_is_its_word_or_in_its_line() {
        for (argument, program) in [
            ("node", Some("node")),
            ("-S node --x", Some("node")),
            ("-S A=1 node", Some("node")),
            ("-S PATH=/opt node", None),
            ("-S -i node", None),
            ("-S 'a b'", None),
            ("-i", None),
            ("", None),
        ] {
            let found = started_by_env(argument.as_bytes());
            assert_eq!(found, program.map(str::as_bytes), "{argument}");
        }
    }
}
