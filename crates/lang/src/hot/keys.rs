//! The keys of a map in a template.

use indexmap::IndexMap;

use crate::{Entry, Path, Pos, Problem};

/// Reports the keys that are not known.
pub(super) fn unknown_keys(
    map: &IndexMap<String, Entry>,
    known: &[&str],
    path: &Path<'_>,
    problems: &mut Vec<Problem>,
) {
    for (key, entry) in map {
        if !known.contains(&key.as_str()) {
            let pos: Pos = entry.key_pos;
            let why = format!("Invalid key '{key}'; known are {}.", known.join(", "));
            problems.push(Problem::new(path, pos, why));
        }
    }
}
