//! Short names of statements for the log.

/// The beginning of a statement.
pub(crate) fn statement_name(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().take(12).collect();
    words.join(" ")
}
