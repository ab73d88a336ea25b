//! `OS::Heat::None`: accepts any property, does nothing.

use serde_json::Map;

use super::operations::{Job, Local};
use super::schema::{PLAIN, Schema};
use super::step::{Progress, StepError};
use crate::stack::Signals;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Heat::None",
    attributes: None,
    open: true,
    ..PLAIN
};

pub(super) struct HeatNone;

impl Local for HeatNone {
    fn run(&self, _: &Job, _: &Signals) -> Result<Progress, StepError> {
        Ok(Progress::Done(Map::new()))
    }
}
