//! The table of `make bench-store` runs to its end with small sizes. This test ignores the speed.

use std::process::Command;

#[test]
fn the_quick_table_has_every_row() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-store")).arg("--quick").output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{table}\n{errors}");
    let expected = [
        "cores",
        "verified ingest against hashing alone",
        "warm read, whole",
        "warm read, ranges",
        "hot read",
        "first read after ingest",
        "32 at once",
        "churn, write amplification",
        "churn, most on disk",
        "border, 8 segments",
        "blobs, open",
        "blobs, look-up",
        "blobs, resident memory",
    ];
    for what in expected {
        assert!(table.contains(what), "no row says {what:?}:\n{table}");
    }
}
