//! Runs jobs in lanes. The output of a job is written to a file and printed as
//! one block when the job ends.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::jobs::{Job, Kind, Lane, file_name};

/// The numbers of a summary line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u32,
    pub failed: u32,
}

/// The result of a job that ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub name: String,
    pub lane: Lane,
    pub kind: Kind,
    pub seconds: f64,
    pub count: Count,
    /// Node ids of the tests that failed, or of the module or class where its
    /// tests depend on each other; empty unless all tests were run.
    pub failed_tests: Vec<String>,
}

impl Outcome {
    /// The result of something that failed before it could run; prints the error.
    pub fn broken(name: &str, lane: Lane, error: &anyhow::Error) -> Self {
        eprintln!("{name}: {error:#}");
        Self {
            name: name.to_owned(),
            lane,
            // No job has this name, so nothing is repeated.
            kind: Kind::Pytest,
            seconds: 0.0,
            count: Count {
                passed: 0,
                failed: 1,
            },
            failed_tests: Vec::new(),
        }
    }

    pub fn has_failed(&self) -> bool {
        self.count.failed > 0
    }
}

/// Runs jobs, with a directory for their output.
pub struct Runner {
    directory: PathBuf,
}

impl Runner {
    pub fn new(directory: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        Ok(Self { directory })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs the lanes at the same time. The lanes with the engine begin with `images`; if
    /// that fails, none of their jobs runs.
    pub fn run_lanes(
        &self,
        images: Option<impl FnOnce() -> Result<()>>,
        engine: &[Job],
        waiting: &[Job],
        light: &[Job],
    ) -> Vec<Outcome> {
        std::thread::scope(|scope| {
            let light_lane = scope.spawn(|| self.run_all(light));
            let mut outcomes = match images.map_or(Ok(()), |make| make()) {
                Ok(()) => {
                    let waiting_lane = scope.spawn(|| self.run_all(waiting));
                    let mut outcomes = self.run_all(engine);
                    outcomes.extend(results(waiting_lane, Lane::Waiting));
                    outcomes
                }
                Err(e) => vec![Outcome::broken("node images", Lane::Engine, &e)],
            };
            outcomes.extend(results(light_lane, Lane::Light));
            outcomes
        })
    }

    /// Runs jobs one after the other.
    pub fn run_all(&self, jobs: &[Job]) -> Vec<Outcome> {
        jobs.iter().map(|job| self.run(job, &[], "")).collect()
    }

    /// Runs a job; `only` replaces its targets unless it is empty.
    pub fn run(&self, job: &Job, only: &[String], suffix: &str) -> Outcome {
        let begun = Instant::now();
        let log = file_name(&format!("{}{suffix}", job.name)) + ".log";
        let log = self.directory.join(log);
        println!("-- {}{suffix} starts, log in {}", job.name, log.display());
        let (code, text) = execute(job, only, &log)
            .unwrap_or_else(|e| (None, format!("{} does not run: {e:#}\n", job.name)));
        let seconds = begun.elapsed().as_secs_f64();
        let end = if code == Some(0) { "" } else { " FAILED" };
        let lane = job.lane.as_str();
        print_block(&format!(
            "== {}{suffix} ({lane} lane, {seconds:.1} s){end}\n{text}",
            job.name
        ));
        Outcome {
            name: job.name.clone(),
            lane: job.lane,
            kind: job.kind,
            seconds,
            count: count(job.kind, code, &text),
            failed_tests: failed_tests(job.kind, code, &text),
        }
    }
}

fn results(thread: ScopedJoinHandle<'_, Vec<Outcome>>, lane: Lane) -> Vec<Outcome> {
    thread.join().unwrap_or_else(|_| {
        let error = anyhow::anyhow!("the thread of the lane has panicked");
        vec![Outcome::broken(lane.as_str(), lane, &error)]
    })
}

/// Runs a job and returns its exit code and output. The output is written to a file,
/// because a background program that outlives the job would keep a pipe open.
fn execute(job: &Job, only: &[String], log: &Path) -> Result<(Option<i32>, String)> {
    let out = File::create(log)?;
    let status = job
        .command(only)
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .status()?;
    let mut text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !status.success() {
        text.push_str(&format!("ended with {status}\n"));
    }
    Ok((status.code(), text))
}

fn print_block(text: &str) {
    let mut out = std::io::stdout().lock();
    // An error is ignored, because the exit code contains the result, too.
    out.write_all(text.as_bytes()).ok();
    out.flush().ok();
}

/// A missing summary counts as a failure, because the job was interrupted.
fn count(kind: Kind, code: Option<i32>, text: &str) -> Count {
    let failure = Count {
        passed: 0,
        failed: 1,
    };
    let mut count = match kind {
        Kind::Step => Count::default(),
        Kind::Pytest => text.lines().rev().find_map(summary).unwrap_or(failure),
    };
    if code != Some(0) && count.failed == 0 {
        count.failed = 1;
    }
    count
}

/// The tests that are named as failed before the summary. Pytest ends with 1 if it
/// has run all tests and some failed; after another end a repeat has to run all.
fn failed_tests(kind: Kind, code: Option<i32>, text: &str) -> Vec<String> {
    if kind != Kind::Pytest || code != Some(1) {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().rposition(|line| summary(line).is_some());
    let mut failed: Vec<String> = lines[..end.unwrap_or(0)]
        .iter()
        .rev()
        .map_while(|line| line.strip_prefix("failed: "))
        .map(str::to_owned)
        .collect();
    failed.reverse();
    failed
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

#[cfg(test)]
mod tests;
