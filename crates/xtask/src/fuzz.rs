//! `./x fuzz` runs libFuzzer on the parsers of external input. The targets are
//! functions in `fuzz.rs` of the crates that they test. Their corpora are in
//! `fuzz/corpus`, and `./x test` replays them.
//!
//! The targets are built with the stable compiler of the workspace. `fuzz/rustc.sh`
//! adds coverage counters by LLVM flags. There are no sanitizers, because they need a
//! nightly compiler. Overflow checks and debug assertions are enabled.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell;

const USAGE: &str = "usage: ./x fuzz [TARGET...] [--seconds N] [--merge]

  TARGET       a folder of fuzz/corpus; default: each of them, one after another
  --seconds N  seconds per target; default 120
  --merge      afterwards adds a minimal set of the inputs that reached new code to
               fuzz/corpus";

/// Default number of seconds per target.
const DEFAULT_SECONDS: u32 = 120;
/// Number of seconds per target in `./x test --long`.
const LONG_SECONDS: u32 = 600;
/// Maximum length of an input in bytes, and the time in seconds and the memory in MiB
/// that a target may use for one input.
const LIMITS: [&str; 3] = ["-max_len=65536", "-timeout=5", "-rss_limit_mb=2048"];

struct Options {
    targets: Vec<String>,
    seconds: u32,
    merge: bool,
}

pub fn fuzz(args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let binary = build()?;
    let mut failed = Vec::new();
    for target in &options.targets {
        println!("== fuzz {target}");
        if let Err(e) = run(&binary, target, options.seconds) {
            eprintln!("{e:#}");
            failed.push(target.as_str());
        } else if options.merge {
            merge(&binary, target)?;
        }
    }
    if !failed.is_empty() {
        bail!("fuzz: {} failed", failed.join(", "));
    }
    println!("fuzz: {} targets passed", options.targets.len());
    Ok(())
}

/// Runs all targets for a longer time, for `./x test --long`.
pub fn long() -> Result<()> {
    fuzz(&["--seconds".to_owned(), LONG_SECONDS.to_string()])
}

fn parse(args: &[String]) -> Result<Options> {
    let known = targets()?;
    let mut options = Options {
        targets: Vec::new(),
        seconds: DEFAULT_SECONDS,
        merge: false,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => {
                let given = args.next().context("--seconds N")?;
                options.seconds = given.parse().context("--seconds: a whole number")?;
            }
            "--merge" => options.merge = true,
            name if known.iter().any(|k| k == name) => options.targets.push(name.to_owned()),
            other => bail!(
                "unknown target or option {other}\n{USAGE}\n\ntargets: {}",
                known.join(", ")
            ),
        }
    }
    if options.targets.is_empty() {
        options.targets = known;
    }
    Ok(options)
}

fn corpora() -> PathBuf {
    shell::root().join("fuzz/corpus")
}

fn targets() -> Result<Vec<String>> {
    let entries = std::fs::read_dir(corpora()).context("fuzz/corpus")?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// The build directory, which is separate from that of ordinary builds, because the
/// compiler flags differ.
fn build_dir() -> PathBuf {
    shell::target().join("fuzz")
}

fn build() -> Result<PathBuf> {
    // With `--target`, cargo compiles build scripts and procedural macros separately
    // from the targets, so that they get no counters.
    let host = shell::output(&mut shell::command("rustc", &["--print", "host-tuple"]))?;
    let manifest = ["--manifest-path", "fuzz/Cargo.toml", "--target", &host];
    let mut cargo = shell::command("cargo", &["build", "--release", "--locked"]);
    cargo
        .args(manifest)
        .env("CARGO_TARGET_DIR", build_dir())
        .env("RUSTC_WRAPPER", shell::root().join("fuzz/rustc.sh"));
    shell::run(&mut cargo)?;
    Ok(build_dir().join(host).join("release/jeroboam-fuzz"))
}

/// The directory of the inputs that earlier runs on this machine have found.
fn found_inputs(target: &str) -> Result<PathBuf> {
    let dir = build_dir().join("corpus").join(target);
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(dir)
}

fn fuzzer(binary: &Path, target: &str) -> Command {
    let mut command = Command::new("nice");
    command
        .arg("-n10")
        .arg(binary)
        .current_dir(shell::root())
        .env("JEROBOAM_FUZZ_TARGET", target);
    command
}

fn run(binary: &Path, target: &str, seconds: u32) -> Result<()> {
    let failures = build_dir().join("failures");
    std::fs::create_dir_all(&failures)?;
    let mut command = fuzzer(binary, target);
    command
        .arg(found_inputs(target)?)
        .arg(corpora().join(target))
        .args(LIMITS)
        .arg(format!("-max_total_time={seconds}"))
        .arg("-len_control=20")
        .arg("-print_final_stats=1")
        .arg(format!("-artifact_prefix={}/{target}-", failures.display()));
    let dictionary = shell::root().join("fuzz/dictionaries").join(target);
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    shell::run(&mut command).with_context(|| {
        format!(
            "{target} failed; the input is in {}: copy it to fuzz/found/{target}",
            failures.display()
        )
    })
}

fn merge(binary: &Path, target: &str) -> Result<()> {
    let mut command = fuzzer(binary, target);
    command
        .arg("-merge=1")
        .args(LIMITS)
        .arg(corpora().join(target))
        .arg(found_inputs(target)?);
    shell::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_seconds_are_parsed() {
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let all = parse(&[]).unwrap();
        assert!(all.seconds == DEFAULT_SECONDS && all.targets.len() > 10);
        let one = parse(&words("yaml --seconds 5 --merge")).unwrap();
        assert!(one.merge && one.seconds == 5 && one.targets == ["yaml"]);
        assert!(parse(&words("nothing")).is_err());
        assert!(parse(&words("--seconds")).is_err());
    }

    /// A target without a corpus would never run, and a corpus without a target
    /// would fail.
    #[test]
    fn each_target_of_the_binary_has_a_corpus() {
        let main = std::fs::read_to_string(shell::root().join("fuzz/src/main.rs")).unwrap();
        let named: Vec<&str> = main
            .lines()
            .filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next())
            .collect();
        assert_eq!(named, targets().unwrap());
    }
}
