//! Fuzz targets of YAML and HOT. `./x fuzz` runs them, and the tests replay
//! their corpora.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::hot::{Bound, MAX_OUTPUT, Pseudo, Scope, Template, Variable, check};
use crate::{Kind, MAX_DEPTH, MAX_NODES, Node, Path, describe, parse};

/// Longest text of the problems of one template, bytes.
const MAX_REPORT: usize = 1024 * 1024;

/// The input is a YAML document.
pub fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(node) = parse(text) else {
        return;
    };
    assert!(node.weight() <= MAX_NODES);
    assert!(depth(&node) <= MAX_DEPTH + 1);
    assert!(text_bytes(&node) <= crate::yaml::MAX_TEXT);
    let value = node.to_json();
    assert_eq!(Node::from_json(&value).to_json(), value);
    if is_plain(&node)
        && let Ok(again) = parse(&value.to_string())
    {
        assert_eq!(again.to_json(), value);
    }
}

fn depth(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::List(items) => items.iter().map(depth).max().unwrap_or(0),
        Kind::Map(map) => map.values().map(|e| depth(&e.value)).max().unwrap_or(0),
        _ => 0,
    }
}

fn text_bytes(node: &Node) -> usize {
    match &node.kind {
        Kind::Text(text) => text.len(),
        Kind::List(items) => items.iter().map(text_bytes).sum(),
        Kind::Map(map) => map
            .iter()
            .map(|(key, e)| key.len() + text_bytes(&e.value))
            .sum(),
        _ => 0,
    }
}

/// Whether the values are the same when their JSON is read as YAML. Floats and
/// characters other than printable ASCII may differ.
fn is_plain(node: &Node) -> bool {
    let ascii = |text: &str| text.bytes().all(|b| (b' '..=b'~').contains(&b));
    match &node.kind {
        Kind::Float(_) => false,
        Kind::Text(text) => ascii(text),
        Kind::List(items) => items.iter().all(is_plain),
        Kind::Map(map) => map.iter().all(|(key, e)| ascii(key) && is_plain(&e.value)),
        _ => true,
    }
}

/// The input is a template, optionally followed by a line `%%%` and its parameters
/// in JSON.
pub fn hot(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (text, given) = text.split_once("\n%%%\n").unwrap_or((text, "{}"));
    let given: BTreeMap<String, Value> = serde_json::from_str(given).unwrap_or_default();
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(problems) => {
            assert!(describe(&problems).len() <= MAX_REPORT);
            return;
        }
    };
    let pseudo = Pseudo {
        stack_name: "s".into(),
        stack_id: "id".into(),
        project_id: "p".into(),
    };
    let bound = match Bound::new(template, &given, &pseudo) {
        Ok(bound) => bound,
        Err(problems) => {
            assert!(describe(&problems).len() <= MAX_REPORT);
            return;
        }
    };
    let root = Path::root("resources");
    for (name, def) in &bound.template.resources {
        if bound.has(name) {
            evaluate(&bound, &def.properties, &root.key(name));
            evaluate(&bound, &def.metadata, &root.key(name));
        }
    }
    let root = Path::root("outputs");
    for (name, output) in &bound.template.outputs {
        if bound.shows(name) {
            evaluate(&bound, &output.value, &root.key(name));
        }
    }
}

fn evaluate(bound: &Bound, node: &Node, path: &Path<'_>) {
    let mut problems = Vec::new();
    check(bound, node, path, &mut problems);
    assert!(describe(&problems).len() <= MAX_REPORT);
    let _ = bound.references(node, path);
    if let Ok(Some(value)) = bound.eval(node, path, &Resources) {
        assert!(crate::hot::cost(&value) <= MAX_OUTPUT);
    }
    let variable = Variable {
        name: "%index%",
        value: "7",
    };
    let copy = node.replace_text(variable.name, variable.value);
    let of_copy = bound.eval(&copy, path, &Resources);
    let substituted = bound.eval_with(node, path, &Resources, variable);
    if let (Ok(a), Ok(b)) = (of_copy, substituted) {
        assert_eq!(a, b, "a variable is replaced as in a copy");
    }
}

/// A scope in which every resource exists and has attributes of several kinds.
struct Resources;

impl Scope for Resources {
    fn reference(&self, resource: &str) -> Result<Value, String> {
        Ok(Value::from(resource))
    }

    fn attribute(&self, resource: &str, path: &[Value]) -> Result<Value, String> {
        match path.first().and_then(Value::as_str) {
            Some("none") => Err(format!("{resource} has no attribute none")),
            Some("list") => Ok(json!(["a", "b"])),
            Some("number") => Ok(json!(-7)),
            _ => Ok(json!({"name": resource, "addresses": {"net": [{"addr": "10.0.0.4"}]}})),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpora_pass() {
        testkit::replay("yaml", super::yaml);
        testkit::replay("hot", super::hot);
    }
}
