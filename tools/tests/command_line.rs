//! `wharf` as scripts see it: exit codes, what stands on stdout when something is wrong, and what is
//! left on disk when somebody ends it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "command_line/offer_init.rs"]
mod offer_init;
#[path = "command_line/package.rs"]
mod package;

/// How long anything here may take; reached only when something hangs.
const PATIENCE: Duration = Duration::from_mins(1);

const OFFER: &str = r#"version: 1
publisher: harbourside
offer: { id: lantern, alias: Lantern, registry: here }
registries:
  here: { loginServer: "127.0.0.1:1", plainHttp: true }
listing:
  title: Lantern
  searchSummary: A light that says when it burns.
  shortDescription: A light for containers.
  description: <p>A light.</p>
  privacyPolicy: https://harbourside.dev/privacy
  supportUrl: https://harbourside.dev/support
  contacts:
    support: { name: Help, email: help@harbourside.dev, phone: "+1 206 555 0100" }
    engineering: { name: Work, email: work@harbourside.dev, phone: "+1 206 555 0101" }
  logos: { large: logo.png }
legal: { standardContract: true }
properties: { categories: { containers: [container-images] } }
preview: { subscriptions: [{ id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386 }] }
plans:
  - id: lamp
    name: Lamp
    summary: The lamp.
    description: <p>The lamp.</p>
    licence: byol
    image:
      repository: lantern/lamp
      version: "1.0.0"
      platforms: [{ platform: linux/amd64, layers: [{ dir: root }] }]
      config: { cmd: [/lamp], user: "7:7" }
"#;

/// An offer with its build folder.
struct Publisher {
    folder: tempfile::TempDir,
}

impl Publisher {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::write(folder.path().join("root/lamp"), "light").unwrap();
        fs::write(folder.path().join("offer.yaml"), OFFER).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(arguments).current_dir(self.folder.path());
        command.env_remove("WHARF_OUTPUT_FORMAT").env("DOCKER_CONFIG", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        finish(self.start(arguments))
    }
}

/// Waits until something is so; whether it came to that.
#[expect(clippy::disallowed_methods, reason = "polls an event of another process, with a deadline")]
fn comes(mut is_so: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !is_so() {
        if started.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Waits until a program has made a file; one that does not is ended.
fn started(mut child: Child, file: &Path) -> Child {
    if !comes(|| file.exists() || child.try_wait().unwrap().is_some()) || !file.exists() {
        let _ = child.kill();
        panic!("it does not start: {:?}", child.wait_with_output().unwrap());
    }
    child
}

/// Waits for a program that must end by itself.
fn finish(mut child: Child) -> Output {
    if !comes(|| child.try_wait().unwrap().is_some()) {
        child.kill().unwrap();
        panic!("it does not end: {:?}", child.wait_with_output().unwrap());
    }
    child.wait_with_output().unwrap()
}

fn error_of(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
    assert_eq!(value["schemaVersion"], 1, "{text}");
    assert!(value.get("result").is_none(), "{text}");
    assert_eq!(value["error"]["exitCode"], output.status.code().unwrap(), "{text}");
    assert!(!value["error"]["message"].as_str().unwrap().is_empty(), "{text}");
    value
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn every_command_that_fails_says_so_in_one_json_document() {
    let publisher = Publisher::new();
    for (arguments, command, exit) in [
        (["package", "gone.yaml"].as_slice(), "package", 2),
        (&["verify", "gone"], "verify", 2),
        (&["push", "gone.yaml", "--to", "here"], "push", 2),
        (&["push", "gone", "127.0.0.1:1/x:1"], "push", 2),
        (&["promote", "plan", "offer.yaml", "--from", "here", "--to", "here"], "promote plan", 5),
        (&["promote", "apply", "gone.json"], "promote apply", 2),
        (&["promote", "status", "gone"], "promote status", 2),
        (&["promote", "undo", "gone"], "promote undo", 2),
        (&["offer", "lint", "gone.yaml"], "offer lint", 2),
        (&["offer", "render", "gone.yaml"], "offer render", 2),
        (&["rules", "NO-001"], "rules", 2),
        (&["offer", "lint"], "offer lint", 2),
        (&["offer"], "offer", 2),
        (&["promote", "plan", "--no-option"], "promote plan", 2),
        (&["no-command"], "", 2),
    ] {
        let arguments = [arguments, &["--output-format", "json"]].concat();
        let output = publisher.run(&arguments);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}");
        assert_eq!(error_of(&output)["command"], command, "{arguments:?}");
        let error = error_of(&output);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(!message.contains(['\n']) && !message.contains("Usage"), "{message}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

/// Nothing of a login is said, and what to do instead is.
fn assert_login_is_hidden(output: &Output, how: &str) {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(2), "{how}: {said}");
    assert!(!said.contains("s3cret") && !said.contains("bob"), "{how}: {said}");
    assert!(said.contains("not shown") && said.contains("docker login"), "{how}: {said}");
    assert!(said.contains("--authfile"), "{how}: {said}");
}

#[test]
fn a_login_in_an_address_is_never_repeated() {
    let publisher = Publisher::new();
    for format in ["text", "json"] {
        for arguments in [
            ["push", "out", "bob:s3cret@127.0.0.1:1/x:1"].as_slice(),
            &["push", "out", "https://bob:s3cret@127.0.0.1:1/x:1"],
            &["push", "out", "bob:s3/cret@127.0.0.1:1/x:1"],
            &["push", "offer.yaml", "--to", "here", "--through", "bob:s3cret@127.0.0.1:1"],
            &["push", "offer.yaml", "--to=here", "--through=bob:a s3cret@127.0.0.1:1"],
            &["push", "offer.yaml", "--to", "bob:s3cret@127.0.0.1:1"],
            &["promote", "plan", "offer.yaml", "--from", "bob:s3cret@h", "--to", "here"],
            &["verify", "bob:s3cret@127.0.0.1:1/x:1"],
            &["verify", "docker://bob:s3cret@127.0.0.1:1/x:1"],
            &["package", "bob:s3cret@127.0.0.1:1/x:1"],
        ] {
            let output = publisher.run(&[arguments, &["--output-format", format]].concat());
            assert_login_is_hidden(&output, &format!("{arguments:?}"));
        }
        let mut child = publisher.command(&["push", "offer.yaml", "--to", "here"]);
        child.args(["--output-format", format]).env("WHARF_REGISTRY_HERE", "bob:s3cret@h");
        assert_login_is_hidden(&finish(child.spawn().unwrap()), "variable");
    }
}

#[test]
fn a_login_in_an_offer_is_never_repeated() {
    let publisher = Publisher::new();
    for format in ["text", "json"] {
        for address in ["bob:s3cret@h", "https://bob:s3cret@h/", "bob:a 's3cret' b@h", "s3cret@h"] {
            let with_login = OFFER.replace("127.0.0.1:1", address);
            fs::write(publisher.path("offer.yaml"), &with_login).unwrap();
            let output = publisher.run(&["offer", "lint", "offer.yaml", "--output-format", format]);
            assert_login_is_hidden(&output, address);
            // Another fault of the same line quotes the line too.
            let twice = with_login.replace("plainHttp", "plainHtpp");
            fs::write(publisher.path("offer.yaml"), twice).unwrap();
            let output = publisher.run(&["offer", "lint", "offer.yaml", "--output-format", format]);
            let said = [output.stdout.as_slice(), &output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!said.contains("s3cret") && !said.contains("bob"), "{said}");
        }
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let publisher = Publisher::new();
    for argument in ["--help", "--version"] {
        let output = publisher.run(&[argument, "--output-format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{argument}");
        assert!(!output.stdout.is_empty(), "{argument}");
    }
}

#[test]
fn a_named_pipe_is_refused_wherever_a_file_is_read() {
    let publisher = Publisher::new();
    mkfifo(&publisher.path("pipe"));
    for arguments in [
        ["offer", "lint", "pipe"].as_slice(),
        &["package", "pipe"],
        &["verify", "pipe"],
        &["push", "pipe", "--to", "here"],
        &["push", "pipe", "127.0.0.1:1/x:1"],
        &["promote", "apply", "pipe"],
        &["promote", "status", "pipe"],
        &["promote", "undo", "pipe"],
        &["push", "offer.yaml", "--to", "here", "--authfile", "pipe"],
        &["push", "offer.yaml", "--to", "here", "--ca-file", "pipe"],
    ] {
        let output = publisher.run(arguments);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("a pipe"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_closed_port_ends_a_push_at_once_with_exit_code_5() {
    let publisher = Publisher::new();
    assert_eq!(publisher.run(&["package", "offer.yaml", "-q"]).status.code(), Some(0));
    let output = publisher.run(&["push", "offer.yaml", "--to", "here"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("nothing listens there"), "{said}");
    assert!(!said.contains("run the command again"), "{said}");
}

#[test]
fn a_layout_of_an_earlier_offer_is_not_pushed() {
    let publisher = Publisher::new();
    assert_eq!(publisher.run(&["package", "offer.yaml", "-q"]).status.code(), Some(0));
    let changed = OFFER.replace("user: \"7:7\"", "user: \"8:8\"");
    fs::write(publisher.path("offer.yaml"), changed).unwrap();
    let output = publisher.run(&["push", "offer.yaml", "--to", "here"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("run `wharf package`"), "{said}");
    // Texts for customers change nothing of the image.
    fs::write(publisher.path("offer.yaml"), OFFER.replace("The lamp.", "The best lamp.")).unwrap();
    let output = publisher.run(&["push", "offer.yaml", "--to", "here"]);
    assert_eq!(output.status.code(), Some(5), "it comes as far as the registry");
}

#[test]
fn an_ended_package_leaves_nothing_and_what_a_kill_left_goes_with_the_next() {
    let publisher = Publisher::new();
    // Large enough that it is not done before the signal comes, and nothing on disk.
    let large = fs::File::create(publisher.path("root/large")).unwrap();
    large.set_len(64 << 30).unwrap();
    let staging = publisher.path("out/.wharf/layers.tmp");
    for signal in ["INT", "TERM", "KILL"] {
        let child = publisher.start(&["package", "offer.yaml", "--output-format", "json"]);
        let child = started(child, &staging.join("0"));
        let id = child.id().to_string();
        let kill = Command::new("kill").args(["-s", signal, &id]).status().unwrap();
        assert!(kill.success());
        let output = finish(child);
        if signal == "KILL" {
            assert!(staging.exists(), "a kill cannot be answered");
        } else {
            assert_eq!(output.status.code(), Some(130), "{signal}");
            assert_eq!(error_of(&output)["error"]["message"], "interrupted", "{signal}");
            assert!(!publisher.path("out").exists(), "{signal}");
        }
    }
    // The plan has another name now, so nobody writes to the old one's staging folder.
    fs::remove_file(publisher.path("root/large")).unwrap();
    fs::write(publisher.path("offer.yaml"), OFFER.replace("id: lamp", "id: torch")).unwrap();
    assert_eq!(publisher.run(&["package", "offer.yaml", "-q"]).status.code(), Some(0));
    let left = fs::read_dir(publisher.path("out")).unwrap();
    let mut names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != ".wharf");
    assert_eq!(names, ["torch"]);
    assert!(!staging.exists());
}

#[test]
fn what_is_written_goes_through_links_and_into_what_is_no_file() {
    let publisher = Publisher::new();
    let offer = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tidepool-cache/offer.yaml");
    fs::write(publisher.path("report.json"), "old").unwrap();
    std::os::unix::fs::symlink("report.json", publisher.path("link")).unwrap();
    mkfifo(&publisher.path("pipe"));
    let render = |file: &str| publisher.run(&["offer", "render", offer, "--output", file]);
    assert_eq!(render("link").status.code(), Some(0));
    assert!(publisher.path("link").is_symlink());
    let written = fs::read_to_string(publisher.path("report.json")).unwrap();
    assert!(written.contains("tidepool"), "{written}");
    let said = String::from_utf8(render("/dev/stdout").stdout).unwrap();
    assert!(said.starts_with(&written), "{said}");
    let refused = render("pipe");
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("pipe") && said.contains("start its reader"), "{said}");
    assert!(publisher.path("pipe").exists());
}

#[test]
fn a_report_that_cannot_be_written_loses_none_of_the_others() {
    let publisher = Publisher::new();
    publisher.run(&["package", "offer.yaml"]);
    let output = publisher.run(&[
        "verify",
        "out/lamp",
        "--report=sarif=none/r.sarif",
        "--report=junit=r.xml",
        "--report=html=.",
        "--report=markdown=r.md",
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("none/r.sarif") && errors.contains("cannot write ."), "{errors}");
    assert!(fs::read_to_string(publisher.path("r.xml")).unwrap().ends_with("</testsuites>\n"));
    assert!(publisher.path("r.md").exists());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("linux/amd64") && text.contains(" rules)"), "{text}");
}

#[test]
fn stdout_has_the_report_alone_when_one_goes_there() {
    let publisher = Publisher::new();
    publisher.run(&["package", "offer.yaml"]);
    for name in ["-", "/dev/stdout"] {
        let report = format!("--report=json={name}");
        let output = publisher.run(&["verify", "out/lamp", &report]);
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(value["result"]["findings"].is_array());
        assert!(String::from_utf8_lossy(&output.stderr).contains(" rules)"));
    }
    let two = ["verify", "out/lamp", "--report=json=-", "--report=text=-"];
    let json = ["verify", "out/lamp", "--report=sarif=-", "--output-format=json"];
    for arguments in [two.as_slice(), &json] {
        let output = publisher.run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("stdout"));
    }
}

#[test]
fn the_summary_of_a_step_is_added_to() {
    let publisher = Publisher::new();
    publisher.run(&["package", "offer.yaml"]);
    fs::write(publisher.path("summary"), "before\n").unwrap();
    let mut command = publisher.command(&["verify", "out/lamp"]);
    command.args(["--report=markdown=summary", "--report=markdown=other"]);
    finish(command.env("GITHUB_STEP_SUMMARY", "summary").spawn().unwrap());
    let summary = fs::read_to_string(publisher.path("summary")).unwrap();
    assert!(summary.starts_with("before\n## "), "{summary}");
    assert_eq!(fs::read_to_string(publisher.path("other")).unwrap(), summary[7..]);
    // A file that is full stays as it is.
    fs::write(publisher.path("summary"), "x".repeat(1 << 20)).unwrap();
    let mut command = publisher.command(&["verify", "out/lamp"]);
    command.arg("--report=markdown=summary").env("GITHUB_STEP_SUMMARY", "summary");
    finish(command.spawn().unwrap());
    assert_eq!(fs::metadata(publisher.path("summary")).unwrap().len(), 1 << 20);
}

#[test]
fn tags_that_an_offer_may_publish_are_listed_and_an_impossible_version_is_a_finding() {
    let publisher = Publisher::new();
    let write_with = |tags: &str| {
        let text = OFFER.replace(
            "version: \"1.0.0\"",
            &format!("version: \"1.0.0\"\n      publishedTags: [{tags}]"),
        );
        fs::write(publisher.path("offer.yaml"), text).unwrap();
    };
    write_with("0.9.0-linux-amd64, 0.9.0-all, nightly");
    let output = publisher.run(&["tags", "offer.yaml", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let plan = &value["result"]["plans"][0];
    let tags: Vec<&str> =
        plan["tags"].as_array().unwrap().iter().map(|item| item["tag"].as_str().unwrap()).collect();
    assert_eq!(
        tags,
        [
            "0.9.0-linux-amd64",
            "0.9.0-all",
            "1.0.0-linux-amd64",
            "1.0.0-all",
            "1.0.0-test",
            "latest"
        ]
    );
    assert_eq!(plan["tags"][5]["state"], "moves");
    assert_eq!(plan["leftOut"][1]["tags"][0], "nightly");
    assert_eq!(plan["offer"]["isSame"], false);
    let output = publisher.run(&["tags", "offer.yaml", "--lenient"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("left out: nightly: does not start with a version"), "{text}");
    assert!(text.contains("\n1.0.0 "), "{text}");
    // A version that is out is no list, and a finding.
    write_with("1.0.0-linux-amd64");
    let output = publisher.run(&["tags", "offer.yaml", "--plan", "lamp"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1.0.0 is not greater than 1.0.0") && text.contains("raise"), "{text}");
    assert_eq!(publisher.run(&["tags", "offer.yaml", "--plan", "none"]).status.code(), Some(2));
}
