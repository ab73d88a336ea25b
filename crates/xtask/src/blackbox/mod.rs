//! `./x test` and `./x bench`: cargo's tests and checks and the black-box tests, in three
//! lanes. Jobs that need the Docker engine are in one lane, or in a second one if they wait
//! most of the time; all others are in a third one of lower priority. Within a lane one job
//! runs at a time. Then the jobs that measure speed run alone, and failed tests are
//! repeated.

mod jobs;
mod report;
mod run;
mod venv;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{fuzz, node_image, shell};
use jobs::{Job, Lane};
use report::Report;
use run::{Outcome, Runner};
pub use venv::venv;

/// The arguments of `./x test`.
struct Selection<'a> {
    level: &'a str,
    /// Only black-box tests with one of these words in their names.
    words: &'a [String],
}

impl Selection<'_> {
    fn has_steps(&self) -> bool {
        self.level != "blackbox"
    }

    fn includes(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|w| name.contains(w.as_str()))
    }

    fn needs_engine(&self) -> bool {
        let mut tests = jobs::TESTS.iter();
        tests.any(|s| s.needs_engine() && self.includes(s.name()))
    }
}

pub fn test(args: &[String]) -> Result<()> {
    if args == ["--long"] {
        return long();
    }
    let level = args.first().map_or("all", String::as_str);
    let words = args.get(1..).unwrap_or_default();
    match level {
        "quick" if words.is_empty() => quick(),
        "all" if words.is_empty() => all(&Selection { level, words }),
        "blackbox" => all(&Selection { level, words }),
        _ => bail!("test {}: quick, all or blackbox [WORD...]", args.join(" ")),
    }
}

/// Runs cargo's tests and checks one after the other, and shows their output at once.
fn quick() -> Result<()> {
    let mut failed = Vec::new();
    for step in jobs::steps() {
        if let Err(e) = shell::run(&mut step.command(&[])) {
            eprintln!("{}: {e:#}", step.name);
            failed.push(step.name);
        }
    }
    fail_with(&failed)
}

fn all(selection: &Selection) -> Result<()> {
    // If Kubernetes has to be compiled, this takes longest, so it begins first.
    let base = selection.needs_engine().then(kubernetes_base).transpose()?;
    let runner = Runner::new(shell::target().join("blackbox"))?;
    let mut report = Report::default();
    if selection.has_steps() {
        // The tests are built first, so that none of them waits for cargo's lock. A
        // failure is reported by the step `cargo test`.
        shell::run(&mut shell::command("cargo", jobs::BUILD_TESTS)).ok();
        shell::run(&mut shell::command("cargo", jobs::BUILD_SIMULATION)).ok();
    }
    match prepare(runner.directory(), selection.needs_engine()) {
        Ok(environment) => run_jobs(&environment, selection, base, &runner, &mut report),
        Err(e) => {
            report.add(Outcome::broken(
                "build of the black-box tests",
                Lane::Light,
                &e,
            ));
            if selection.has_steps() {
                report.extend(runner.run_all(&jobs::steps()));
            }
        }
    }
    report.print();
    fail_with(&report.failed_names())
}

fn fail_with(failed: &[String]) -> Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    bail!("test: {} failed", failed.join(", "))
}

fn run_jobs(
    environment: &TestEnvironment,
    selection: &Selection,
    base: Option<Child>,
    runner: &Runner,
    report: &mut Report,
) {
    let mut jobs = environment.jobs();
    jobs.retain(|job| selection.includes(&job.name));
    if jobs.is_empty() {
        let error = anyhow!("no black-box test has one of the words in its name");
        report.add(Outcome::broken("selection", Lane::Light, &error));
    }
    if selection.has_steps() {
        jobs.splice(0..0, jobs::steps());
    }
    // The sweep runs before any server starts, because it would treat the state
    // directory of a server that is being restarted as abandoned.
    let sweep = shell::root().join("tests/sweep.py");
    let python = environment.program("python");
    if let Err(e) = shell::run(environment.command(&python).arg(sweep)) {
        report.add(Outcome::broken("sweep", Lane::Engine, &e));
    }
    let of = |lane| -> Vec<Job> { jobs.iter().filter(|j| j.lane == lane).cloned().collect() };
    let (engine, waiting) = (of(Lane::Engine), of(Lane::Waiting));
    let (light, alone) = (of(Lane::Light), of(Lane::Alone));
    let make_images = base.map(|base| || images(base, &environment.bin));
    report.extend(runner.run_lanes(make_images, &engine, &waiting, &light));
    report.extend(runner.run_all(&alone));
    report.repeat_failed(runner, &jobs);
}

/// Waits for the parts of the Kubernetes node image, then builds the images.
fn images(mut base: Child, bin: &Path) -> Result<()> {
    let status = base.wait()?;
    if !status.success() {
        bail!("images/{{kubernetes,conformance}}/build.sh: {status}");
    }
    for coe in ["swarm", "kubernetes"] {
        node_image::build_if_changed(bin, coe)?;
    }
    Ok(())
}

/// Starts the long builds: the parts of the Kubernetes node image except the
/// agent, then the conformance tests and their images.
fn kubernetes_base() -> Result<Child> {
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

/// Runs only the speed test, with the release build.
pub fn bench(args: &[String]) -> Result<()> {
    shell::build(&[])?;
    let bin = shell::binary(false);
    for coe in ["swarm", "kubernetes"] {
        node_image::build_if_changed(&bin, coe)?;
    }
    let environment = TestEnvironment { bin, venv: venv()? };
    let pytest = environment.program("pytest");
    let speed = ["-v", "-p", "no:cacheprovider", "tests/real/test_speed.py"];
    shell::run(environment.command(&pytest).args(speed).args(args))
}

/// Runs the slow tests one after the other, each also if others fail.
fn long() -> Result<()> {
    let slow = [
        ("neighbours", neighbours()),
        ("runtime", runtime()),
        ("fuzz", fuzz::long()),
    ];
    let mut failed = Vec::new();
    for (name, result) in slow {
        if let Err(e) = result {
            eprintln!("{name}: {e:#}");
            failed.push(name.to_owned());
        }
    }
    fail_with(&failed)
}

/// Runs the test of clusters that use up the resources of the host, with clusters of
/// each kind as the attacking ones.
fn neighbours() -> Result<()> {
    let environment = prepare(&shell::target().join("blackbox"), true)?;
    for coe in ["swarm", "kubernetes"] {
        node_image::build_if_changed(&environment.bin, coe)?;
    }
    let pytest = environment.program("pytest");
    let test = [
        "-v",
        "-p",
        "no:cacheprovider",
        "tests/real/test_neighbours.py",
        "--attacker",
    ];
    for attacker in ["kubernetes", "swarm"] {
        shell::run(environment.command(&pytest).args(test).arg(attacker))?;
    }
    Ok(())
}

/// Runs the tests of the runtime with more moments at which the engine is killed, and
/// measures what a user namespace costs a node, with a release build of the runtime.
fn runtime() -> Result<()> {
    let build = ["build", "--release", "--locked", "-p", "runtime"];
    shell::run(&mut shell::command("cargo", &build))?;
    let environment = prepare(&shell::target().join("blackbox"), true)?;
    let pytest = environment.program("pytest");
    let options = ["-v", "-p", "no:cacheprovider"];
    let killed = ["tests/real/test_runtime.py", "--moments", "40"];
    shell::run(environment.command(&pytest).args(options).args(killed))?;
    let release = shell::target().join("release/jeroboam-runtime");
    let cost = ["tests/real/test_runtime_cost.py", "--runtime"];
    shell::run(
        environment
            .command(&pytest)
            .args(options)
            .args(cost)
            .arg(release),
    )
}

/// The environment of the black-box tests.
struct TestEnvironment {
    bin: PathBuf,
    venv: PathBuf,
}

/// Builds the programs under test, unless `JEROBOAM_BIN` names a server.
fn prepare(directory: &Path, needs_engine: bool) -> Result<TestEnvironment> {
    let bin = match std::env::var_os("JEROBOAM_BIN") {
        Some(bin) => std::path::absolute(bin)?,
        None => build(&directory.join("debug"))?,
    };
    // A named server may be of a release without this command.
    if needs_engine && std::env::var_os("JEROBOAM_BIN").is_none() {
        shell::run(Command::new(&bin).args(["host", "prepare"]))?;
    }
    Ok(TestEnvironment { bin, venv: venv()? })
}

/// Builds the programs and copies them into a directory, because `cargo test`, which
/// runs at the same time, may link another variant into cargo's directory.
fn build(copies: &Path) -> Result<PathBuf> {
    shell::build(&["--debug".to_owned()])?;
    // The program that runs the agents of a test in a separate process.
    shell::run(&mut shell::command("cargo", jobs::BUILD_IDLE_AGENTS))?;
    let bin = shell::binary(true);
    std::fs::create_dir_all(copies.join("examples"))?;
    for name in [
        "jeroboam",
        "jeroboam-node",
        "jeroboam-runtime",
        "examples/idle_agents",
    ] {
        let (from, to) = (bin.with_file_name(name), copies.join(name));
        // A server of an interrupted run may still execute the old file, which could
        // then not be overwritten.
        std::fs::remove_file(&to).ok();
        std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
    }
    Ok(copies.join("jeroboam"))
}

impl TestEnvironment {
    fn program(&self, name: &str) -> PathBuf {
        self.venv.join("bin").join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(shell::root()).envs(self.variables());
        command
    }

    fn variables(&self) -> Vec<(String, String)> {
        let path = |p: &Path| p.to_string_lossy().into_owned();
        vec![
            ("JEROBOAM_BIN".to_owned(), path(&self.bin)),
            ("JEROBOAM_VENV".to_owned(), path(&self.venv)),
            ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
        ]
    }

    /// The black-box tests, in the order of execution.
    fn jobs(&self) -> Vec<Job> {
        let pytest = self.program("pytest");
        let tests = jobs::TESTS.iter();
        tests
            .map(|tests| Job::pytest(tests, &pytest, self.variables()))
            .collect()
    }
}
