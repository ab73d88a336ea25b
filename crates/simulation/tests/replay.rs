//! A seed gives a reproducible run.

use simulation::{Options, run};

#[test]
fn a_seed_repeats_itself_and_others_differ() {
    let first = run(3, Options::default());
    assert_eq!(first.verdict, Ok(()));
    let again = run(3, Options::default());
    assert_eq!((again.digest, again.events), (first.digest, first.events));
    assert_eq!(again.lines, first.lines);
    assert_ne!(run(4, Options::default()).digest, first.digest);
}
