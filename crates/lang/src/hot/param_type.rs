//! Types of parameters, and the conversion of given values.

use serde_json::{Number, Value};

use super::text::python_text;

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    Text,
    Number,
    List,
    Json,
    Boolean,
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
