//! `OS::Heat::WaitConditionHandle`: the target of signals.

use serde_json::Map;

use super::operations::{Job, Local};
use super::schema::{PLAIN, Schema};
use super::step::{Progress, StepError};
use crate::stack::Signals;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Heat::WaitConditionHandle",
    ..PLAIN
};

pub(super) struct WaitConditionHandle;

impl Local for WaitConditionHandle {
    fn run(&self, _: &Job, _: &Signals) -> Result<Progress, StepError> {
        Ok(Progress::Done(Map::new()))
    }
}
