//! The results of a run: a table of durations and the closing lines.

use std::fmt::Write as _;

use super::jobs::{Job, Kind};
use super::run::{Count, Outcome, Runner};

/// Results in the order in which they are reported.
#[derive(Debug, Default)]
pub struct Report {
    outcomes: Vec<Outcome>,
    /// Names of the tests and jobs that failed at first and passed when repeated.
    flaky: Vec<String>,
    repeats: Vec<Outcome>,
}

impl Report {
    pub fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    pub fn extend(&mut self, outcomes: Vec<Outcome>) {
        self.outcomes.extend(outcomes);
    }

    /// The result of a job if it failed and has to be repeated.
    fn failure_of(&self, job: &Job) -> Option<Outcome> {
        self.outcomes
            .iter()
            .find(|o| o.name == job.name && o.kind != Kind::Step && o.has_failed())
            .cloned()
    }

    /// Records the result of a repeat, which replaces that of the repeated tests.
    fn merge(&mut self, second: &Outcome) {
        self.repeats.push(second.clone());
        let Some(first) = self.outcomes.iter_mut().find(|o| o.name == second.name) else {
            return;
        };
        if first.failed_tests.is_empty() {
            first.count = second.count;
            if !second.has_failed() {
                self.flaky.push(first.name.clone());
            }
            return;
        }
        // A repeat that was interrupted has no result for the tests.
        if second.has_failed() && second.failed_tests.is_empty() {
            return;
        }
        // Where tests depend on each other, those that had passed were repeated, too.
        let all = first.count.passed + first.count.failed;
        let failed = second.count.failed;
        let passed = all.saturating_sub(failed).max(second.count.passed);
        first.count = Count { passed, failed };
        let passed = |test: &&String| !second.failed_tests.contains(*test);
        self.flaky
            .extend(first.failed_tests.iter().filter(passed).cloned());
    }

    /// Runs once more the tests that failed, and a job that was interrupted as a
    /// whole.
    pub fn repeat_failed(&mut self, runner: &Runner, jobs: &[Job]) {
        for job in jobs {
            let Some(first) = self.failure_of(job) else {
                continue;
            };
            let second = runner.run(job, &first.failed_tests, ", repeated");
            self.merge(&second);
        }
    }

    /// The names of the jobs that make the run fail.
    pub fn failed_names(&self) -> Vec<String> {
        let failed = self.outcomes.iter().filter(|o| o.has_failed());
        failed.map(|o| o.name.clone()).collect()
    }

    pub fn print(&self) {
        print!("{}", self.text());
    }

    /// The report as a text. Its last line begins with `N passed, M failed`, which CI
    /// reads.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("\n seconds  lane     result                   name\n");
        let repeats = self.repeats.iter().map(|o| (o, ", repeated"));
        for (outcome, suffix) in self.outcomes.iter().map(|o| (o, "")).chain(repeats) {
            let result = match outcome.kind {
                Kind::Step if outcome.has_failed() => "FAILED".to_owned(),
                Kind::Step => "ok".to_owned(),
                _ => show(outcome.count),
            };
            let (seconds, lane) = (outcome.seconds, outcome.lane.as_str());
            writeln!(
                text,
                "{seconds:8.1}  {lane:<7}  {result:<23}  {}{suffix}",
                outcome.name
            )
            .ok();
        }
        for name in &self.flaky {
            writeln!(text, "FLAKY {name}").ok();
        }
        let total = self.total();
        writeln!(text, "{}, {} flaky", show(total), self.flaky.len()).ok();
        text
    }

    fn total(&self) -> Count {
        self.outcomes.iter().fold(Count::default(), |sum, o| Count {
            passed: sum.passed + o.count.passed,
            failed: sum.failed + o.count.failed,
        })
    }
}

fn show(count: Count) -> String {
    format!("{} passed, {} failed", count.passed, count.failed)
}
