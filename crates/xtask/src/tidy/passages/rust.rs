//! Extracts comments, names and messages from Rust.

use super::super::file::File;
use super::super::source::{Line, is_sql};
use super::{Paragraphs, Passage};

/// A literal with fewer words is a key, a value or a command rather than a message.
const WORDS_OF_A_MESSAGE: usize = 3;

pub fn passages(file: &File) -> Vec<Passage> {
    let mut comments = Paragraphs::default();
    let mut out = Vec::new();
    for (i, line) in file.lines.iter().enumerate() {
        if !line.code.trim().is_empty() {
            comments.end();
        }
        comments.add(i + 1, line.comment.trim_start_matches(['/', '!']));
        out.extend(Passage::of_names(i + 1, &line.code));
        if !file.test {
            out.extend(messages(line).map(|text| Passage::of_text(i + 1, text)));
        }
    }
    out.extend(comments.finish());
    out
}

/// The literals of production code that people read. Those of tests contain what
/// other programs and users write.
fn messages(line: &Line) -> impl Iterator<Item = &str> {
    let strings = if line.test {
        &[][..]
    } else {
        &line.strings[..]
    };
    let words = |text: &str| {
        text.split_whitespace()
            .filter(|w| w.chars().any(char::is_alphabetic))
            .count()
    };
    strings
        .iter()
        .map(String::as_str)
        .filter(move |text| words(text) >= WORDS_OF_A_MESSAGE && !is_sql(text))
}
