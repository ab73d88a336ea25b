//! The files other than Rust in which banned words are searched.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::super::file::Finding;
use super::super::language;
use super::{Passage, markdown, python, shell, spaced};

/// The files and folders with documents and scripts, from the checkout's root.
const ROOTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Cargo.toml",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "x",
    ".ci",
    ".cargo",
    "crates",
    "docs",
    "fuzz/Cargo.toml",
    "fuzz/rustc.sh",
    "images",
    "tests",
];

/// Generated pages. Their texts are from the code, where a fault is corrected.
const GENERATED: &[&str] = &["docs/parity/", "docs/kubernetes-conformance.md"];

/// The findings in all documents and scripts.
pub fn scan(root: &Path) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for path in paths(root)? {
        let full = root.join(&path);
        let Some(read) = reader(&path) else { continue };
        if GENERATED.iter().any(|page| path.starts_with(page)) {
            continue;
        }
        let text = std::fs::read_to_string(&full)
            .with_context(|| format!("{} cannot be read", full.display()))?;
        found.extend(banned_words(&path, &read(&path, &text)));
    }
    Ok(found)
}

/// The banned words in a file's path and in its passages.
pub fn banned_words(path: &str, passages: &[Passage]) -> Vec<Finding> {
    let name = spaced(&path.replace(['/', '.', '-'], " "));
    let mut found: Vec<Finding> = std::iter::once(&Passage::of_line(0, name))
        .chain(passages)
        .flat_map(|passage| language::banned().all_in(passage))
        .map(|(line, word)| Finding {
            path: path.to_owned(),
            line,
            rule: "plain_language",
            message: format!("\"{word}\" is in docs/banned-words.txt"),
            warning: false,
        })
        .collect();
    found.sort_by_key(|f| f.line);
    found.dedup();
    found
}

type Reader = fn(&str, &str) -> Vec<Passage>;

/// The function that extracts the passages of a file, chosen by its path.
pub fn reader(path: &str) -> Option<Reader> {
    let name = path.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.') {
        Some((_, "md")) => Some(markdown::passages),
        Some((_, "py")) => Some(|_, text| python::passages(text)),
        Some((_, "sh" | "toml" | "pl")) => Some(|_, text| shell::passages(text)),
        None if matches!(path, "x" | ".ci/run") => Some(|_, text| shell::passages(text)),
        _ => None,
    }
}

fn paths(root: &Path) -> Result<Vec<String>> {
    let mut waiting: Vec<String> = ROOTS.iter().map(|&path| path.to_owned()).collect();
    let mut files = Vec::new();
    while let Some(path) = waiting.pop() {
        let full = root.join(&path);
        if !full.is_dir() {
            files.push(path);
            continue;
        }
        let entries = std::fs::read_dir(&full)
            .with_context(|| format!("{} cannot be listed", full.display()))?;
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name != "__pycache__" {
                waiting.push(format!("{path}/{name}"));
            }
        }
    }
    files.sort();
    Ok(files)
}
