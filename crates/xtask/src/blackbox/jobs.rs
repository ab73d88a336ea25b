//! The jobs of `./x test`, with their names, commands, lanes and timeouts.

use std::path::Path;
use std::process::Command;

use crate::{shell, sim};

pub const BUILD_TESTS: &[&str] = &["test", "--workspace", "--locked", "--no-run"];
pub const BUILD_SIMULATION: &[&str] = &[
    "build",
    "--locked",
    "-p",
    "simulation",
    "--bin",
    "jeroboam-sim",
];
pub const BUILD_IDLE_AGENTS: &[&str] = &[
    "build",
    "--locked",
    "-p",
    "jeroboam",
    "--example",
    "idle_agents",
];

/// The place of a job in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Needs the Docker engine.
    Engine,
    /// Needs the Docker engine, but waits most of the time, so it runs beside the others.
    Waiting,
    /// Needs no engine, and runs beside the other lane with lower priority.
    Light,
    /// Measures speed, so nothing runs beside it.
    Alone,
}

impl Lane {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Waiting => "waiting",
            Self::Light => "light",
            Self::Alone => "alone",
        }
    }
}

/// How the result of a job is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By the exit code. The job is neither counted nor repeated.
    Step,
    /// By the summary line, and by the lines that name failed tests, which are
    /// repeated.
    Pytest,
}

/// A file or a folder of tests with options of pytest.
pub struct Tests {
    line: &'static str,
    seconds: u32,
    lane: Lane,
}

impl Tests {
    pub fn name(&self) -> &'static str {
        self.line
    }

    pub fn needs_engine(&self) -> bool {
        self.lane != Lane::Light
    }
}

const fn engine(line: &'static str, seconds: u32) -> Tests {
    Tests {
        line,
        seconds,
        lane: Lane::Engine,
    }
}

const fn waiting(line: &'static str, seconds: u32) -> Tests {
    Tests {
        line,
        seconds,
        lane: Lane::Waiting,
    }
}

const fn light(line: &'static str, seconds: u32) -> Tests {
    Tests {
        line,
        seconds,
        lane: Lane::Light,
    }
}

const fn alone(line: &'static str, seconds: u32) -> Tests {
    Tests {
        line,
        seconds,
        lane: Lane::Alone,
    }
}

/// The order in each lane is the order of execution. Tests that check how
/// long something takes are at the end of the engine lane, when the shorter
/// light lane has ended.
pub const TESTS: &[Tests] = &[
    // Without the option, there are more requests for each route and caller.
    light("tests/api --schemathesis-cases=25", 1800),
    light("tests/conformance/test_tempest.py", 600),
    engine("tests/conformance/test_openstack_client.py", 1200),
    engine("tests/real/test_readme.py", 900),
    engine("tests/real/test_kubernetes.py", 900),
    engine("tests/real/test_kubernetes_failures.py", 600),
    engine("tests/real/test_conformance.py --sample", 900),
    engine("tests/real/test_addons.py", 600),
    engine("tests/real/test_labels.py", 300),
    engine("tests/real/test_flavours.py", 180),
    engine("tests/real/test_escape.py", 180),
    engine("tests/real/test_runtime.py", 300),
    engine("tests/real/test_engine.py", 600),
    waiting("tests/real/test_renewal.py", 600),
    engine("tests/real/test_crash.py", 1200),
    engine("tests/real/test_crash.py --coe kubernetes --moments 5", 900),
    engine("tests/real/test_masters.py", 900),
    engine("tests/real/test_truth.py", 600),
    light("tests/scale/test_simulated.py", 900),
    light("tests/scale/test_two_servers.py", 600),
    light("tests/scale/test_keys.py", 300),
    light(
        "tests/scale/test_idle_agents.py --agents 100 --made 100 --seconds 5",
        300,
    ),
    alone("tests/scale/test_slow_clients.py", 180),
    alone("tests/real/test_speed.py", 300),
];

/// A program that a run starts and waits for.
#[derive(Debug, Clone)]
pub struct Job {
    pub name: String,
    pub lane: Lane,
    pub kind: Kind,
    /// Program and arguments.
    words: Vec<String>,
    /// The arguments that select the tests; a repeat replaces them.
    targets: Vec<String>,
    variables: Vec<(String, String)>,
    seconds: Option<u32>,
}

/// Cargo's tests and checks. `cargo test` is first, because it may link another
/// variant of the server into cargo's directory, which `test_readme.py` uses later.
pub fn steps() -> Vec<Job> {
    vec![
        step(
            "cargo test",
            &["cargo", "test", "--workspace", "--locked", "--no-fail-fast"],
        ),
        step("check", &["cargo", "xtask", "check"]),
        step("sim", &sim::TEST),
    ]
}

fn step(name: &str, words: &[&str]) -> Job {
    Job {
        name: name.to_owned(),
        lane: Lane::Light,
        kind: Kind::Step,
        words: words.iter().map(|&w| w.to_owned()).collect(),
        targets: Vec::new(),
        variables: Vec::new(),
        seconds: None,
    }
}

impl Job {
    pub fn pytest(tests: &Tests, pytest: &Path, variables: Vec<(String, String)>) -> Self {
        let mut line = tests.line.split_whitespace().map(str::to_owned);
        let path = line.next().unwrap_or_default();
        let mut words = vec![pytest.to_string_lossy().into_owned()];
        words.extend(["-v", "-p", "no:cacheprovider", "--rootdir=."].map(str::to_owned));
        words.extend(line);
        let results = shell::target().join("blackbox").join(file_name(tests.line));
        Self {
            name: tests.line.to_owned(),
            lane: tests.lane,
            kind: Kind::Pytest,
            words,
            // The file is one of the targets, so that a repeat does not overwrite it.
            targets: vec![format!("--junitxml={}.xml", results.display()), path],
            variables,
            seconds: Some(tests.seconds),
        }
    }

    /// The command, with a timeout and a priority; `only` replaces the targets
    /// unless it is empty.
    pub fn command(&self, only: &[String]) -> Command {
        let mut words: Vec<String> = Vec::new();
        if let Some(seconds) = self.seconds {
            // KILL follows 120 s after TERM, so that a test can remove its server and
            // clusters.
            words.extend(["timeout", "-k", "120"].map(str::to_owned));
            words.push(seconds.to_string());
        }
        if self.lane == Lane::Light {
            words.extend(["nice", "-n", "10"].map(str::to_owned));
        }
        words.extend(self.words.iter().cloned());
        let targets = if only.is_empty() {
            self.targets.as_slice()
        } else {
            only
        };
        words.extend(targets.iter().cloned());
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .current_dir(shell::root())
            .envs(self.variables.clone());
        command
    }
}

/// The name of a job as a file name.
pub fn file_name(job: &str) -> String {
    job.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect()
}

#[cfg(test)]
impl Job {
    /// A job that runs a shell script, for tests of the lanes.
    pub fn shell(name: &str, kind: Kind, script: &str) -> Self {
        Self {
            kind,
            targets: vec![script.to_owned()],
            ..step(name, &["sh", "-c"])
        }
    }

    pub fn with_timeout(self, seconds: u32) -> Self {
        Self {
            seconds: Some(seconds),
            ..self
        }
    }

    pub fn in_lane(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }
}
