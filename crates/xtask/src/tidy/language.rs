//! The words of docs/banned-words.txt, and the texts in which they are searched.

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

/// The list of banned words.
pub struct Banned {
    word: Option<Regex>,
    /// Phrases in which a banned word is a standard term.
    allowed: Option<Regex>,
}

static BANNED: LazyLock<Banned> =
    LazyLock::new(|| Banned::parse(include_str!("../../../../docs/banned-words.txt")));

/// The project's own list.
pub fn banned() -> &'static Banned {
    &BANNED
}

impl Banned {
    /// Reads a list: one regular expression of whole words on each line;
    /// `allow` before a phrase permits it; `#` begins a comment.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let (allowed, words): (Vec<&str>, Vec<&str>) = lines
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
            .partition(|l| l.starts_with("allow "));
        let allowed: Vec<&str> = allowed
            .into_iter()
            .filter_map(|l| l.strip_prefix("allow "))
            .collect();
        Self {
            word: any_of(&words),
            allowed: any_of(&allowed),
        }
    }

    /// The first banned word of a text.
    pub fn first_in(&self, text: &str) -> Option<String> {
        let word = self.word.as_ref()?;
        let rest = match &self.allowed {
            Some(allowed) => allowed.replace_all(text, ""),
            None => text.into(),
        };
        word.find(&rest).map(|found| found.as_str().to_lowercase())
    }
}

/// An invalid list finds everything, so that it is noticed.
fn any_of(words: &[&str]) -> Option<Regex> {
    if words.is_empty() {
        return None;
    }
    let pattern = format!(r"\b(?:{})\b", words.join("|"));
    RegexBuilder::new(&pattern)
        .case_insensitive(true)
        .unicode(false)
        .build()
        .or_else(|_| Regex::new(""))
        .ok()
}

/// The identifiers of a line of code.
pub fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|name| !name.is_empty())
}

/// The words of an identifier: `MasterReports` and `master_reports` are
/// "Master Reports" and "master reports".
pub fn spaced(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut lower = false;
    for c in name.chars() {
        if c.is_uppercase() && lower {
            out.push(' ');
        }
        lower = c.is_lowercase() || c.is_numeric();
        out.push(if c == '_' { ' ' } else { c });
    }
    out
}

/// A comment without its parts in backticks.
pub fn without_code(comment: &str) -> String {
    comment.split('`').step_by(2).collect::<Vec<_>>().join("")
}
