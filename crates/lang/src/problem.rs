//! Problems of a text and their positions.

use std::fmt;

use crate::Pos;

/// One problem. Shown as `path: line N: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// As `resources.net.properties.foo`; empty for the whole text.
    pub path: String,
    pub pos: Option<Pos>,
    pub message: String,
}

impl Problem {
    #[must_use]
    pub fn new(path: impl fmt::Display, pos: Pos, message: impl Into<String>) -> Self {
        Self {
            path: path.to_string(),
            // Values that were not parsed have no position.
            pos: (pos.line > 0).then_some(pos),
            message: message.into(),
        }
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

/// All problems as one text, one per line.
#[must_use]
pub fn describe(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The path from the root to a node, kept on the stack during the traversal, so
/// that it costs nothing without a problem.
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
