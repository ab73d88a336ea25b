//! `OS::Heat::WaitCondition`: complete when enough distinct signals were
//! received.

use std::collections::BTreeMap;
use std::time::Duration;

use lang::hot::to_sorted_json;
use serde_json::{Value, json};

use super::operations::{Job, Local};
use super::properties::text;
use super::schema::{Check, Default, Kind, PLAIN, Property, Schema};
use super::step::{Progress, StepError, attributes};
use crate::api::Action;
use crate::stack::{HandleSignals, SignalRow, SignalStatus, Signals};

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
    fn run(&self, job: &Job, signals: &Signals) -> Result<Progress, StepError> {
        let handle = text(&job.props, "handle").unwrap_or_default();
        let count = job.props.get("count").and_then(Value::as_u64).unwrap_or(1);
        let nothing = HandleSignals::default();
        let handle_signals = signals.of(&handle).unwrap_or(&nothing);
        if handle_signals.has_failures() {
            // An update gives a failed condition another attempt.
            let counts = |s: &&&SignalRow| job.action == Action::Create || s.at >= job.stack_since;
            let failures = handle_signals.all(SignalStatus::Failure);
            let failures: Vec<&str> = failures
                .iter()
                .filter(counts)
                .map(|s| s.reason.as_str())
                .collect();
            if !failures.is_empty() {
                return Err(StepError::failed(
                    "WaitConditionFailure",
                    failures.join(";"),
                ));
            }
        }
        if handle_signals.successes() as u64 >= count {
            let successes = handle_signals.all(SignalStatus::Success);
            let data: BTreeMap<&str, &Value> =
                successes.iter().map(|s| (s.id.as_str(), &s.data)).collect();
            let text = to_sorted_json(&json!(data));
            return Ok(Progress::Done(attributes(json!({ "data": text }))));
        }
        let received = format!("{} of {count} received", handle_signals.successes());
        let seconds = job
            .props
            .get("timeout")
            .and_then(Value::as_f64)
            .unwrap_or_default();
        // The schema of the property limits it to 43,200 seconds.
        let timeout = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let until = job.since + timeout;
        if job.now >= until {
            let successes = handle_signals.all(SignalStatus::Success);
            let reasons: Vec<&str> = successes.iter().map(|s| s.reason.as_str()).collect();
            let tail = if reasons.is_empty() {
                String::new()
            } else {
                format!(" - {}", reasons.join(";"))
            };
            return Err(StepError::failed(
                "WaitConditionTimeout",
                format!("{received}{tail}"),
            ));
        }
        Ok(Progress::Wait {
            reason: received,
            until: Some(until),
        })
    }
}
