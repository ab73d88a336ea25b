//! `OS::Heat::Value`: names a value.

use lang::hot::python_text;
use serde_json::{Value, json};

use super::operations::{Job, Local};
use super::properties::text;
use super::schema::{Check, Kind, PLAIN, Property, Schema};
use super::step::{Progress, StepError, attributes};
use crate::stack::Signals;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Heat::Value",
    properties: &[
        Property::new("value", Kind::Any).required().updatable(),
        Property::new("type", Kind::Text)
            .updatable()
            .check(Check::OneOf(&[
                "string",
                "number",
                "comma_delimited_list",
                "json",
                "boolean",
            ])),
    ],
    attributes: Some(&["value"]),
    ..PLAIN
};

pub(super) struct HeatValue;

impl Local for HeatValue {
    fn run(&self, job: &Job, _: &Signals) -> Result<Progress, StepError> {
        let value = job.props.get("value").cloned().unwrap_or_default();
        let value = match text(&job.props, "type") {
            None => value,
            Some(kind) => coerce(&kind, value).ok_or_else(|| {
                StepError::failed(
                    "StackValidationFailed",
                    format!("value: Value is no {kind}"),
                )
            })?,
        };
        Ok(Progress::Done(attributes(json!({ "value": value }))))
    }
}

fn coerce(kind: &str, value: Value) -> Option<Value> {
    match (kind, value) {
        ("string", Value::Array(_) | Value::Object(_)) => None,
        ("string", v) => Some(Value::String(python_text(&v))),
        ("number", v @ Value::Number(_))
        | ("boolean", v @ Value::Bool(_))
        | ("comma_delimited_list", v @ Value::Array(_))
        | ("json", v @ (Value::Array(_) | Value::Object(_))) => Some(v),
        ("number", Value::String(s)) => {
            let s = s.trim();
            s.parse::<i64>()
                .map(Value::from)
                .ok()
                .or_else(|| s.parse::<f64>().ok().map(Value::from))
        }
        ("boolean", Value::String(s)) => s.trim().to_lowercase().parse().ok().map(Value::Bool),
        ("comma_delimited_list", Value::String(s)) => Some(s.split(',').map(Value::from).collect()),
        ("json", Value::String(s)) => serde_json::from_str(&s).ok(),
        _ => None,
    }
}
