//! `make bench-store`: the store's figures against targets, as a table. `--quick` runs every
//! measurement with small sizes as a smoke test.
//!
//! `store.rs` (criterion) has the claims for statistics; here are the claims about gigabytes, a
//! separate process, or the disk. Figures go to standard output; there is no output on progress.

mod bed;
mod churn;
mod growth;
mod ingest;
mod reading;

use std::process::ExitCode;

use bed::{Row, Scale};

/// A group of measurements; it gives each row as soon as it has it.
type Part = fn(Scale, &mut dyn FnMut(Row));

/// Growth comes first: it measures the memory of processes forked from this one.
const PARTS: [(&str, Part); 7] = [
    ("growth", growth::growth),
    ("ingest", ingest::verified),
    ("first", reading::after_ingest),
    ("read", reading::warm_and_hot),
    ("many", ingest::many_at_once),
    ("churn", churn::churn),
    ("border", ingest::border),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [growth::CHILD, folder, blobs] = words.as_slice() {
        print(&growth::child(folder, blobs));
        return ExitCode::SUCCESS;
    }
    let scale = if words.contains(&"--quick") { Scale::Quick } else { Scale::Full };
    words.retain(|word| *word != "--quick");
    if let Some(unknown) = words.iter().find(|word| !PARTS.iter().any(|(name, _)| name == *word)) {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        print(&format!("no part {unknown}; usage: bench-store [--quick] [{}]...", names.join("|")));
        return ExitCode::from(2);
    }
    print(&format!("machine: {}", wharf_benches::machine()));
    print(&bed::header());
    for (name, part) in PARTS {
        if words.is_empty() || words.contains(&name) {
            part(scale, &mut |row| print(&row.to_string()));
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn print(line: &str) {
    println!("{line}");
}
