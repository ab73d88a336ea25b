//! The words of docs/banned-words.txt, and the search for them.

use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};

use super::passages::Passage;

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

    /// The banned words of a passage, each with the number of the line on which it
    /// begins. Parts in backticks are not searched.
    pub fn all_in(&self, passage: &Passage) -> Vec<(usize, String)> {
        let Some(word) = &self.word else {
            return Vec::new();
        };
        let text = passage.lines.iter().map(|(_, line)| line.as_str());
        let text = without_code(&text.collect::<Vec<_>>().join("\n"));
        let rest = match &self.allowed {
            Some(allowed) => allowed.replace_all(&text, |found: &Captures<'_>| blank(&found[0])),
            None => text.as_str().into(),
        };
        word.find_iter(&rest)
            .filter_map(|found| {
                let above = rest[..found.start()].matches('\n').count();
                let (number, _) = passage.lines.get(above)?;
                let words: Vec<&str> = found.as_str().split_whitespace().collect();
                Some((*number, words.join(" ").to_lowercase()))
            })
            .collect()
    }
}

/// An invalid list finds everything, so that it is noticed.
fn any_of(words: &[&str]) -> Option<Regex> {
    if words.is_empty() {
        return None;
    }
    // A phrase is also found where a line ends between its words.
    let pattern = format!(r"\b(?:{})\b", words.join("|").replace(' ', r"\s+"));
    RegexBuilder::new(&pattern)
        .case_insensitive(true)
        .unicode(false)
        .build()
        .or_else(|_| Regex::new(""))
        .ok()
}

/// A text with its parts in backticks blanked out. A backtick without a second one
/// is an ordinary character.
fn without_code(text: &str) -> String {
    let mut parts = text.split('`').peekable();
    let mut out = String::with_capacity(text.len());
    let mut is_code = false;
    while let Some(part) = parts.next() {
        let is_closed = parts.peek().is_some();
        out.push_str(&if is_code && is_closed {
            blank(part)
        } else {
            part.to_owned()
        });
        is_code = !is_code;
        if is_closed {
            out.push('.');
        }
    }
    out
}

/// Dots instead of a text, so that it is neither a word nor a gap between words.
/// Line ends remain.
fn blank(text: &str) -> String {
    text.split('\n')
        .map(|line| ".".repeat(line.len()))
        .collect::<Vec<_>>()
        .join("\n")
}
