//! Extracts the texts that people read from files: prose, comments, names and messages.

pub mod documents;
mod markdown;
mod python;
pub mod rust;
mod shell;
#[cfg(test)]
mod tests;

/// A name, or lines of one text that belong together, so that a phrase is found
/// although it continues on the next line. Each line has its number in the file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Passage {
    pub lines: Vec<(usize, String)>,
}

impl Passage {
    fn of_line(number: usize, text: impl Into<String>) -> Self {
        Self {
            lines: vec![(number, text.into())],
        }
    }

    /// A passage for each name in a line of code, split into its words.
    fn of_names(number: usize, code: &str) -> impl Iterator<Item = Self> {
        identifiers(code).map(move |name| Self::of_line(number, spaced(name)))
    }

    /// A text over several lines of which the first has this number.
    fn of_text(first: usize, text: &str) -> Self {
        let lines = text.split('\n').enumerate();
        Self {
            lines: lines.map(|(i, l)| (first + i, l.to_owned())).collect(),
        }
    }
}

/// Joins adjacent lines to passages. An empty text ends a passage.
#[derive(Default)]
struct Paragraphs {
    done: Vec<Passage>,
    current: Passage,
}

impl Paragraphs {
    /// Adds a line, which continues the passage of the line above it.
    fn add(&mut self, number: usize, text: &str) {
        let is_next = self
            .current
            .lines
            .last()
            .is_some_and(|(last, _)| last + 1 == number);
        if !is_next || text.trim().is_empty() {
            self.end();
        }
        if !text.trim().is_empty() {
            self.current.lines.push((number, text.to_owned()));
        }
    }

    fn end(&mut self) {
        if !self.current.lines.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    fn finish(mut self) -> Vec<Passage> {
        self.end();
        self.done
    }
}

/// The identifiers of a line of code.
fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|name| !name.is_empty())
}

/// The words of an identifier: `MasterReports` and `master_reports` are
/// "Master Reports" and "master reports".
fn spaced(name: &str) -> String {
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
