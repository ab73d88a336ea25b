//! Splits a Rust file into lines, separates code from strings and comments, and marks
//! test modules.

/// One line of a file.
#[derive(Debug, Default, Clone)]
pub struct Line {
    /// Code with the contents of strings and comments blanked out.
    pub code: String,
    /// String literals that start on this line.
    pub strings: Vec<String>,
    /// The text of a line comment, slashes included.
    pub comment: String,
    /// Whether the line is inside a `#[cfg(test)]` item.
    pub test: bool,
}

/// Splits a source text. Supports nested block comments, raw strings,
/// characters and lifetimes; macros are code.
pub fn read(text: &str) -> Vec<Line> {
    let mut lines = tokens(text);
    mark_tests(&mut lines);
    lines
}

fn tokens(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines = vec![Line::default()];
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        let next = chars.get(i + 1).copied();
        match c {
            '/' if next == Some('/') => {
                let begin = i;
                while chars.get(i).is_some_and(|c| *c != '\n') {
                    i += 1;
                }
                if let Some(line) = lines.last_mut() {
                    line.comment = chars[begin..i].iter().collect();
                }
            }
            '/' if next == Some('*') => i = block_comment(&chars, i, &mut lines),
            '"' => i = string(&chars, i, 0, false, &mut lines),
            'r' if is_raw(&chars, i) => {
                let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
                i = string(&chars, i + 1 + hashes, hashes, true, &mut lines);
            }
            '\'' => i = character(&chars, i, &mut lines),
            _ => {
                push(&mut lines, c);
                i += 1;
            }
        }
    }
    lines
}

fn push(lines: &mut Vec<Line>, c: char) {
    if c == '\n' {
        lines.push(Line::default());
    } else if let Some(line) = lines.last_mut() {
        line.code.push(c);
    }
}

fn is_raw(chars: &[char], i: usize) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let before = i.checked_sub(1).and_then(|p| chars.get(p)).copied();
    // `br"` is raw too; any other preceding letter makes it part of a name.
    if before.is_some_and(|c| word(c) && c != 'b') {
        return false;
    }
    let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
    chars.get(i + 1 + hashes) == Some(&'"')
}

fn block_comment(chars: &[char], start: usize, lines: &mut Vec<Line>) -> usize {
    let mut depth = 0;
    let mut i = start;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                i += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    break;
                }
            }
            (c, _) => {
                if c == '\n' {
                    push(lines, c);
                }
                i += 1;
            }
        }
    }
    i
}

/// `quote` is the position of the opening quote.
fn string(chars: &[char], quote: usize, hashes: usize, raw: bool, lines: &mut Vec<Line>) -> usize {
    let opened = lines.len() - 1;
    let mut content = String::new();
    let mut i = quote + 1;
    while let Some(&c) = chars.get(i) {
        if c == '\\' && !raw {
            content.push(' ');
            if chars.get(i + 1) == Some(&'\n') {
                push(lines, '\n');
            }
            i += 2;
            continue;
        }
        if c == '"'
            && chars[i + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
        {
            i += 1 + hashes;
            break;
        }
        if c == '\n' {
            push(lines, '\n');
        }
        content.push(c);
        i += 1;
    }
    lines[opened].code.push_str("\"\"");
    lines[opened].strings.push(content);
    i
}

fn character(chars: &[char], i: usize, lines: &mut Vec<Line>) -> usize {
    let end = match chars.get(i + 1) {
        Some('\\') => (i + 3..(i + 12).min(chars.len())).find(|p| chars[*p] == '\''),
        Some(_) if chars.get(i + 2) == Some(&'\'') => Some(i + 2),
        _ => None,
    };
    push(lines, '\'');
    match end {
        Some(end) => {
            push(lines, '\'');
            end + 1
        }
        // A lifetime.
        None => i + 1,
    }
}

/// Marks code after `#[cfg(test)]` up to the closing brace or semicolon.
fn mark_tests(lines: &mut [Line]) {
    let mut i = 0;
    while i < lines.len() {
        let code = lines[i].code.trim_start();
        if !code.starts_with("#[cfg(test)]") && !code.starts_with("#[cfg(all(test") {
            i += 1;
            continue;
        }
        let mut depth = 0usize;
        let mut opened = false;
        while let Some(line) = lines.get_mut(i) {
            line.test = true;
            i += 1;
            for c in line.code.chars() {
                match c {
                    '{' => {
                        depth += 1;
                        opened = true;
                    }
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            if (opened && depth == 0) || (!opened && line.code.trim_end().ends_with(';')) {
                break;
            }
        }
    }
}

/// Whether a literal is a statement of SQL.
pub fn is_sql(text: &str) -> bool {
    let text = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_ascii_uppercase();
    let starts = |head: &str, then: &str| text.starts_with(head) && text.contains(then);
    starts("SELECT ", " FROM ")
        || starts("UPDATE ", " SET ")
        || [
            "INSERT INTO ",
            "DELETE FROM ",
            "CREATE TABLE ",
            "ALTER TABLE ",
            "DROP TABLE ",
            "CREATE INDEX ",
            "CREATE UNIQUE INDEX ",
        ]
        .iter()
        .any(|head| text.starts_with(head))
}
