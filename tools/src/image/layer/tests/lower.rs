//! Layers above other layers of their image.

use serde_json::json;

use super::*;

/// A small system with a merged `/usr`, one layer.
fn system() -> Bench {
    let mut bench = Bench::new();
    bench.file("base/usr/bin/sh", "sh", 0o755);
    bench.file("base/etc/passwd", "root", 0o644);
    bench.dir("base/tmp", 0o1777);
    bench.dir("base/root", 0o700);
    bench.dir("base/srv/data", 0o755);
    bench.link("usr/bin", "base/bin");
    bench.link("/run", "base/var/run");
    bench.link("b", "base/loop/a");
    bench.link("a", "base/loop/b");
    bench.below(json!({"dir": "base", "modes": "kept", "owner": "1:2"}));
    bench
}

#[test]
fn folders_above_take_mode_and_owner_of_the_lower_layer_and_follow_its_links() {
    let bench = system();
    bench.file("app/run", "x", 0o755);
    assert_eq!(
        bench.entries(json!({"dir": "app", "into": "/bin", "owner": "7:8"})),
        ["usr/ 755 1:2", "usr/bin/ 755 1:2", "usr/bin/run 755 7:8"]
    );
    assert_eq!(
        bench.entries(json!({"dir": "app", "into": "/root/new/deep", "owner": "7:8"})),
        [
            "root/ 700 1:2",
            "root/new/ 755 0:0",
            "root/new/deep/ 755 7:8",
            "root/new/deep/run 755 7:8"
        ]
    );
    assert_eq!(
        bench.entries(json!({"file": "app/run", "into": "/var/run/app/"})),
        ["run/ 755 0:0", "run/app/ 755 0:0", "run/app/run 755 0:0"]
    );
    let error = bench.error(json!({"dir": "app", "into": "/loop/a"}));
    assert!(error.starts_with("`/loop/a` leads through more links"), "{error}");
    let error = bench.error(json!({"dir": "app", "into": "/etc/passwd/x"}));
    assert_eq!(
        error,
        "`/etc/passwd/x` cannot be made: `etc/passwd` is a file of layer 1 (dir lower1)"
    );
}

#[test]
fn a_folder_over_a_link_goes_through_it_and_one_over_a_folder_leaves_it_as_it_is() {
    let bench = system();
    bench.file("app/bin/run", "x", 0o755);
    bench.file("app/bin/sub/deep", "x", 0o644);
    bench.file("app/tmp/note", "x", 0o644);
    let layer = json!({"dir": "app", "owner": "7:8"});
    assert_eq!(
        bench.entries(layer.clone()),
        [
            "tmp/ 1777 1:2",
            "tmp/note 644 7:8",
            "usr/ 755 1:2",
            "usr/bin/ 755 1:2",
            "usr/bin/run 755 7:8",
            "usr/bin/sub/ 755 7:8",
            "usr/bin/sub/deep 644 7:8"
        ]
    );
    assert_eq!(
        bench.notes(layer),
        ["app: the image has links in place of folders, and they are followed: \
          1 path (`bin` to `usr/bin`)"]
    );
    bench.dir("app/tmp", 0o750);
    let kept = bench.entries(json!({"dir": "app", "owner": "7:8", "modes": "kept"}));
    assert!(kept.contains(&"tmp/ 750 7:8".to_owned()), "{kept:?}");
}

#[test]
fn what_would_turn_a_link_or_a_folder_into_something_else_is_refused() {
    for (make, expected) in [
        (
            (|bench: &Bench| bench.file("app/usr/bin", "x", 0o644)) as fn(&Bench),
            "`usr/bin` is a folder of layer 1 (dir lower1), and `dir app` would make a file of it",
        ),
        (
            |bench| bench.file("app/bin", "x", 0o644),
            "`bin` is a symbolic link of layer 1 (dir lower1), and `dir app` would make a file of it",
        ),
        (
            |bench| bench.link("elsewhere", "app/srv"),
            "`srv` is a folder of layer 1 (dir lower1), and `dir app` would make a symbolic link of it",
        ),
        (
            |bench| bench.file("app/loop/a/x", "x", 0o644),
            "`loop/a` leads through more links of the image than are followed",
        ),
    ] {
        let bench = system();
        make(&bench);
        let error = bench.error(json!({"dir": "app"}));
        assert!(error.starts_with(expected), "{error}");
    }
    let bench = system();
    bench.file("app/etc/passwd", "new", 0o644);
    bench.link("elsewhere", "app/bin");
    bench.file("app/usr/bin/sh/now/a/folder", "x", 0o644);
    assert!(bench.prepare(json!({"dir": "app"})).is_ok());
}

#[test]
fn the_same_inputs_over_another_layer_are_another_layer() {
    let bench = system();
    bench.file("app/run", "x", 0o755);
    let layer = json!({"dir": "app", "into": "/bin"});
    let over = bench.prepare(layer.clone()).unwrap();
    let again = bench.prepare(layer.clone()).unwrap();
    assert_eq!(over.origin(), again.origin());
    let alone = Bench { lower: Vec::new(), ..bench };
    assert_ne!(over.origin().digest, alone.prepare(layer.clone()).unwrap().origin().digest);
    let before = alone.prepare(layer.clone()).unwrap().origin();
    let changed = fs::metadata(alone.path("app/run")).unwrap();
    fs::write(alone.path("app/run"), "y").unwrap();
    fs::File::open(alone.path("app/run"))
        .unwrap()
        .set_modified(changed.modified().unwrap())
        .unwrap();
    let after = alone.prepare(layer).unwrap().origin();
    assert!(after.newest_change >= before.newest_change);
    assert_ne!(before.digest, after.digest);
}
