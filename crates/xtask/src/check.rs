//! `./x check` and `./x tidy`.

use std::process::Stdio;

use anyhow::{Result, bail};

use crate::{edges, shell, tidy};

/// Reports violations of the code rules and of the edges on stdout; warnings do not fail.
pub fn tidy() -> Result<()> {
    let mut failures = 0usize;
    let mut warnings = 0usize;
    for f in tidy::scan(&shell::root())? {
        let level = if f.warning { "warning" } else { "error" };
        println!("{level}: {}:{}: [{}] {}", f.path, f.line, f.rule, f.message);
        *(if f.warning {
            &mut warnings
        } else {
            &mut failures
        }) += 1;
    }
    for wrong in edges::check()? {
        println!("error: [edges] {wrong}");
        failures += 1;
    }
    let plan = shell::root().join("ARCHITECTURE.md");
    let lines = std::fs::read_to_string(plan)
        .map(|t| t.lines().count())
        .unwrap_or(0);
    if lines == 0 || lines > 400 {
        println!("error: [docs] ARCHITECTURE.md has {lines} lines, 1 to 400 are allowed");
        failures += 1;
    }
    println!("tidy: {failures} errors, {warnings} warnings");
    if failures > 0 {
        bail!("the code rules are violated in {failures} places");
    }
    Ok(())
}

/// Runs all checks that need no server, and reports the failures at the end.
pub fn check(args: &[String]) -> Result<()> {
    let full = args.iter().any(|a| a == "--full");
    let mut failed = Vec::new();
    let mut step = |name: &str, done: Result<()>| {
        println!(
            "check {name}: {}",
            if done.is_ok() { "ok" } else { "FAILED" }
        );
        if let Err(e) = done {
            eprintln!("{e:#}");
            failed.push(name.to_owned());
        }
    };
    step(
        "fmt",
        shell::run(&mut shell::command("cargo", &["fmt", "--all", "--check"])),
    );
    step(
        "clippy",
        shell::run(&mut shell::command(
            "cargo",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
        )),
    );
    step("tidy", tidy());
    step("deny", deny(full));
    step("fuzz", fuzz_lock());
    if !failed.is_empty() {
        bail!("check: {} failed", failed.join(", "));
    }
    Ok(())
}

/// Checks that the lock file of the fuzz targets fits the dependencies of the crates
/// that they use. The targets are a separate workspace, which is not built here.
fn fuzz_lock() -> Result<()> {
    let manifest = ["--manifest-path", "fuzz/Cargo.toml", "--depth", "0"];
    let mut tree = shell::command("cargo", &["tree", "--locked", "--quiet"]);
    shell::output(tree.args(manifest)).map(|_| ())
}

/// Checks bans, licences and sources. Advisories are not checked, because that needs
/// the network.
fn deny(full: bool) -> Result<()> {
    let has = shell::command("cargo", &["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !has {
        if !full {
            println!(
                "check deny: skipped, cargo-deny is not installed (./x check --full installs it)"
            );
            return Ok(());
        }
        shell::run(&mut shell::command(
            "cargo",
            &["install", "cargo-deny", "--locked"],
        ))?;
    }
    println!(
        "check deny: advisories are not checked here; `cargo deny check advisories` does it with the network"
    );
    shell::run(&mut shell::command(
        "cargo",
        &["deny", "check", "bans", "licenses", "sources"],
    ))
}
