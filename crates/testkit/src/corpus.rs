//! Replays the corpora of the fuzz targets, so that every test run checks the inputs that the fuzzers have found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Inputs that take longer are a fault of the parser. The limit allows for the build
/// of the tests, which is not optimised, and for a slow machine.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs a target with every input in `fuzz/corpus/TARGET`, and in
/// `fuzz/found/TARGET`, which contains the inputs of corrected faults.
///
/// # Panics
/// If the corpus is missing, or an input panics or takes too long.
pub fn replay(target: &str, run: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let corpus = inputs(&fuzz.join("corpus").join(target));
    assert!(!corpus.is_empty(), "{target} has no corpus");
    for file in corpus
        .into_iter()
        .chain(inputs(&fuzz.join("found").join(target)))
    {
        let input = std::fs::read(&file).expect("an input is readable");
        let start = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| run(&input)));
        assert!(done.is_ok(), "{} fails, see above", file.display());
        let took = start.elapsed();
        assert!(took < LIMIT, "{} took {took:?}", file.display());
    }
}

fn inputs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    files.sort();
    files
}
