//! `./x test` and `./x bench`: cargo's tests, then the black-box tests, each a
//! Python script with a summary line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{check, demo, fuzz, shell, sim};

/// Scripts with arguments, in the order of execution, with their timeouts in
/// seconds.
const SCRIPTS: &[(&str, u32)] = &[
    ("tests/conformance/test_openstack_client.py", 1200),
    ("tests/real/readme.py", 900),
    ("tests/real/truth.py", 600),
    ("tests/real/host_root.py", 180),
    ("tests/real/masters.py", 900),
    ("tests/real/renewal.py", 600),
    ("tests/real/labels.py", 300),
    ("tests/real/flavours.py", 180),
    ("tests/real/crash.py", 1200),
    ("tests/real/kubernetes.py", 900),
    ("tests/real/kubernetes_failures.py", 600),
    ("tests/real/conformance.py --sample", 900),
    ("tests/real/addons.py", 600),
    ("tests/real/crash.py --coe kubernetes --moments 5", 900),
    ("tests/real/engine.py", 600),
    ("tests/scale/simulated.py", 900),
    ("tests/scale/two_servers.py", 600),
    (
        "tests/scale/idle_agents.py --agents 100 --made 100 --seconds 5",
        300,
    ),
    ("tests/scale/slow_clients.py", 180),
    ("tests/real/speed.py", 300),
];

pub fn test(args: &[String]) -> Result<()> {
    let long = args.iter().any(|a| a == "--long");
    let level = args.iter().find(|a| *a != "--long");
    let level = level.map_or("all", String::as_str);
    if long {
        return fuzz::long();
    }
    if !matches!(level, "quick" | "all" | "blackbox") {
        bail!("test {level}: quick, all or blackbox");
    }
    // Compiling Kubernetes takes longest, so it runs in parallel with our
    // tests.
    let base = (level != "quick").then(kubernetes_base).transpose()?;
    let mut failed = Vec::new();
    let mut note = |name: &str, done: Result<()>| {
        if let Err(e) = done {
            eprintln!("{name}: {e:#}");
            failed.push(name.to_owned());
        }
    };
    if level != "blackbox" {
        note(
            "cargo test",
            shell::run(&mut shell::command(
                "cargo",
                &["test", "--workspace", "--locked", "--no-fail-fast"],
            )),
        );
        note("check", check::check(&[]));
        note("sim", sim::test());
    }
    let mut count = Count::default();
    if let Some(mut base) = base {
        note(
            "Kubernetes and its conformance tests",
            match base.wait() {
                Ok(status) if status.success() => Ok(()),
                other => Err(anyhow::anyhow!(
                    "images/{{kubernetes,conformance}}/build.sh: {other:?}"
                )),
            },
        );
        match prepare() {
            Ok(environment) => {
                note(
                    "sweep",
                    shell::run(&mut environment.python(&shell::root().join("tests/sweep.py"))),
                );
                for (script, seconds) in SCRIPTS {
                    let one = environment.run(script, *seconds);
                    count.passed += one.passed;
                    count.failed += one.failed;
                    if one.failed > 0 {
                        note(script, Err(anyhow::anyhow!("{} failed", one.failed)));
                    }
                }
            }
            Err(e) => {
                count.failed += 1;
                note("black-box tests", Err(e));
            }
        }
        println!("{} passed, {} failed", count.passed, count.failed);
    }
    if !failed.is_empty() {
        bail!("test: {} failed", failed.join(", "));
    }
    Ok(())
}

/// Starts the long builds: the parts of the Kubernetes node image except the
/// agent, then the conformance tests and their images.
fn kubernetes_base() -> Result<std::process::Child> {
    Command::new("nice")
        .args([
            "sh",
            "-ec",
            "images/kubernetes/build.sh; images/conformance/build.sh",
        ])
        .current_dir(shell::root())
        .env("BASE_ONLY", "1")
        .env("JEROBOAM_CACHE", shell::cache_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("the build of the Kubernetes node image does not start")
}

/// Runs only the speed script, with the release build.
pub fn bench(args: &[String]) -> Result<()> {
    shell::build(&[])?;
    let environment = environment(false)?;
    let script = shell::root().join("tests/real/speed.py");
    shell::run(environment.python(&script).args(args))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u32,
    failed: u32,
}

/// The environment of the scripts.
struct TestEnvironment {
    bin: PathBuf,
    venv: PathBuf,
}

fn prepare() -> Result<TestEnvironment> {
    shell::build(&["--debug".to_owned()])?;
    // The agents of a test, in a separate process.
    let agents = [
        "build",
        "--locked",
        "-p",
        "jeroboam",
        "--example",
        "idle_agents",
    ];
    shell::run(&mut shell::command("cargo", &agents))?;
    environment(true)
}

fn environment(debug: bool) -> Result<TestEnvironment> {
    let bin = shell::binary(debug);
    for coe in ["swarm", "kubernetes"] {
        demo::image(&bin, coe)?;
    }
    Ok(TestEnvironment { bin, venv: venv()? })
}

impl TestEnvironment {
    fn python(&self, script: &Path) -> Command {
        let mut command = Command::new(self.venv.join("bin/python"));
        command
            .arg(script)
            .current_dir(shell::root())
            .env("JEROBOAM_BIN", &self.bin)
            .env("JEROBOAM_VENV", &self.venv)
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs a script, prints its output and parses the summary. A missing
    /// summary counts as a failure, because the script was interrupted.
    fn run(&self, script: &str, seconds: u32) -> Count {
        println!("== {script}");
        let mut words = script.split_whitespace();
        let mut python = self.python(&shell::root().join(words.next().unwrap_or_default()));
        python.args(words);
        // TERM first: the script removes its server and clusters.
        let mut command = Command::new("timeout");
        command
            .arg("-k")
            .arg("120")
            .arg(seconds.to_string())
            .arg(python.get_program())
            .args(python.get_args());
        for (key, value) in python.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        let said = command
            .current_dir(shell::root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .and_then(echo);
        let Ok((lines, success)) = said else {
            return Count {
                passed: 0,
                failed: 1,
            };
        };
        let mut count = lines
            .iter()
            .rev()
            .find_map(|l| summary(l))
            .unwrap_or(Count {
                passed: 0,
                failed: 1,
            });
        if !success && count.failed == 0 {
            count.failed = 1;
        }
        count
    }
}

/// Forwards the output line by line.
fn echo(mut child: std::process::Child) -> std::io::Result<(Vec<String>, bool)> {
    use std::io::{BufRead as _, BufReader};
    let mut lines = Vec::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line?;
            println!("{line}");
            lines.push(line);
        }
    }
    Ok((lines, child.wait()?.success()))
}

/// Parses `3 passed, 0 failed`.
fn summary(line: &str) -> Option<Count> {
    let (passed, rest) = line.trim().split_once(" passed, ")?;
    let failed = rest.strip_suffix(" failed")?;
    Some(Count {
        passed: passed.parse().ok()?,
        failed: failed.parse().ok()?,
    })
}

/// A Python environment with the OpenStack clients from PyPI, made once.
pub fn venv() -> Result<PathBuf> {
    let dir = shell::cache_dir().join("venv");
    let client = dir.join("bin/openstack");
    let stamp = dir.join("complete");
    if client.is_file() && stamp.is_file() {
        return Ok(dir);
    }
    println!(
        "installing the OpenStack clients from PyPI into {}",
        dir.display()
    );
    std::fs::create_dir_all(shell::cache_dir())?;
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
    shell::run(Command::new(dir.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "python-openstackclient",
        "python-magnumclient",
    ]))
    .context("pip; without PyPI the OpenStack clients cannot be installed")?;
    std::fs::write(stamp, "")?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_line_is_read_and_others_are_not() {
        assert_eq!(
            summary("12 passed, 1 failed"),
            Some(Count {
                passed: 12,
                failed: 1
            })
        );
        assert_eq!(summary("passed, failed"), None);
        assert_eq!(summary("12 passed"), None);
    }
}
