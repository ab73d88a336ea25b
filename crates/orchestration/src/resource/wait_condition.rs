//! `OS::Heat::WaitCondition`: done when enough distinct signals have come.

use std::collections::BTreeMap;

use lang::hot::to_sorted_json;
use serde_json::{Value, json};

use super::schema::{Check, Default, Kind, PLAIN, Property, Schema};
use super::{Job, Local, Progress, Trouble, attributes, text};
use crate::face::Action;
use crate::stack::SignalRow;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Heat::WaitCondition",
    properties: &[
        Property::new("handle", Kind::Text).required(),
        Property::new("timeout", Kind::Number)
            .required()
            .updatable()
            .check(Check::Range(1, 43_200)),
        Property::new("count", Kind::Integer)
            .or(Default::Int(1))
            .updatable()
            .check(Check::Range(0, 100_000)),
    ],
    attributes: Some(&["data"]),
    ..PLAIN
};

pub(super) struct WaitCondition;

impl Local for WaitCondition {
    fn run(&self, job: &Job, signals: &[SignalRow]) -> Result<Progress, Trouble> {
        let handle = text(&job.props, "handle").unwrap_or_default();
        let count = job.props.get("count").and_then(Value::as_u64).unwrap_or(1);
        let mut data: BTreeMap<&str, &Value> = BTreeMap::new();
        let (mut reasons, mut failures) = (Vec::new(), Vec::new());
        for signal in signals.iter().filter(|s| s.handle == handle) {
            if signal.status == "SUCCESS" {
                data.insert(&signal.id, &signal.data);
                reasons.push(signal.reason.as_str());
            } else if job.action == Action::Create || signal.at >= job.stack_since {
                // An update gives a condition that failed before another chance.
                failures.push(signal.reason.as_str());
            }
        }
        if !failures.is_empty() {
            return Err(Trouble::failed("WaitConditionFailure", failures.join(";")));
        }
        if data.len() as u64 >= count {
            let text = to_sorted_json(&json!(data));
            return Ok(Progress::Done(attributes(json!({ "data": text }))));
        }
        let received = format!("{} of {count} received", data.len());
        let seconds = job
            .props
            .get("timeout")
            .and_then(Value::as_f64)
            .unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "at most 43,200 seconds")]
        let until = job.since + (seconds * 1_000_000.0) as i64;
        if job.now >= until {
            let tail = if reasons.is_empty() {
                String::new()
            } else {
                format!(" - {}", reasons.join(";"))
            };
            return Err(Trouble::failed(
                "WaitConditionTimeout",
                format!("{received}{tail}"),
            ));
        }
        Ok(Progress::Wait {
            reason: received,
            poll: false,
            until: Some(until),
        })
    }
}
