//! Problems of a text and their positions.

use std::fmt;

use crate::Pos;

/// Maximum length of the path of a problem, bytes.
const MAX_PATH: usize = 300;
/// Maximum length of the message of a problem, bytes.
const MAX_MESSAGE: usize = 2000;
/// Maximum number of problems that a report lists.
const MAX_SHOWN: usize = 100;

/// One problem. Shown as `path: line N: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the node, as `resources.net.properties.foo`; empty for the whole
    /// text.
    pub path: String,
    pub pos: Option<Pos>,
    pub message: String,
}

impl Problem {
    /// Creates a problem. Names in its path and message may be as long as the text, so
    /// both are shortened, and the report of a template with many problems stays small.
    #[must_use]
    pub fn new(path: impl fmt::Display, pos: Pos, message: impl Into<String>) -> Self {
        let mut shown = Shortened(String::new());
        // An error means that the path was shortened.
        let _ = fmt::Write::write_fmt(&mut shown, format_args!("{path}"));
        let mut message = message.into();
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        Self {
            path: shown.0,
            // Values that were not parsed have no position.
            pos: (pos.line > 0).then_some(pos),
            message,
        }
    }
}

/// The start of a path.
struct Shortened(String);

impl fmt::Write for Shortened {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = MAX_PATH.saturating_sub(self.0.len());
        if text.len() <= left {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(left)]);
        self.0.push('…');
        Err(fmt::Error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        if let Some(pos) = self.pos {
            write!(f, "line {}: ", pos.line)?;
        }
        f.write_str(&self.message)
    }
}

/// The problems as one text, one per line. Of many problems, only the first ones are
/// listed.
#[must_use]
pub fn describe(problems: &[Problem]) -> String {
    let shown = problems.iter().take(MAX_SHOWN);
    let mut lines: Vec<String> = shown.map(ToString::to_string).collect();
    if problems.len() > MAX_SHOWN {
        lines.push(format!("{} more problems.", problems.len() - MAX_SHOWN));
    }
    lines.join("\n")
}

/// The path from the root to a node. It is kept on the stack during the traversal and
/// becomes a text only if there is a problem.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    #[must_use]
    pub fn root(name: &'a str) -> Self {
        Self {
            parent: None,
            segment: Segment::Name(name),
        }
    }

    #[must_use]
    pub fn key(&'a self, name: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            segment: Segment::Name(name),
        }
    }

    #[must_use]
    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path {
            parent: Some(self),
            segment: Segment::Index(index),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.segment {
            Segment::Name(name) if self.parent.is_none() => f.write_str(name),
            Segment::Name(name) => write!(f, ".{name}"),
            Segment::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_many_problems_with_long_names_is_short() {
        let name = "ü".repeat(100_000);
        let root = Path::root(&name);
        let problem = Problem::new(root.key(&name), Pos::default(), name.clone());
        assert!(problem.path.len() <= MAX_PATH + 3 && problem.path.ends_with('…'));
        assert!(problem.message.len() <= MAX_MESSAGE + 3);
        let report = describe(&vec![problem; 1000]);
        assert_eq!(report.lines().count(), MAX_SHOWN + 1);
        assert!(report.ends_with("\n900 more problems."));
    }
}
