//! Includes and excludes.

use serde_json::json;

use super::*;

fn sample() -> Bench {
    let bench = Bench::new();
    for path in ["a/x.py", "a/x.pyc", "a/b/y.py", "c/z.txt", "c/keep/w.txt", "top"] {
        bench.file(&format!("root/{path}"), path, 0o644);
    }
    bench
}

fn paths(bench: &Bench, layer: serde_json::Value) -> Vec<String> {
    let lines = bench.entries(layer);
    lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn include_takes_what_is_meant_with_the_folders_above_it() {
    let bench = sample();
    let of = |include: &[&str], exclude: &[&str]| {
        paths(&bench, json!({"dir": "root", "include": include, "exclude": exclude}))
    };
    assert_eq!(of(&["*.py"], &[]), ["a/", "a/b/", "a/b/y.py", "a/x.py"]);
    assert_eq!(of(&["c"], &[]), ["c/", "c/keep/", "c/keep/w.txt", "c/z.txt"]);
    assert_eq!(of(&["c/keep", "top"], &[]), ["c/", "c/keep/", "c/keep/w.txt", "top"]);
    assert_eq!(of(&["a", "c"], &["*.pyc", "c/keep", "b"]), ["a/", "a/x.py", "c/", "c/z.txt"]);
    assert_eq!(of(&["*.none"], &[]), Vec::<String>::new());
}

#[test]
fn patterns_that_match_nothing_are_told() {
    let bench = sample();
    let layer = json!({"dir": "root", "include": ["a", "*.rs"], "exclude": ["*.pyc", "d/**"]});
    assert_eq!(
        bench.notes(layer),
        [
            "root: `*.rs` of `include` matches nothing that is not excluded already",
            "root: `d/**` of `exclude` matches nothing that is not excluded already"
        ]
    );
}

#[test]
fn ignore_files_mean_what_their_tools_say() {
    let bench = sample();
    fs::write(bench.path("git"), "*.pyc\n/c/\n!/c/keep\n").unwrap();
    fs::write(bench.path(".dockerignore"), "**/*.pyc\nc\n!c/keep\n").unwrap();
    let of = |path: &str| paths(&bench, json!({"dir": "root", "ignoreFile": path}));
    assert_eq!(of("git"), ["a/", "a/b/", "a/b/y.py", "a/x.py", "top"]);
    assert_eq!(
        of(".dockerignore"),
        ["a/", "a/b/", "a/b/y.py", "a/x.py", "c/", "c/keep/", "c/keep/w.txt", "top"]
    );
    assert!(bench.error(json!({"dir": "root", "ignoreFile": "gone"})).contains("gone"));
}

#[test]
fn a_name_that_is_excluded_is_no_first_name_of_a_file() {
    let bench = sample();
    fs::hard_link(bench.path("root/top"), bench.path("root/b")).unwrap();
    fs::write(bench.path("git"), "b\n").unwrap();
    let lines = bench.entries(json!({"dir": "root", "include": ["top", "b"], "ignoreFile": "git"}));
    assert_eq!(lines, ["top 644 0:0"]);
}
