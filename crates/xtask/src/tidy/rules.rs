//! One function per code rule. Exemptions are in the table of the rule.

use super::file::{File, Finding};
use super::passages::{documents, rust};
use super::source::{Line, is_sql};

type Rule = fn(&File) -> Vec<Finding>;

pub const ALL: &[Rule] = &[length, header, names, sql, no_unsafe, pure, plain_language];

const WARN_LINES: usize = 400;
const FAIL_LINES: usize = 600;
const ROOT_LINES: usize = 80;

const BANNED: &[&str] = &[
    "common", "util", "utils", "helper", "helpers", "misc", "manager", "base",
];

/// The service crates, in which SQL belongs to table files. Other crates have no tables
/// of resources.
const SQL_CRATES: &[&str] = &[
    "identity",
    "network",
    "compute",
    "orchestration",
    "clusters",
];

/// Files exempt from a rule, with the reasons.
const PASS: &[(&str, &str)] = &[
    // The page of a list, built once for all tables and called only by them.
    ("sql", "crates/clusters/src/listing.rs"),
    // Batch statements, built once for all tables and called only by them.
    ("sql", "crates/orchestration/src/stack/batches.rs"),
    // System calls that no safe function offers, in the only such module of the runtime.
    ("unsafe", "crates/runtime/src/sys.rs"),
];

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

/// Lines of code except tests, with their numbers from 1.
fn production(file: &File) -> impl Iterator<Item = (usize, &Line)> {
    let lines = if file.test { &[][..] } else { &file.lines[..] };
    lines
        .iter()
        .enumerate()
        .filter(|(_, l)| !l.test)
        .map(|(i, l)| (i + 1, l))
}

/// Applies `rule` to each production line that contains one of the words.
fn forbid(file: &File, words: &[&str], rule: &'static str, message: &str) -> Vec<Finding> {
    production(file)
        .filter_map(|(n, line)| {
            let word = words.iter().find(|w| has(&line.code, w))?;
            Some(finding(file, n, rule, format!("{word}: {message}")))
        })
        .collect()
}

/// Whether `word` occurs in the code and is not the end of a longer name.
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
            "must begin with a `//!` comment with the purpose of the module",
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
                format!("`{stem}` has no meaning; name the contents"),
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
                format!("`mod {name}` has no meaning; name the contents"),
            ));
        }
    }
    found
}

fn sql(file: &File) -> Vec<Finding> {
    let is_exempt_file = file.name() == "table.rs"
        || file.name().ends_with("_table.rs")
        || file.path.contains("/table/")
        || matches!(file.name(), "schema.rs" | "migrations.rs");
    if is_exempt_file || passes(file, "sql") || !SQL_CRATES.contains(&file.krate.as_str()) {
        return Vec::new();
    }
    production(file)
        .filter(|(_, line)| line.strings.iter().any(|s| is_sql(s)))
        .map(|(n, _)| {
            finding(
                file,
                n,
                "sql",
                "SQL belongs in table.rs (tables are created in schema.rs or migrations.rs)",
            )
        })
        .collect()
}

fn no_unsafe(file: &File) -> Vec<Finding> {
    if passes(file, "unsafe") {
        return Vec::new();
    }
    forbid(
        file,
        &["unsafe {", "unsafe fn ", "unsafe impl ", "unsafe extern "],
        "unsafe",
        "not allowed",
    )
}

/// Pure files and crates have no async.
fn pure(file: &File) -> Vec<Finding> {
    let is_exempt_file = matches!(file.name(), "model.rs" | "plan.rs" | "wire.rs");
    if !is_exempt_file && !matches!(file.krate.as_str(), "kernel" | "lang") {
        return Vec::new();
    }
    forbid(
        file,
        &["async fn ", "async move", ".await"],
        "pure",
        "no async in this file",
    )
}

/// Words that names, comments and texts do not use (docs/banned-words.txt).
fn plain_language(file: &File) -> Vec<Finding> {
    documents::banned_words(&file.path, &rust::passages(file))
}
