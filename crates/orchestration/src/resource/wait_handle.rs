//! `OS::Heat::WaitConditionHandle`: what signals are sent to.

use serde_json::Map;

use super::schema::{PLAIN, Schema};
use super::{Job, Local, Progress, Trouble};
use crate::stack::Signals;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Heat::WaitConditionHandle",
    ..PLAIN
};

pub(super) struct WaitConditionHandle;

impl Local for WaitConditionHandle {
    fn run(&self, _: &Job, _: &Signals) -> Result<Progress, Trouble> {
        Ok(Progress::Done(Map::new()))
    }
}
