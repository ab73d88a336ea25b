//! An ended simulation releases all resources, because thousands of them run in
//! one process.

use simulation::{Options, run};

/// The number of deleted files that this process has open.
fn open_deleted_files() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter(|name| name.to_string_lossy().ends_with("(deleted)"))
        .count()
}

#[test]
fn a_simulation_that_has_ended_keeps_no_file_open() {
    for seed in 0..6 {
        let outcome = run(seed, Options::default());
        assert_eq!(outcome.verdict, Ok(()));
        assert_eq!(open_deleted_files(), 0, "seed {seed}");
    }
}
