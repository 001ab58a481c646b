//! `ci/verify.sh`, the script of the GitHub Action and the Azure Pipelines template, run as by
//! their agents: every input from the environment, and the outputs read from the files named there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use wharf_testkit::images::Recipe;
use wharf_testkit::processes::product;

/// A checkout with an image, and an agent's environment.
struct Job {
    folder: tempfile::TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Job {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Recipe::new(1, &[4096, 512]).write(&folder.path().join("out/app"), "1.0").unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        let program = product("wharf").unwrap().display().to_string();
        let variables = BTreeMap::from([
            ("WHARF_VERIFY_PROGRAM", program),
            ("WHARF_VERIFY_TARGETS", "out/app".to_owned()),
            ("PATH", std::env::var("PATH").unwrap()),
        ]);
        Self { folder, variables }
    }

    fn on_github() -> Self {
        let job = Self::new().with("GITHUB_ACTIONS", "true");
        let path = |name: &str| job.path(name).display().to_string();
        let (summary, output, root) = (path("summary.md"), path("output"), path(""));
        fs::write(&summary, "what came before\n").unwrap();
        fs::write(&output, "").unwrap();
        job.with("GITHUB_STEP_SUMMARY", &summary)
            .with("GITHUB_OUTPUT", &output)
            .with("GITHUB_WORKSPACE", &root)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn run(&self) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/verify.sh");
        Command::new(script)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.variables)
            .output()
            .unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The outputs of a step, as a runner reads `NAME<<MARK`, lines, `MARK`.
fn outputs(text: &str) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, mark) = line.split_once("<<").unwrap();
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != mark).collect();
        outputs.insert(name.to_owned(), value.join("\n"));
    }
    outputs
}

#[test]
fn a_github_step_leaves_every_report_and_keeps_the_exit_code() {
    let job = Job::on_github();
    let output = job.run();
    // The image of the kit has neither entrypoint nor cmd.
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let sarif: Value = serde_json::from_str(&job.read("wharf-reports/wharf.sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().any(|result| result["ruleId"] == "IMG-011"), "{results:?}");
    let json: Value = serde_json::from_str(&job.read("wharf-reports/wharf.json")).unwrap();
    assert_eq!(json["result"]["summary"]["passed"], false);
    assert!(job.read("wharf-reports/TEST-wharf.xml").contains("<failure "));
    assert!(job.read("wharf-reports/wharf.html").starts_with("<!DOCTYPE html>"));
    let summary = job.read("summary.md");
    assert!(summary.starts_with("what came before\n## ❌ wharf verify: failed"), "{summary}");
    let outputs = outputs(&job.read("output"));
    assert_eq!(outputs["exit-code"], "1");
    assert_eq!(outputs["sarif"], "wharf-reports/wharf.sarif");
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.lines().any(|line| line.starts_with("::error file=out/app,title=IMG-")), "{log}");
}

#[test]
fn names_in_the_log_of_a_github_step_are_no_commands() {
    let job = Job::on_github().with("WHARF_VERIFY_TARGETS", "::warning::x\nout/app");
    let output = job.run();
    let log = said(&output);
    let mut lines = log.lines();
    let stopped = lines.find_map(|line| line.strip_prefix("::stop-commands::")).unwrap();
    assert!(stopped.len() == 32 && stopped.chars().all(|c| c.is_ascii_hexdigit()), "{stopped}");
    let ended = format!("::{stopped}::");
    assert!(lines.any(|line| line == ended), "{log}");
    // The rest are the annotations.
    let commands: Vec<&str> = lines.filter(|line| line.starts_with("::")).collect();
    assert!(commands.iter().all(|line| !line.starts_with("::warning::x")), "{log}");
}

#[test]
fn inputs_are_never_run() {
    let hostile = "$(touch ran)`touch ran`;touch ran\n--report=json=ran\n${IFS}\"'";
    for name in [
        "WHARF_VERIFY_OFFER",
        "WHARF_VERIFY_TARGETS",
        "WHARF_VERIFY_LAYOUTS",
        "WHARF_VERIFY_SINCE",
        "WHARF_VERIFY_PROGRAM",
        "WHARF_FAIL_ON",
    ] {
        let job = Job::on_github().with(name, hostile);
        let output = job.run();
        assert!(!job.path("ran").exists(), "{name}: {}", said(&output));
        assert_ne!(output.status.code(), Some(0), "{name}: {}", said(&output));
    }
    let reports = "r$(touch ran)\nexit-code=0";
    let job = Job::on_github().with("WHARF_VERIFY_REPORTS", reports);
    assert_eq!(job.run().status.code(), Some(1));
    assert!(!job.path("ran").exists() && job.path(reports).join("wharf.html").exists());
    let outputs = outputs(&job.read("output"));
    assert_eq!((outputs["exit-code"].as_str(), outputs["reports"].as_str()), ("1", reports));
}

#[test]
fn an_azure_step_gets_issues_and_a_summary() {
    let job = Job::new().with("TF_BUILD", "True");
    let output = job.run();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let log = String::from_utf8(output.stdout).unwrap();
    let issue = "##vso[task.logissue type=error;sourcepath=out/app;code=IMG-";
    assert!(log.contains(issue), "{log}");
    assert!(log.contains("##vso[task.uploadsummary]/"), "{log}");
    assert!(!log.contains("task.complete") && !log.contains("\n::"), "{log}");
}

#[test]
fn what_could_not_be_verified_has_its_own_exit_code_and_reports() {
    let job = Job::on_github().with("WHARF_VERIFY_TARGETS", "out/gone\r\n");
    let output = job.run();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(job.read("wharf-reports/TEST-wharf.xml").contains("<error "));
    assert!(job.read("summary.md").contains("not read"), "{}", job.read("summary.md"));
    let job = Job::new().with("WHARF_VERIFY_PROGRAM", "no-such-program");
    let output = job.run();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("install wharf first"));
}
