//! `./x sim`: the deterministic simulation.

use anyhow::Result;

use crate::shell;

/// Number of seeds that `./x test` runs.
const SEEDS: &str = "200";

/// Runs simulations with the release build, because many seeds take minutes.
pub fn sim(args: &[String]) -> Result<()> {
    run(&["--release"], args)
}

/// The simulations of `./x test`, with the build of the tests.
pub fn test() -> Result<()> {
    run(&[], &["--seeds".to_owned(), SEEDS.to_owned()])
}

fn run(profile: &[&str], args: &[String]) -> Result<()> {
    let mut cargo = shell::command("cargo", &["run", "--locked", "-q", "-p", "simulation"]);
    cargo
        .args(["--bin", "jeroboam-sim"])
        .args(profile)
        .arg("--")
        .args(args);
    shell::run(&mut cargo)
}
