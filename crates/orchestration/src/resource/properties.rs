//! Reads the resolved properties of a resource.

use serde_json::{Map, Value};

use super::operations::Job;

/// A text property.
pub(super) fn text(props: &Map<String, Value>, name: &str) -> Option<String> {
    props.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// A list of texts.
pub(super) fn texts(props: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = props.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The property `name`, or else the physical name, shortened to `limit` characters
/// as in Heat.
pub(super) fn name_or_physical(job: &Job, limit: usize) -> String {
    let name = text(&job.props, "name").unwrap_or_else(|| job.physical_name.clone());
    let length = name.chars().count();
    if length <= limit {
        return name;
    }
    let head: String = name.chars().take(2).collect();
    let tail: String = name.chars().skip(length - (limit - 3)).collect();
    format!("{head}-{tail}")
}
