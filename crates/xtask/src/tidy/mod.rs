//! The code rules that can be checked automatically. A rule is a function from
//! a file to findings; exemptions are listed next to the rule with their
//! reasons.

mod language;
mod rules;
pub mod source;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context as _, Result};

/// A violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// 0 for the whole file.
    pub line: usize,
    pub rule: &'static str,
    pub message: String,
    /// Reported, but not a failure.
    pub warning: bool,
}

/// A file with its position in the workspace.
pub struct File {
    /// From the checkout's root, with `/`.
    pub path: String,
    /// Folder below `crates/`.
    pub krate: String,
    /// The raw text, for file headers and lengths.
    pub text: String,
    pub lines: Vec<source::Line>,
    /// A file that contains only tests.
    pub test: bool,
}

impl File {
    pub fn new(path: &str, text: String) -> Self {
        let mut parts = path.split('/').skip(1);
        let krate = parts.next().unwrap_or_default().to_owned();
        let test = path.contains("/tests/")
            || path.contains("/benches/")
            || path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs");
        Self {
            path: path.to_owned(),
            krate,
            lines: source::read(&text),
            text,
            test,
        }
    }

    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// All findings in the crates below `root`, ordered by path and line.
pub fn scan(root: &Path) -> Result<Vec<Finding>> {
    let mut paths = Vec::new();
    walk(&root.join("crates"), &mut paths)?;
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} does not read", path.display()))?;
        let short = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .replace('\\', "/");
        found.extend(evaluate(&File::new(&short, text)));
    }
    Ok(found)
}

/// The findings of one file.
pub fn evaluate(file: &File) -> Vec<Finding> {
    let mut found: Vec<Finding> = rules::ALL.iter().flat_map(|rule| rule(file)).collect();
    found.sort_by_key(|f| f.line);
    found
}

fn walk(dir: &Path, into: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in
        std::fs::read_dir(dir).with_context(|| format!("{} does not list", dir.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                walk(&path, into)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
    Ok(())
}
