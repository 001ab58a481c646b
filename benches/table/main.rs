//! `make bench-store`: what the store does, as a table of figures against targets. `--quick` runs
//! every measurement with small sizes, to see that it works.
//!
//! Claims that a statistic suits are in `store.rs` (criterion); here are those that take gigabytes,
//! a process of their own, or the disk. Figures go to standard output, a word on progress nowhere.

mod bed;
mod churn;
mod growth;
mod ingest;
mod reading;

use std::process::ExitCode;

use bed::{Row, Scale};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => all(Scale::Full),
        ["--quick"] => all(Scale::Quick),
        [growth::CHILD, folder, blobs] => print(&growth::child(folder, blobs)),
        _ => {
            print("usage: bench-store [--quick]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// A group of measurements; it gives each row as soon as it has it.
type Part = fn(Scale, &mut dyn FnMut(Row));

fn all(scale: Scale) {
    print(&format!("machine: {}", wharf_benches::machine()));
    print(&bed::header());
    // Growth first: it measures the memory of processes that are forked from this one.
    let parts: [Part; 7] = [
        growth::growth,
        ingest::verified,
        reading::after_ingest,
        reading::warm_and_hot,
        ingest::many_at_once,
        churn::churn,
        ingest::border,
    ];
    for part in parts {
        part(scale, &mut |row| print(&row.to_string()));
    }
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn print(line: &str) {
    println!("{line}");
}
