//! Hard links: second names of a file.

use serde_json::json;

use super::*;

#[test]
fn second_names_are_hard_links_after_the_first_in_the_order_of_paths() {
    let bench = Bench::new();
    bench.file("root/m/file", "content", 0o755);
    for name in ["root/z", "root/a", "root/out.pyc"] {
        fs::hard_link(bench.path("root/m/file"), bench.path(name)).unwrap();
    }
    assert_eq!(
        bench.entries(json!({"dir": "root", "into": "/x", "exclude": ["*.pyc"]})),
        [
            "x/ 755 0:0",
            "x/a 755 0:0",
            "x/m/ 755 0:0",
            "x/m/file 755 0:0 = x/a",
            "x/z 755 0:0 = x/a"
        ]
    );
    assert_eq!(
        bench.entries(json!({"dir": "root", "exclude": ["a", "z", "*.pyc"]})),
        ["m/ 755 0:0", "m/file 755 0:0"]
    );
}

#[test]
fn a_name_outside_of_the_input_makes_no_link() {
    let bench = Bench::new();
    bench.file("root/one", "content", 0o644);
    fs::hard_link(bench.path("root/one"), bench.path("other")).unwrap();
    let alone = bench.tar(json!({"dir": "root"}));
    fs::remove_file(bench.path("other")).unwrap();
    assert!(alone == bench.tar(json!({"dir": "root"})));
    let twice = json!({"inputs": [{"dir": "root"}, {"file": "root/one", "into": "/two"}]});
    assert_eq!(bench.entries(twice), ["one 644 0:0", "two 644 0:0"]);
}

#[test]
fn links_with_more_than_one_name_stay_links() {
    let bench = Bench::new();
    bench.link("target", "root/one");
    if fs::hard_link(bench.path("root/one"), bench.path("root/two")).is_err() {
        eprintln!("SKIPPED: this file system has no second names of links");
        return;
    }
    assert_eq!(
        bench.entries(json!({"dir": "root"})),
        ["one 777 0:0 -> target", "two 777 0:0 -> target"]
    );
}
