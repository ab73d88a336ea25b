//! Columns that a statement sets in addition to the ones that it always sets.

use db::Value;

/// Adds assignments to the `SET` of a statement, with their values.
pub(crate) fn assign(sql: &mut String, args: &mut Vec<Value>, others: Vec<(&str, Value)>) {
    for (column, value) in others {
        sql.push_str(&format!(", {column} = ?"));
        args.push(value);
    }
}
