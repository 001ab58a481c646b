//! Several inputs in a layer, single files, and where inputs lie.

use serde_json::json;

use super::*;

#[test]
fn a_file_goes_to_its_own_path_or_into_a_folder() {
    let bench = Bench::new();
    bench.file("conf/app.toml", "x", 0o600);
    bench.file("run.sh", "x", 0o744);
    bench.link("conf/app.toml", "link.toml");
    for (layer, expected) in [
        (json!({"file": "run.sh"}), vec!["run.sh 755 0:0"]),
        (json!({"file": "conf/app.toml", "into": "/"}), vec!["app.toml 644 0:0"]),
        (
            json!({"file": "conf/app.toml", "into": "/etc/app/", "owner": "7:8", "mode": "0440"}),
            vec!["etc/ 755 0:0", "etc/app/ 755 0:0", "etc/app/app.toml 440 7:8"],
        ),
        (json!({"file": "run.sh", "into": "/start", "mode": "4755"}), vec!["start 4755 0:0"]),
        (json!({"file": "link.toml", "into": "/x/"}), vec!["x/ 755 0:0", "x/link.toml 644 0:0"]),
    ] {
        assert_eq!(bench.entries(layer.clone()), expected, "{layer}");
    }
    let error = bench.error(json!({"file": "conf"}));
    assert!(error.ends_with("conf is not a file"), "{error}");
    let error = bench.error(json!({"file": "gone"}));
    assert!(error.contains("gone does not exist"), "{error}");
}

#[test]
fn each_path_is_there_once_over_all_inputs() {
    let bench = Bench::new();
    bench.file("one/etc/a", "1", 0o644);
    bench.file("two/etc/b", "2", 0o644);
    bench.file("two/etc/a", "2", 0o644);
    let both = json!({"inputs": [{"dir": "one"}, {"dir": "two", "exclude": ["etc/a"]}]});
    assert_eq!(bench.entries(both), ["etc/ 755 0:0", "etc/a 644 0:0", "etc/b 644 0:0"]);
    let error = bench.error(json!({"inputs": [{"dir": "one"}, {"dir": "two"}]}));
    assert!(error.starts_with("`etc/a` comes twice, from `dir one` and from `dir two`"), "{error}");
    let owners = json!({"inputs": [
        {"dir": "one"}, {"dir": "two", "owner": "7:8", "exclude": ["etc/a"]},
    ]});
    let error = bench.error(owners);
    let expected = "the folder `etc` is 0755 0:0 from `dir one`, and 0755 7:8 from `dir two`";
    assert!(error.starts_with(expected), "{error}");
    let below = json!({"inputs": [
        {"dir": "one"}, {"file": "two/etc/b", "into": "/etc/", "owner": "7:8"},
    ]});
    assert_eq!(bench.entries(below), ["etc/ 755 0:0", "etc/a 644 0:0", "etc/b 644 7:8"]);
    let error = bench.error(json!({"inputs": [
        {"file": "one/etc/a", "into": "/etc"}, {"dir": "two"},
    ]}));
    assert!(error.starts_with("`etc` comes twice"), "{error}");
}

#[test]
fn a_later_input_follows_the_links_of_an_earlier_one() {
    let bench = Bench::new();
    bench.link("usr/lib", "one/lib");
    bench.file("one/usr/lib/a", "1", 0o644);
    bench.file("two/lib/b", "2", 0o644);
    let layer = json!({"inputs": [{"dir": "one"}, {"dir": "two"}]});
    assert_eq!(
        bench.entries(layer),
        [
            "lib 777 0:0 -> usr/lib",
            "usr/ 755 0:0",
            "usr/lib/ 755 0:0",
            "usr/lib/a 644 0:0",
            "usr/lib/b 644 0:0"
        ]
    );
}

#[test]
fn the_output_folder_is_never_input() {
    let bench = Bench::new();
    bench.file("app/run", "x", 0o755);
    let layer = json!({"dir": ".", "exclude": ["nothing-like-this"]});
    let before = bench.tar(layer.clone());
    bench.file("out/.wharf/cache", "x", 0o644);
    bench.file("out/plan/oci-layout", "{}", 0o644);
    assert!(before == bench.tar(layer));
    for path in ["out", "out/plan", "out/.wharf", "app/../out/plan"] {
        let error = bench.error(json!({"dir": path}));
        assert!(error.contains("is where layouts are written to"), "{path}: {error}");
    }
    // A user's own folder of the same name, not an output of ours.
    bench.file("out/rootfs/run", "x", 0o755);
    assert_eq!(bench.entries(json!({"dir": "out/rootfs"})), ["run 755 0:0"]);
}

#[test]
fn what_lies_outside_of_the_offer_is_told() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "x").unwrap();
    let bench = Bench::new();
    bench.link(outside.path().to_str().unwrap(), "away");
    bench.file("app/run", "x", 0o755);
    bench.link("app", "near");
    let name = outside.path().file_name().unwrap().to_str().unwrap().to_owned();
    for path in ["away".to_owned(), format!("../{name}")] {
        let notes = bench.notes(json!({"dir": path}));
        assert!(notes[0].starts_with(&format!("{path}: it lies outside the folder")), "{notes:?}");
    }
    assert_eq!(bench.notes(json!({"dir": "near"})), Vec::<String>::new());
}

#[test]
fn an_empty_layer_is_told() {
    let bench = Bench::new();
    bench.dir("empty", 0o755);
    assert_eq!(bench.notes(json!({"dir": "empty"})), ["empty: nothing of it goes in"]);
    assert_eq!(bench.entries(json!({"dir": "empty"})), Vec::<String>::new());
    let builder = tar::Builder::new(Vec::new());
    fs::write(bench.path("x.tar"), builder.into_inner().unwrap()).unwrap();
    assert_eq!(bench.notes(json!({"tar": "x.tar"})), ["tar x.tar: the layer is empty"]);
}
