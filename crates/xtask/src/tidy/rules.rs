//! One function per house rule. What a rule exempts stands in its table.

use super::source::Line;
use super::{File, Finding};

type Rule = fn(&File) -> Vec<Finding>;

pub const ALL: &[Rule] = &[
    length, header, names, sql, spawn, clock, no_unsafe, print, pure, env,
];

const WARN_LINES: usize = 400;
const FAIL_LINES: usize = 600;
const ROOT_LINES: usize = 80;

const BANNED: &[&str] = &[
    "common", "util", "utils", "helper", "helpers", "misc", "manager", "base",
];

/// The service crates: there a table has its room. The façade, the simulator
/// and the wiring have no resource of their own.
const SQL_CRATES: &[&str] = &[
    "identity",
    "network",
    "compute",
    "orchestration",
    "clusters",
];

/// `db` and `flow` own the tasks; the agent is a process of its own.
const SPAWN_EXEMPT: &[&str] = &["db", "flow", "node", "testkit", "xtask"];

/// Single files that a rule lets pass, with the reason.
const PASS: &[(&str, &str)] = &[
    // The page of a list, built once for all tables; only they call it.
    ("sql", "crates/clusters/src/listing.rs"),
    // Many rows in one statement, built once for all tables; only they call it.
    ("sql", "crates/orchestration/src/stack/batches.rs"),
    // The listener's task is not detached: its handle is awaited at the end.
    ("spawn", "crates/jeroboam/src/server/mod.rs"),
    // A call goes on in the simulated engine after its caller has died or was
    // timed out, and an event may come late.
    ("spawn", "crates/infra/src/sim/engine.rs"),
    // A call to another service takes place after its caller was timed out.
    ("spawn", "crates/simulation/src/delayed/mod.rs"),
    // The simulated users' tasks are not detached: their handles are awaited.
    ("spawn", "crates/simulation/src/run.rs"),
    // The simulator is a program: it prints verdicts and, on demand, a trace.
    ("print", "crates/simulation/src/run.rs"),
    ("print", "crates/simulation/src/trace.rs"),
];

const ENV_EXEMPT: &[&str] = &["jeroboam", "node", "testkit", "xtask"];

fn passes(file: &File, rule: &str) -> bool {
    PASS.contains(&(rule, file.path.as_str()))
}

fn finding(file: &File, line: usize, rule: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        path: file.path.clone(),
        line,
        rule,
        message: message.into(),
        warning: false,
    }
}

/// Lines of code that are no tests, with their numbers from 1.
fn production(file: &File) -> impl Iterator<Item = (usize, &Line)> {
    let lines = if file.test { &[][..] } else { &file.lines[..] };
    lines
        .iter()
        .enumerate()
        .filter(|(_, l)| !l.test)
        .map(|(i, l)| (i + 1, l))
}

/// `rule` fires on each production line that holds one of the words.
fn forbid(file: &File, words: &[&str], rule: &'static str, message: &str) -> Vec<Finding> {
    production(file)
        .filter_map(|(n, line)| {
            let word = words.iter().find(|w| has(&line.code, w))?;
            Some(finding(file, n, rule, format!("{word}: {message}")))
        })
        .collect()
}

/// Whether `word` stands in the code and not as the tail of a longer name.
fn has(code: &str, word: &str) -> bool {
    let starts_name = word.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        !starts_name || !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}

fn length(file: &File) -> Vec<Finding> {
    let lines = production(file)
        .filter(|(n, _)| *n <= file.text.lines().count())
        .count();
    let root = file.path.ends_with("/src/lib.rs");
    let mut found = Vec::new();
    if lines > FAIL_LINES {
        found.push(finding(
            file,
            0,
            "length",
            format!("{lines} lines without tests, at most {FAIL_LINES}"),
        ));
    } else if lines > WARN_LINES {
        let mut f = finding(
            file,
            0,
            "length",
            format!("{lines} lines without tests, better under {WARN_LINES}"),
        );
        f.warning = true;
        found.push(f);
    }
    if root && lines > ROOT_LINES {
        let mut f = finding(
            file,
            0,
            "length",
            format!("a crate root of {lines} lines, better under {ROOT_LINES}"),
        );
        f.warning = true;
        found.push(f);
    }
    found
}

fn header(file: &File) -> Vec<Finding> {
    let wants = matches!(file.name(), "lib.rs" | "main.rs" | "mod.rs") && !file.test;
    let first = file
        .text
        .lines()
        .find(|l| !l.trim().is_empty())
        .unwrap_or_default();
    if wants && !first.starts_with("//!") {
        return vec![finding(
            file,
            1,
            "header",
            "begins with a `//!` text that says what the module is for",
        )];
    }
    Vec::new()
}

fn names(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    for part in file.path.split('/').skip(1) {
        let stem = part.strip_suffix(".rs").unwrap_or(part);
        if BANNED.contains(&stem) {
            found.push(finding(
                file,
                0,
                "names",
                format!("`{stem}` says nothing; name the noun"),
            ));
        }
    }
    for (n, line) in file.lines.iter().enumerate() {
        let mut words = line
            .code
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|w| !w.is_empty());
        if words.any(|w| w == "mod")
            && let Some(name) = words.next().filter(|w| BANNED.contains(w))
        {
            found.push(finding(
                file,
                n + 1,
                "names",
                format!("`mod {name}` says nothing; name the noun"),
            ));
        }
    }
    found
}

fn sql(file: &File) -> Vec<Finding> {
    let room = file.name() == "table.rs"
        || file.name().ends_with("_table.rs")
        || file.path.contains("/table/")
        || matches!(file.name(), "schema.rs" | "migrations.rs");
    if room || passes(file, "sql") || !SQL_CRATES.contains(&file.krate.as_str()) {
        return Vec::new();
    }
    production(file)
        .filter(|(_, line)| line.strings.iter().any(|s| is_sql(s)))
        .map(|(n, _)| {
            finding(
                file,
                n,
                "sql",
                "SQL stands in table.rs (tables are made in schema.rs or migrations.rs)",
            )
        })
        .collect()
}

fn is_sql(text: &str) -> bool {
    let text = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_ascii_uppercase();
    let starts = |head: &str, then: &str| text.starts_with(head) && text.contains(then);
    starts("SELECT ", " FROM ")
        || starts("UPDATE ", " SET ")
        || [
            "INSERT INTO ",
            "DELETE FROM ",
            "CREATE TABLE ",
            "ALTER TABLE ",
            "DROP TABLE ",
            "CREATE INDEX ",
            "CREATE UNIQUE INDEX ",
        ]
        .iter()
        .any(|head| text.starts_with(head))
}

fn spawn(file: &File) -> Vec<Finding> {
    if passes(file, "spawn") || SPAWN_EXEMPT.contains(&file.krate.as_str()) {
        return Vec::new();
    }
    forbid(
        file,
        &[
            "tokio::spawn(",
            "tokio::task::spawn(",
            "task::spawn(",
            "thread::spawn(",
        ],
        "spawn",
        "a detached task; use the registry in `flow::Tasks`",
    )
}

fn clock(file: &File) -> Vec<Finding> {
    if file.path == "crates/kernel/src/clock.rs" || file.krate == "xtask" {
        return Vec::new();
    }
    forbid(
        file,
        &[
            "SystemTime::now",
            "Timestamp::now",
            "Zoned::now",
            "now_utc(",
            "Utc::now",
        ],
        "clock",
        "the wall clock is read in `kernel::clock` only",
    )
}

fn no_unsafe(file: &File) -> Vec<Finding> {
    forbid(
        file,
        &["unsafe {", "unsafe fn ", "unsafe impl ", "unsafe extern "],
        "unsafe",
        "not in this house",
    )
}

fn print(file: &File) -> Vec<Finding> {
    // The command line talks to people; the agent's console is its log; an
    // example is a program that somebody runs by hand.
    let cli = passes(file, "print")
        || file.krate == "xtask"
        || file.krate == "node"
        || file.path.contains("/examples/")
        || file.path.starts_with("crates/jeroboam/src/");
    if cli || matches!(file.name(), "main.rs" | "build.rs") {
        return Vec::new();
    }
    forbid(
        file,
        &["println!", "eprintln!", "print!", "eprint!", "dbg!"],
        "print",
        "log with `tracing`, print in the command line",
    )
}

/// Rooms and crates without I/O stay without async.
fn pure(file: &File) -> Vec<Finding> {
    let room = matches!(file.name(), "model.rs" | "plan.rs" | "wire.rs");
    if !room && !matches!(file.krate.as_str(), "kernel" | "lang") {
        return Vec::new();
    }
    forbid(
        file,
        &["async fn ", "async move", ".await"],
        "pure",
        "no async in this room",
    )
}

fn env(file: &File) -> Vec<Finding> {
    if ENV_EXEMPT.contains(&file.krate.as_str()) {
        return Vec::new();
    }
    forbid(
        file,
        &["env::var(", "env::var_os(", "env::vars("],
        "env",
        "the environment is read by the configuration only",
    )
}
