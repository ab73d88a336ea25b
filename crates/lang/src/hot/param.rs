//! Parameters: their types, and the conversion of given values.

use serde_json::{Number, Value};

use super::constraint::{self, Constraint};
use super::parse::unknown_keys;
use super::text::python_text;
use crate::{Entry, Kind, Node, Path, Pos, Problem};

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    Text,
    Number,
    List,
    Json,
    Boolean,
}

/// An entry of the `parameters` section.
#[derive(Debug, Clone)]
pub struct Param {
    pub pos: Pos,
    pub kind: ParamType,
    /// Already converted to the type.
    pub default: Option<Value>,
    /// Its value is never shown and is stored sealed.
    pub hidden: bool,
    /// Updates cannot change it.
    pub immutable: bool,
    pub(super) constraints: Vec<Constraint>,
}

/// Pseudo parameters, which every template can use without declaring them.
#[derive(Debug, Clone, Default)]
pub struct Pseudo {
    pub stack_name: String,
    pub stack_id: String,
    pub project_id: String,
}

impl Pseudo {
    pub(super) fn values(&self) -> [(&'static str, Value); 3] {
        [
            ("OS::stack_name", Value::from(self.stack_name.as_str())),
            ("OS::stack_id", Value::from(self.stack_id.as_str())),
            ("OS::project_id", Value::from(self.project_id.as_str())),
        ]
    }
}

const KEYS: &[&str] = &[
    "type",
    "label",
    "description",
    "default",
    "hidden",
    "constraints",
    "immutable",
    "tags",
];

pub(super) fn parse(entry: &Entry, path: &Path<'_>, bad: &mut Vec<Problem>) -> Option<Param> {
    let Some(map) = entry.value.as_map() else {
        let why = format!(
            "A parameter is a map with 'type'; this is {}.",
            entry.value.noun()
        );
        bad.push(Problem::new(path, entry.key_pos, why));
        return None;
    };
    unknown_keys(map, KEYS, path, bad);
    let word = entry.value.get("type").and_then(Node::as_text);
    let Some(kind) = word.and_then(param_type) else {
        let pos = map.get("type").map_or(entry.key_pos, |e| e.value.pos);
        let why =
            "A parameter needs a 'type': string, number, comma_delimited_list, json or boolean.";
        bad.push(Problem::new(path, pos, why));
        return None;
    };
    let before = bad.len();
    let constraints = constraint::parse(entry.value.get("constraints"), kind, path, bad);
    let hidden = flag(&entry.value, "hidden", path, bad);
    let mut param = Param {
        pos: entry.key_pos,
        kind,
        default: None,
        hidden,
        immutable: flag(&entry.value, "immutable", path, bad),
        constraints,
    };
    if let Some(node) = entry.value.get("default").filter(|n| !n.is_null()) {
        let checked = kind
            .convert(&node.to_json())
            .and_then(|v| param.check(&v).map(|()| v));
        match checked {
            Ok(value) => param.default = Some(value),
            Err(why) => bad.push(Problem::new(path.key("default"), node.pos, why)),
        }
    }
    (bad.len() == before).then_some(param)
}

fn param_type(word: &str) -> Option<ParamType> {
    Some(match word {
        "string" => ParamType::Text,
        "number" => ParamType::Number,
        "comma_delimited_list" => ParamType::List,
        "json" => ParamType::Json,
        "boolean" => ParamType::Boolean,
        _ => return None,
    })
}

fn flag(of: &Node, key: &str, path: &Path<'_>, bad: &mut Vec<Problem>) -> bool {
    match of.get(key).map(|n| (&n.kind, n.pos)) {
        None => false,
        Some((Kind::Bool(b), _)) => *b,
        Some((_, pos)) => {
            bad.push(Problem::new(path.key(key), pos, "It is true or false."));
            false
        }
    }
}

impl Param {
    /// Converts a given value and checks it against the constraints.
    ///
    /// # Errors
    /// The error, without the value if the parameter is hidden.
    pub fn accept(&self, given: &Value) -> Result<Value, String> {
        let value = self.kind.convert(given)?;
        self.check(&value)?;
        Ok(value)
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        self.constraints
            .iter()
            .try_for_each(|c| c.check(value, self.hidden))
    }
}

impl ParamType {
    /// # Errors
    /// The reason if the value does not match the type.
    pub(super) fn convert(self, given: &Value) -> Result<Value, String> {
        match self {
            Self::Text => match given {
                Value::Array(_) | Value::Object(_) => Err("Value must be a string".into()),
                other => Ok(Value::String(python_text(other))),
            },
            Self::Number => match given {
                Value::Number(_) => Ok(given.clone()),
                Value::String(s) => number(s),
                _ => Err("Value must be a number".into()),
            },
            Self::List => match given {
                Value::Array(items) => Ok(items.iter().map(python_text).map(Value::from).collect()),
                Value::String(s) if s.is_empty() => Ok(Value::Array(vec![])),
                Value::String(s) => Ok(s.split(',').map(Value::from).collect()),
                _ => Err("Value must be a comma-delimited list".into()),
            },
            Self::Json => match given {
                Value::Object(_) | Value::Array(_) => Ok(given.clone()),
                Value::String(s) if s.is_empty() => Ok(Value::Object(serde_json::Map::default())),
                Value::String(s) => match serde_json::from_str(s) {
                    Ok(v @ (Value::Object(_) | Value::Array(_))) => Ok(v),
                    _ => Err("Value must be valid JSON: a map or a list".into()),
                },
                _ => Err("Value must be valid JSON: a map or a list".into()),
            },
            Self::Boolean => boolean(given),
        }
    }
}

fn number(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if let Ok(i) = text.parse::<i64>() {
        return Ok(Value::from(i));
    }
    text.parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| "Value must be a number".into())
}

fn boolean(given: &Value) -> Result<Value, String> {
    let text = match given {
        Value::Bool(b) => return Ok(Value::Bool(*b)),
        Value::String(s) => s.to_lowercase(),
        Value::Number(n) => n.to_string(),
        _ => String::new(),
    };
    match text.trim() {
        "t" | "true" | "on" | "y" | "yes" | "1" => Ok(Value::Bool(true)),
        "f" | "false" | "off" | "n" | "no" | "0" => Ok(Value::Bool(false)),
        _ => Err("Value must be a boolean: true or false".into()),
    }
}
