use super::*;
use crate::blackbox::jobs;
use crate::blackbox::report::Report;

fn runner(name: &str) -> Runner {
    let directory = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
    std::fs::remove_dir_all(&directory).ok();
    Runner::new(directory).unwrap()
}

fn script(name: &str, text: &str) -> Job {
    Job::shell(name, Kind::Pytest, text)
}

fn counted(passed: u32, failed: u32) -> Count {
    Count { passed, failed }
}

/// Runs the jobs and repeats what failed.
fn report(runner: &Runner, jobs: &[Job]) -> Report {
    let mut report = Report::default();
    report.extend(runner.run_all(jobs));
    report.repeat_failed(runner, jobs);
    report
}

#[test]
fn a_summary_line_is_read_and_others_are_not() {
    assert_eq!(summary("12 passed, 1 failed"), Some(counted(12, 1)));
    assert_eq!(summary("passed, failed"), None);
    assert_eq!(summary("12 passed"), None);
    assert_eq!(summary("1 failed, 12 passed in 3.21s"), None);
}

#[test]
fn a_job_counts_by_its_last_summary_and_fails_without_one() {
    let runner = runner("count");
    let count = |text: &str| runner.run(&script("count", text), &[], "").count;
    assert_eq!(
        count("echo 1 passed, 0 failed; echo 5 passed, 2 failed"),
        counted(5, 2)
    );
    assert_eq!(count("echo 3 passed, 0 failed >&2"), counted(3, 0));
    assert_eq!(count("echo 3 passed, 0 failed; exit 4"), counted(3, 1));
    assert_eq!(count("true"), counted(0, 1));
    let late = script("late", "sleep 30; echo 1 passed, 0 failed").with_timeout(1);
    assert_eq!(runner.run(&late, &[], "").count, counted(0, 1));
}

#[test]
fn a_missing_pytest_is_a_failure() {
    let runner = runner("missing");
    let job = Job::pytest(
        &jobs::TESTS[0],
        Path::new("/nonexistent/pytest"),
        Vec::new(),
    );
    let outcome = runner.run(&job, &[], "");
    assert_eq!(outcome.count, counted(0, 1));
    assert!(outcome.failed_tests.is_empty());
}

#[test]
fn a_step_counts_by_its_exit_code() {
    let runner = runner("step");
    let step = |text: &str| runner.run(&Job::shell("step", Kind::Step, text), &[], "");
    assert!(!step("echo 1 passed, 1 failed").has_failed());
    assert!(step("exit 1").has_failed());
}

/// Each lane waits for the next one to have started.
#[test]
fn the_lanes_run_at_the_same_time_and_jobs_of_a_lane_in_turn() {
    let runner = runner("lanes");
    let at = runner.directory().display();
    let meet = |own: &str, other: &str| {
        format!(
            "touch {at}/{own}; for i in $(seq 1000); do \
             [ ! -e {at}/{other} ] || {{ echo 1 passed, 0 failed; exit 0; }}; sleep 0.02; done"
        )
    };
    let engine = [
        script("engine-1", &meet("a", "b")).in_lane(Lane::Engine),
        script("engine-2", "echo 2 passed, 0 failed").in_lane(Lane::Engine),
    ];
    let waiting = [script("waiting-1", &meet("b", "c")).in_lane(Lane::Waiting)];
    let light = [script("light-1", &meet("c", "a"))];
    let outcomes = runner.run_lanes(Some(|| Ok(())), &engine, &waiting, &light);
    let names: Vec<&str> = outcomes.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["engine-1", "engine-2", "waiting-1", "light-1"]);
    assert!(outcomes.iter().all(|o| !o.has_failed()));
}

#[test]
fn without_images_the_light_lane_still_runs() {
    let runner = runner("images");
    let engine = [script("engine", "echo 9 passed, 0 failed").in_lane(Lane::Engine)];
    let waiting = [script("waiting", "echo 9 passed, 0 failed").in_lane(Lane::Waiting)];
    let light = [script("light", "echo 1 passed, 0 failed")];
    let outcomes = runner.run_lanes(Some(|| anyhow::bail!("no base")), &engine, &waiting, &light);
    let shown: Vec<(&str, Count)> = outcomes
        .iter()
        .map(|o| (o.name.as_str(), o.count))
        .collect();
    assert_eq!(
        shown,
        [("node images", counted(0, 1)), ("light", counted(1, 0))]
    );
}

#[test]
fn a_job_that_passes_when_repeated_is_flaky() {
    let runner = runner("flaky");
    let mark = runner.directory().join("mark");
    let mark = mark.display();
    let jobs = [
        script("sound", "echo 4 passed, 0 failed"),
        script(
            "flaky",
            &format!(
                "[ -e {mark} ] && echo 3 passed, 0 failed && exit; touch {mark}; echo 2 passed, 1 failed; exit 1"
            ),
        ),
        script("broken", "echo 1 passed, 2 failed; exit 1"),
    ];
    let report = report(&runner, &jobs);
    assert_eq!(report.failed_names(), ["broken"]);
    let text = report.text();
    assert!(
        text.ends_with("\nFLAKY flaky\n8 passed, 2 failed, 1 flaky\n"),
        "{text}"
    );
    assert!(
        text.contains("broken, repeated\n") && !text.contains("sound, repeated"),
        "{text}"
    );
    let first = std::fs::read_to_string(runner.directory().join("flaky.log")).unwrap();
    assert!(first.starts_with("2 passed, 1 failed\n"), "{first}");
}

#[test]
fn a_step_is_not_repeated() {
    let runner = runner("steps");
    let report = report(&runner, &[Job::shell("cargo test", Kind::Step, "exit 1")]);
    assert_eq!(report.failed_names(), ["cargo test"]);
    let text = report.text();
    assert!(text.ends_with("\n0 passed, 1 failed, 0 flaky\n"), "{text}");
    assert!(!text.contains("repeated"), "{text}");
}

#[test]
fn tests_of_pytest_that_failed_are_named_before_the_summary() {
    let text = "failed: output of a test\nx\nfailed: a.py::b[c d]\nfailed: a.py::e\n7 passed, 2 failed\n2 failed, 7 passed in 1.00s\n";
    assert_eq!(
        failed_tests(Kind::Pytest, Some(1), text),
        ["a.py::b[c d]", "a.py::e"]
    );
    // It was interrupted, so there are tests that did not run.
    assert!(failed_tests(Kind::Pytest, Some(2), text).is_empty());
    assert!(failed_tests(Kind::Step, Some(1), text).is_empty());
}

/// The repeat runs also the tests of the group that had passed.
#[test]
fn tests_that_depend_on_each_other_are_counted_once() {
    let runner = runner("group");
    let first = "echo 'failed: echo 4 passed, 0 failed'; echo '3 passed, 2 failed'; exit 1";
    let report = report(&runner, &[Job::shell("group", Kind::Pytest, first)]);
    let text = report.text();
    assert!(text.ends_with("\n5 passed, 0 failed, 1 flaky\n"), "{text}");
}

/// The targets of a repeat are the arguments of the first one: `sh -c COMMAND`.
#[test]
fn only_tests_of_pytest_that_failed_are_repeated() {
    let runner = runner("pytest");
    let first = "echo 'failed: echo 1 passed, 0 failed'; echo '5 passed, 1 failed'; exit 1";
    let report = report(&runner, &[Job::shell("tests/api", Kind::Pytest, first)]);
    assert!(report.failed_names().is_empty());
    let text = report.text();
    assert!(
        text.ends_with("FLAKY echo 1 passed, 0 failed\n6 passed, 0 failed, 1 flaky\n"),
        "{text}"
    );
}
