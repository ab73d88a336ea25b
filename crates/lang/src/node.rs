//! The tree that results from parsing a text: JSON values with positions.

use indexmap::IndexMap;
use serde_json::{Map, Number, Value};

/// A position in a text; line and column count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pos {
    pub line: usize,
    pub column: usize,
}

/// A value and its position.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub pos: Pos,
    pub kind: Kind,
}

/// A map entry: the value, and the position of its key.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key_pos: Pos,
    pub value: Node,
}

/// The value of a node.
#[derive(Debug, Clone, Default)]
pub enum Kind {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(IndexMap<String, Entry>),
}

impl Node {
    /// A node without a position, for values that were not parsed.
    #[must_use]
    pub fn from_json(value: &Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(b) => Kind::Bool(*b),
            Value::Number(n) => n
                .as_i64()
                .map_or_else(|| Kind::Float(n.as_f64().unwrap_or_default()), Kind::Int),
            Value::String(s) => Kind::Text(s.clone()),
            Value::Array(a) => Kind::List(a.iter().map(Self::from_json).collect()),
            Value::Object(o) => Kind::Map(
                o.iter()
                    .map(|(k, v)| {
                        let entry = Entry {
                            key_pos: Pos::default(),
                            value: Self::from_json(v),
                        };
                        (k.clone(), entry)
                    })
                    .collect(),
            ),
        };
        Self {
            pos: Pos::default(),
            kind,
        }
    }

    /// The literal value; functions are not evaluated.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Int(i) => Value::from(*i),
            Kind::Float(f) => Number::from_f64(*f).map_or(Value::Null, Value::Number),
            Kind::Text(s) => Value::String(s.clone()),
            Kind::List(l) => Value::Array(l.iter().map(Self::to_json).collect()),
            Kind::Map(m) => Value::Object(
                m.iter()
                    .map(|(k, e)| (k.clone(), e.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(s) => Some(s),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::List(l) => Some(l),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_map(&self) -> Option<&IndexMap<String, Entry>> {
        match &self.kind {
            Kind::Map(m) => Some(m),
            _ => None,
        }
    }

    /// The value of a key of a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map().and_then(|m| m.get(key)).map(|e| &e.value)
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// A noun for the kind of the value, for error texts.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Returns a copy with `from` replaced by `to` in every text value; keys
    /// are unchanged (as in Heat's ResourceGroup).
    #[must_use]
    pub fn replace_text(&self, from: &str, to: &str) -> Self {
        let kind = match &self.kind {
            Kind::Text(s) if s.contains(from) => Kind::Text(s.replace(from, to)),
            Kind::List(l) => Kind::List(l.iter().map(|n| n.replace_text(from, to)).collect()),
            Kind::Map(m) => Kind::Map(
                m.iter()
                    .map(|(k, e)| {
                        let entry = Entry {
                            key_pos: e.key_pos,
                            value: e.value.replace_text(from, to),
                        };
                        (k.clone(), entry)
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Self {
            pos: self.pos,
            kind,
        }
    }

    /// The number of nodes of the tree, including this one.
    #[must_use]
    pub fn weight(&self) -> usize {
        1 + match &self.kind {
            Kind::List(l) => l.iter().map(Self::weight).sum(),
            Kind::Map(m) => m.values().map(|e| e.value.weight()).sum(),
            _ => 0,
        }
    }
}
