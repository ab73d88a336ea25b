//! Extracts paragraphs, list items and table cells from Markdown, without code and link
//! targets.

use super::{Paragraphs, Passage};

/// The document that may list banned words, in a column with the heading `not`.
const GLOSSARY: &str = "docs/glossary.md";

pub fn passages(path: &str, text: &str) -> Vec<Passage> {
    let mut out = Paragraphs::default();
    let mut blocks = Blocks::default();
    let mut omitted = None;
    for (i, line) in text.lines().enumerate() {
        if blocks.is_code(line) {
            out.end();
            continue;
        }
        if !line.starts_with('|') {
            omitted = None;
            out.add(i + 1, &without_targets(line));
            continue;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if path == GLOSSARY && omitted.is_none() {
            omitted = cells.iter().position(|cell| *cell == "not");
        }
        for (column, cell) in cells.iter().enumerate() {
            if Some(column) != omitted {
                out.end();
                out.add(i + 1, &without_targets(cell));
            }
        }
        out.end();
    }
    out.finish()
}

/// Determines which lines belong to code blocks.
#[derive(Default)]
struct Blocks {
    /// The fence that ends the current block.
    fence: Option<&'static str>,
    /// Whether the last line was empty or code, so that an indented line is code.
    may_begin: bool,
    in_list: bool,
}

impl Blocks {
    fn is_code(&mut self, line: &str) -> bool {
        let text = line.trim_start();
        if let Some(fence) = self.fence {
            if text.starts_with(fence) {
                self.fence = None;
            }
            return true;
        }
        self.fence = ["```", "~~~"].into_iter().find(|f| text.starts_with(f));
        if self.fence.is_some() {
            return true;
        }
        if text.is_empty() {
            self.may_begin = true;
            return false;
        }
        let indent = line.len() - text.len();
        // The text of a list item is indented, too.
        let code_indent = if self.in_list { 6 } else { 4 };
        if self.may_begin && indent >= code_indent {
            return true;
        }
        if is_item(text) {
            self.in_list = true;
        } else if self.may_begin && indent == 0 {
            self.in_list = false;
        }
        self.may_begin = false;
        false
    }
}

fn is_item(text: &str) -> bool {
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    ["- ", "* ", "+ "].iter().any(|mark| text.starts_with(mark))
        || number.len() < text.len() && (number.starts_with(". ") || number.starts_with(") "))
}

/// A line without the targets of its links.
fn without_targets(line: &str) -> String {
    let mut parts = line.split("](");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push(']');
        out.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    out
}
