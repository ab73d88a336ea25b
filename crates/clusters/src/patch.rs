//! JSON Patch as Magnum understands it: a list of `add`, `replace` and
//! `remove` on root attributes and on elements of dictionaries.

use std::marker::PhantomData;

use kernel::{Error, Result};
use rest::RequestBody;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::errors::{bad_request, invalid_field};
use crate::python::python;

/// Paths that no patch may change, in addition to those of the resource.
const INTERNAL: &[&str] = &[
    "created_at",
    "id",
    "links",
    "updated_at",
    "uuid",
    "project_id",
    "user_id",
];
/// Dictionaries: their value may be given as the text of a Python literal.
const DICTIONARIES: &[&str] = &[
    "labels",
    "health_status_reason",
    "node_labels",
    "node_taints",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Replace,
    Remove,
}

/// One validated operation.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) op: Op,
    /// The root attribute.
    pub(crate) root: String,
    /// The element of a dictionary, where the path names one.
    pub(crate) element: Option<String>,
    pub(crate) value: Value,
}

/// Rules of a resource.
pub(crate) struct Rules<'a> {
    pub(crate) internal: &'a [&'a str],
    pub(crate) mandatory: &'a [&'a str],
}

/// A resource whose attributes a PATCH changes.
pub(crate) trait Patchable: Sized {
    const RULES: Rules<'static>;
}

/// The body of a PATCH of a resource.
#[derive(Debug)]
pub(crate) struct Patch<R> {
    pub(crate) changes: Vec<Change>,
    resource: PhantomData<fn() -> R>,
}

impl<R: Patchable> RequestBody for Patch<R> {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        let path = json!({"type": "string", "minLength": 2, "pattern": r"^(/[\w.~-]+)+$"});
        // Objects and lists only for attributes that are dictionaries.
        let value = json!({"type": ["string", "number", "boolean", "object", "array", "null"]});
        let operation = |names: &[&str], required: &[&str]| {
            json!({
                "type": "object",
                "properties": {"op": {"type": "string", "enum": names}, "path": path, "value": value},
                "required": required,
                "additionalProperties": false,
            })
        };
        let set = operation(&["add", "replace"], &["op", "path", "value"]);
        let remove = operation(&["remove"], &["op", "path"]);
        Some(json_schema!({"type": "array", "items": {"anyOf": [set, remove]}}))
    }

    fn read(body: Option<Value>) -> Result<Self> {
        Ok(Self {
            changes: parse(body, &R::RULES)?,
            resource: PhantomData,
        })
    }
}

/// Validates the format of a patch; an empty list changes nothing.
fn parse(body: Option<Value>, rules: &Rules<'_>) -> Result<Vec<Change>> {
    let Some(body) = body else {
        return Err(bad_request("patch", "Missing argument: \"patch\""));
    };
    let Value::Array(items) = body else {
        let why = format!("Value not a valid list: {}", python(&body));
        return Err(invalid_field("patch", &python(&body), &why));
    };
    items.iter().map(|item| change(item, rules)).collect()
}

fn change(item: &Value, rules: &Rules<'_>) -> Result<Change> {
    let Some(map) = item.as_object() else {
        return Err(invalid_field(
            "patch",
            &python(item),
            "Every operation must be an object.",
        ));
    };
    for key in map.keys() {
        if !matches!(key.as_str(), "op" | "path" | "value") {
            return Err(bad_request(
                key,
                format!("Unknown attribute for argument patch: {key}"),
            ));
        }
    }
    let op = text(map, "op")?;
    let path = text(map, "path")?;
    let op = match op.as_str() {
        "add" => Op::Add,
        "replace" => Op::Replace,
        "remove" => Op::Remove,
        _ => {
            return Err(invalid_field(
                "op",
                &op,
                "Value should be one of: add, remove, replace",
            ));
        }
    };
    let good = path.len() > 1
        && path.strip_prefix('/').is_some_and(|p| {
            p.split('/').all(|part| {
                !part.is_empty()
                    && part
                        .chars()
                        // Label keys such as `a.b` occur, but the pattern of
                        // the real service rejects dots and tildes, so its
                        // clients cannot name such labels.
                        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~'))
            })
        });
    if !good {
        return Err(invalid_field(
            "path",
            &path,
            r"Value should match the pattern ^(/[\w-]+)+$",
        ));
    }
    let mut parts = path[1..].splitn(2, '/');
    let root = parts.next().unwrap_or_default().to_owned();
    let element = parts
        .next()
        .map(|e| e.replace("~1", "/").replace("~0", "~"));
    if INTERNAL.contains(&root.as_str()) || rules.internal.contains(&root.as_str()) {
        return Err(bad_request(
            &root,
            format!("'{path}' is an internal attribute and can not be updated"),
        ));
    }
    let value = map.get("value").cloned().unwrap_or(Value::Null);
    if op == Op::Remove {
        if element.is_none() && rules.mandatory.contains(&root.as_str()) {
            return Err(bad_request(
                &root,
                format!("'{path}' is a mandatory attribute and can not be removed"),
            ));
        }
    } else {
        if value.is_null() {
            return Err(bad_request(
                &root,
                "'add' and 'replace' operations needs value",
            ));
        }
        let dictionary = element.is_none() && DICTIONARIES.contains(&root.as_str());
        if (value.is_object() || value.is_array()) && !dictionary {
            return Err(invalid_field(
                "value",
                &python(&value),
                "Value should be text or a number.",
            ));
        }
    }
    Ok(Change {
        op,
        root,
        element,
        value,
    })
}

fn text(map: &Map<String, Value>, name: &str) -> Result<String> {
    match map.get(name) {
        Some(Value::String(s)) => Ok(s.clone()),
        None | Some(Value::Null) => Err(invalid_field(name, "None", "Mandatory field missing.")),
        Some(other) => Err(invalid_field(
            name,
            &python(other),
            "Wrong type. Expected '<class 'str'>'",
        )),
    }
}

/// Applies validated changes to an object. `current` contains every attribute,
/// unset ones as null. A removed root attribute becomes null.
pub(crate) fn apply(current: &mut Map<String, Value>, changes: &[Change]) -> Result<()> {
    for change in changes {
        let Some(slot) = current.get_mut(&change.root) else {
            return Err(unknown(change));
        };
        match &change.element {
            None => root(slot, change)?,
            Some(key) => element(slot, key, change)?,
        }
    }
    Ok(())
}

fn unknown(change: &Change) -> Error {
    let root = &change.root;
    if change.op == Op::Add {
        bad_request(
            root,
            format!("Adding a new attribute /{root} to the root of the resource is not allowed."),
        )
    } else {
        failed(
            change,
            &format!("can't {} a non-existent object '{root}'", word(change.op)),
        )
    }
}

fn root(slot: &mut Value, change: &Change) -> Result<()> {
    let set = !(slot.is_null() || slot.as_object().is_some_and(Map::is_empty));
    match change.op {
        Op::Add if set => Err(bad_request(
            &change.root,
            format!(
                "The attribute /{} has existed, please use 'replace' operation instead.",
                change.root
            ),
        )),
        Op::Add | Op::Replace => {
            *slot = if DICTIONARIES.contains(&change.root.as_str()) {
                dictionary(&change.root, &change.value)?
            } else {
                change.value.clone()
            };
            Ok(())
        }
        Op::Remove => {
            *slot = Value::Null;
            Ok(())
        }
    }
}

fn element(slot: &mut Value, key: &str, change: &Change) -> Result<()> {
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    let Some(map) = slot.as_object_mut() else {
        return Err(failed(change, "the attribute has no elements"));
    };
    if change.op != Op::Add && !map.contains_key(key) {
        return Err(failed(
            change,
            &format!("can't {} a non-existent object '{key}'", word(change.op)),
        ));
    }
    if change.op == Op::Remove {
        map.shift_remove(key);
    } else {
        map.insert(key.to_owned(), change.value.clone());
    }
    Ok(())
}

/// A dictionary as an object, as JSON text, or as a Python literal.
fn dictionary(name: &str, value: &Value) -> Result<Value> {
    let Value::String(text) = value else {
        return Ok(value.clone());
    };
    if let Ok(parsed) = serde_json::from_str::<Value>(text) {
        return Ok(parsed);
    }
    serde_json::from_str(&json_of_literal(text))
        .map_err(|_| invalid_field(name, text, "Value is neither JSON nor a Python literal."))
}

/// Converts the quotes and constants of a Python literal to JSON.
fn json_of_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if let Some(q) = quote {
            match c {
                '\\' => match chars.next() {
                    Some('\'') => out.push('\''),
                    Some(next) => {
                        out.push('\\');
                        out.push(next);
                    }
                    None => {}
                },
                '"' if q == '\'' => out.push_str("\\\""),
                c if c == q => {
                    out.push('"');
                    quote = None;
                }
                c => out.push(c),
            }
        } else if c.is_alphabetic() {
            word.push(c);
        } else {
            flush(&mut out, &mut word);
            if c == '\'' || c == '"' {
                quote = Some(c);
                out.push('"');
            } else {
                out.push(c);
            }
        }
    }
    flush(&mut out, &mut word);
    out
}

fn flush(out: &mut String, word: &mut String) {
    out.push_str(match word.as_str() {
        "True" => "true",
        "False" => "false",
        "None" => "null",
        other => other,
    });
    word.clear();
}

fn word(op: Op) -> &'static str {
    match op {
        Op::Add => "add",
        Op::Replace => "replace",
        Op::Remove => "remove",
    }
}

fn failed(change: &Change, why: &str) -> Error {
    let path = match &change.element {
        Some(e) => format!("/{}/{e}", change.root),
        None => format!("/{}", change.root),
    };
    bad_request(
        &change.root,
        format!(
            "Couldn't apply patch '[{{'op': '{}', 'path': '{path}'}}]'. Reason: {why}",
            word(change.op)
        ),
    )
}
