//! Extracts comments, docstrings and names from Python.

use super::{Paragraphs, Passage};

pub fn passages(text: &str) -> Vec<Passage> {
    let mut reader = Reader {
        rest: text,
        line: 1,
        code: String::new(),
        depth: 0,
        is_statement: false,
        comments: Paragraphs::default(),
        out: Vec::new(),
    };
    while reader.step() {}
    reader.end_line();
    reader.out.extend(reader.comments.finish());
    reader.out
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    /// The code of the current line, without comments and literals.
    code: String,
    /// The number of open brackets.
    depth: usize,
    /// Whether the current statement has begun; a literal is then not a docstring.
    is_statement: bool,
    comments: Paragraphs,
    out: Vec<Passage>,
}

impl Reader<'_> {
    /// Reads the next character, comment or literal.
    fn step(&mut self) -> bool {
        let Some(c) = self.rest.chars().next() else {
            return false;
        };
        match c {
            '#' => self.comment(),
            '"' | '\'' => self.literal(),
            '\n' => {
                self.end_line();
                if self.depth == 0 && !self.code.ends_with('\\') {
                    self.is_statement = false;
                }
                self.code.clear();
                self.advance(1);
            }
            _ => {
                match c {
                    '(' | '[' | '{' => self.depth += 1,
                    ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                // The letters before a quote (`f"…"`, `r"""…"""`) are not code.
                let word = self.rest.len()
                    - self
                        .rest
                        .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
                        .len();
                let is_prefix =
                    (1..=2).contains(&word) && self.rest[word..].starts_with(['"', '\'']);
                let taken = word.max(c.len_utf8());
                if !is_prefix {
                    self.code.push_str(&self.rest[..taken]);
                    self.is_statement |= !c.is_whitespace();
                }
                self.advance(taken);
            }
        }
        true
    }

    fn advance(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }

    fn end_line(&mut self) {
        self.out.extend(Passage::of_names(self.line, &self.code));
    }

    fn comment(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        if !self.code.trim().is_empty() {
            self.comments.end();
        }
        let text = &self.rest[..end];
        if !text.starts_with("#!") {
            self.comments.add(self.line, text.trim_start_matches('#'));
        }
        self.advance(end);
    }

    fn literal(&mut self) {
        let quote = ["\"\"\"", "'''", "\"", "'"]
            .into_iter()
            .find(|q| self.rest.starts_with(q))
            .unwrap_or("\"");
        let content = &self.rest[quote.len()..];
        let end = closing(content, quote);
        let is_docstring = !self.is_statement && self.depth == 0;
        if is_docstring {
            let mut text = Paragraphs::default();
            for (i, line) in content[..end].split('\n').enumerate() {
                text.add(self.line + i, line);
            }
            self.out.extend(text.finish());
        }
        self.is_statement = true;
        self.code.push(' ');
        self.advance((quote.len() * 2 + end).min(self.rest.len()));
    }
}

/// Where a literal ends: at its closing quote, or at the end of the file.
fn closing(content: &str, quote: &str) -> usize {
    let mut is_escaped = false;
    for (i, c) in content.char_indices() {
        if !is_escaped && content[i..].starts_with(quote) {
            return i;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    content.len()
}
