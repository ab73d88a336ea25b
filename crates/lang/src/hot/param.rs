//! Parameters and their declarations.

use serde_json::Value;

use super::constraint::{self, Constraint};
use super::keys::unknown_keys;
use super::param_type::ParamType;
use crate::{Entry, Kind, Node, Path, Pos, Problem};

/// An entry of the `parameters` section.
#[derive(Debug, Clone)]
pub struct Param {
    pub pos: Pos,
    pub kind: ParamType,
    /// The default value, converted to the type.
    pub default: Option<Value>,
    /// Whether its value is stored sealed and never shown.
    pub hidden: bool,
    /// Whether updates may not change its value.
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

pub(super) fn parse(entry: &Entry, path: &Path<'_>, problems: &mut Vec<Problem>) -> Option<Param> {
    let Some(map) = entry.value.as_map() else {
        let why = format!(
            "A parameter is a map with 'type'; this is {}.",
            entry.value.noun()
        );
        problems.push(Problem::new(path, entry.key_pos, why));
        return None;
    };
    unknown_keys(map, KEYS, path, problems);
    let word = entry.value.get("type").and_then(Node::as_text);
    let Some(kind) = word.and_then(param_type) else {
        let pos = map.get("type").map_or(entry.key_pos, |e| e.value.pos);
        let why =
            "A parameter needs a 'type': string, number, comma_delimited_list, json or boolean.";
        problems.push(Problem::new(path, pos, why));
        return None;
    };
    let before = problems.len();
    let constraints = constraint::parse(entry.value.get("constraints"), kind, path, problems);
    let hidden = flag(&entry.value, "hidden", path, problems);
    let mut param = Param {
        pos: entry.key_pos,
        kind,
        default: None,
        hidden,
        immutable: flag(&entry.value, "immutable", path, problems),
        constraints,
    };
    if let Some(node) = entry.value.get("default").filter(|n| !n.is_null()) {
        let checked = kind
            .convert(&node.to_json())
            .and_then(|v| param.check(&v).map(|()| v));
        match checked {
            Ok(value) => param.default = Some(value),
            Err(why) => problems.push(Problem::new(path.key("default"), node.pos, why)),
        }
    }
    (problems.len() == before).then_some(param)
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

fn flag(of: &Node, key: &str, path: &Path<'_>, problems: &mut Vec<Problem>) -> bool {
    match of.get(key).map(|n| (&n.kind, n.pos)) {
        None => false,
        Some((Kind::Bool(b), _)) => *b,
        Some((_, pos)) => {
            problems.push(Problem::new(
                path.key(key),
                pos,
                "The value must be true or false.",
            ));
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
