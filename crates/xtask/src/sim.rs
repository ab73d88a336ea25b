//! `./x sim`: the deterministic simulation.

use anyhow::Result;

use crate::shell;

/// The command that runs the simulations of `./x test`. It uses the debug profile, which
/// is built for the tests anyway.
pub const TEST: [&str; 11] = [
    "cargo",
    "run",
    "--locked",
    "-q",
    "-p",
    "simulation",
    "--bin",
    "jeroboam-sim",
    "--",
    "--seeds",
    "200",
];

/// Runs simulations with the release build, because many seeds take minutes.
pub fn sim(args: &[String]) -> Result<()> {
    let mut cargo = shell::command("cargo", &["run", "--locked", "-q", "-p", "simulation"]);
    cargo
        .args(["--bin", "jeroboam-sim", "--release", "--"])
        .args(args);
    shell::run(&mut cargo)
}
