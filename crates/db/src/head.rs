//! How the log names a statement.

/// The beginning of a statement.
pub(crate) fn head(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().take(12).collect();
    words.join(" ")
}
