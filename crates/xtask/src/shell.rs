//! Paths of the checkout, and running other programs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The checkout, which contains the manifest of the workspace. It is determined at run
/// time, because checkouts with the same target directory share this program, which may
/// have been compiled in another one.
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors().nth(2).unwrap_or(&here).to_path_buf()
}

/// Cargo's target directory, which `./x` may have moved out of the checkout.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// State directory of the developer's server.
pub fn state_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("JEROBOAM_STATE") {
        return PathBuf::from(dir);
    }
    home().join(".local/share/jeroboam")
}

/// Directory of caches that are kept when a checkout is deleted.
pub fn cache_dir() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| home().join(".cache"));
    base.join("jeroboam")
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from)
}

/// A command that runs in the checkout.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Runs a program with our output; a non-zero exit is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("+ {shown}");
    let status = command
        .status()
        .with_context(|| format!("{shown} does not start"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Returns the trimmed standard output; a non-zero exit is an error with its
/// standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{shown} does not start"))?;
    if !out.status.success() {
        bail!(
            "{shown}: {}\n{}{}",
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// `./x build`: builds server, agent and runtime, with the release profile unless `--debug`.
pub fn build(args: &[String]) -> Result<()> {
    let debug = args.iter().any(|a| a == "--debug");
    let mut cargo = command(
        "cargo",
        &[
            "build", "--locked", "-p", "jeroboam", "-p", "node", "-p", "runtime",
        ],
    );
    if !debug {
        cargo.arg("--release");
    }
    run(&mut cargo)?;
    println!("{}", binary(debug).display());
    Ok(())
}

/// The path of the server's binary in a profile.
pub fn binary(debug: bool) -> PathBuf {
    target()
        .join(if debug { "debug" } else { "release" })
        .join("jeroboam")
}
