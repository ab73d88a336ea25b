//! Extracts comments from shell scripts and other files with comments after `#`: TOML,
//! Perl.

use super::{Paragraphs, Passage};

pub fn passages(text: &str) -> Vec<Passage> {
    let mut out = Paragraphs::default();
    for (i, line) in text.lines().enumerate() {
        match comment(line) {
            Some((before, text)) => {
                if !before.trim().is_empty() {
                    out.end();
                }
                out.add(i + 1, text);
            }
            None => out.end(),
        }
    }
    out.finish()
}

/// The code before the comment of a line, and the comment. A `#` within quotes or a word
/// does not begin a comment. Quotes are closed at the end of a line, so that a
/// comment after a text of several lines may not be found.
fn comment(line: &str) -> Option<(&str, &str)> {
    if line.starts_with("#!") {
        return None;
    }
    let mut quote = None;
    let mut is_word = false;
    for (i, c) in line.char_indices() {
        match quote {
            Some(q) if q == c => quote = None,
            Some(_) => {}
            None if c == '#' && !is_word => return Some((&line[..i], &line[i + 1..])),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
        is_word = !c.is_whitespace() && c != ';';
    }
    None
}
