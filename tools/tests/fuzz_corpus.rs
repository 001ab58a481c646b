//! The corpora of the fuzz targets in `fuzz/tools`, replayed on the stable compiler through the very
//! functions that the targets call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(unreachable_pub, reason = "the acts are public for the crate of the fuzz targets")]

use std::path::Path;

/// What a target does with an input.
type Act = fn(&[u8]);

#[path = "../../fuzz/tools/src/acts.rs"]
mod acts;

#[test]
fn every_input_of_the_corpora_is_read_as_it_says() {
    let targets: [(&str, Act); 13] = [
        ("ar", acts::ar),
        ("archive", acts::archive),
        ("deb", acts::deb),
        ("descriptions", acts::descriptions),
        ("layer", acts::layer),
        ("links", acts::links),
        ("manifest", acts::manifest),
        ("offer", acts::offer),
        ("packages", acts::packages),
        ("rewriting", acts::rewriting),
        ("scan", acts::scan),
        ("tar", acts::tar),
        ("waivers", acts::waivers),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/tools/corpus");
    for (target, act) in targets {
        let files: Vec<_> = std::fs::read_dir(root.join(target)).unwrap().collect();
        assert!(files.len() >= 2, "no corpus for {target}");
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            act(&std::fs::read(path).unwrap());
        }
    }
}
