//! Files with a change between a look and the end of reading. The output is also the hook: the
//! change happens when the first content arrives.

use std::os::unix::fs::MetadataExt as _;

use serde_json::json;

use super::*;

/// Bytes of a file; reading it takes several steps.
const SIZE: usize = 1024 * 1024;

struct Hook<F: FnMut()> {
    seen: usize,
    act: Option<F>,
}

impl<F: FnMut()> Write for Hook<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.seen += bytes.len();
        if self.seen > SIZE / 4
            && let Some(mut act) = self.act.take()
        {
            act();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for a step of the clock for file times: some kernels move it every few milliseconds only.
fn until_the_clock_moves(bench: &Bench, path: &str) {
    let time = |path: &Path| {
        let found = fs::metadata(path).unwrap();
        (found.ctime(), found.ctime_nsec())
    };
    let before = time(&bench.path(path));
    loop {
        fs::write(bench.path("probe"), "x").unwrap();
        if time(&bench.path("probe")) > before {
            return;
        }
    }
}

fn big(letter: &str) -> String {
    letter.repeat(SIZE)
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error_also_when_its_size_stays() {
    let changes: [fn(&Bench); 4] = [
        |bench| {
            // The same size, and the time of the content set back.
            let path = bench.path("root/big");
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            io::Seek::seek(&mut file, io::SeekFrom::End(-1)).unwrap();
            file.write_all(b"b").unwrap();
            file.set_modified(modified).unwrap();
        },
        |bench| {
            let path = bench.path("root/big");
            fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"b").unwrap();
        },
        |bench| {
            fs::File::options()
                .write(true)
                .open(bench.path("root/big"))
                .unwrap()
                .set_len(9)
                .unwrap();
        },
        |bench| {
            fs::set_permissions(bench.path("root/big"), fs::Permissions::from_mode(0o600)).unwrap();
        },
    ];
    for change in changes {
        let bench = Bench::new();
        bench.file("root/big", &big("a"), 0o644);
        until_the_clock_moves(&bench, "root/big");
        for layer in [json!({"dir": "root"}), json!({"file": "root/big"})] {
            let prepared = bench.prepare(layer).unwrap();
            prepared.write(&mut io::sink()).unwrap();
            let mut hook = Hook { seen: 0, act: Some(|| change(&bench)) };
            let error = prepared.write(&mut hook).unwrap_err();
            assert!(matches!(error, LayerError::Changed { .. }), "{error}");
            assert!(
                error.to_string().contains("root/big changed while it was packaged"),
                "{error}"
            );
            // The next one starts from the file as it was.
            bench.file("root/big", &big("a"), 0o644);
            until_the_clock_moves(&bench, "root/big");
        }
    }
}

#[test]
fn what_took_the_place_of_a_file_between_the_looks_is_an_error() {
    let swaps: [fn(&Bench); 6] = [
        |bench| fs::remove_file(bench.path("root/sub/file")).unwrap(),
        |bench| {
            fs::remove_file(bench.path("root/sub/file")).unwrap();
            bench.link("../../secret", "root/sub/file");
        },
        |bench| {
            fs::remove_file(bench.path("root/sub/file")).unwrap();
            fs::create_dir(bench.path("root/sub/file")).unwrap();
        },
        |bench| {
            fs::remove_file(bench.path("root/sub/file")).unwrap();
            let pipe = bench.path("root/sub/file");
            assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        },
        |bench| {
            // Another file with the same name, size and content.
            fs::write(bench.path("root/sub/new"), "secret").unwrap();
            fs::rename(bench.path("root/sub/new"), bench.path("root/sub/file")).unwrap();
        },
        |bench| {
            // A folder above it leads elsewhere.
            fs::rename(bench.path("root/sub"), bench.path("moved")).unwrap();
            bench.link("../moved", "root/sub");
        },
    ];
    for swap in swaps {
        let bench = Bench::new();
        bench.file("root/sub/file", "secret", 0o644);
        bench.file("secret", "secret", 0o644);
        let prepared = bench.prepare(json!({"dir": "root"})).unwrap();
        swap(&bench);
        let error = prepared.write(&mut io::sink()).unwrap_err();
        assert!(matches!(error, LayerError::Changed { .. }), "{error}");
    }
}

#[test]
fn a_full_disk_is_not_taken_for_a_file_that_cannot_be_read() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bench = Bench::new();
    bench.file("root/file", "x", 0o644);
    let prepared = bench.prepare(json!({"dir": "root"})).unwrap();
    assert!(matches!(prepared.write(&mut Full), Err(LayerError::Write(_))));
}
