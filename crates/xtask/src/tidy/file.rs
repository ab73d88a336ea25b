//! Source files, which are the input of the rules, and the findings of the rules.

use super::source;

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
    /// The path from the checkout's root, with `/` as separator.
    pub path: String,
    /// The folder below `crates/`.
    pub krate: String,
    /// The raw text, for file headers and lengths.
    pub text: String,
    pub lines: Vec<source::Line>,
    /// Whether the file contains only tests.
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
