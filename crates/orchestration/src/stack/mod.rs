//! Stacks as rows: their tables, the operations of the face, validation.

mod event_table;
mod model;
mod ops;
mod part_table;
mod schema;
mod signal_table;
mod stack_table;
mod validate;

use std::sync::Arc;

use db::Db;

pub(crate) use event_table::{insert as insert_event, prune as prune_events};
pub(crate) use model::{Data, EventRow, Part, SignalRow, StackRow, action_word};
pub(crate) use ops::Ops;
pub(crate) use part_table::{
    insert as insert_part, load as load_parts, remove as remove_part, update as update_part,
};
pub(crate) use schema::MIGRATIONS;
pub(crate) use signal_table::load as load_signals;
pub(crate) use stack_table::{
    load as load_stack, remove as remove_stack, save as save_stack, touch as touch_stack,
};
pub(crate) use validate::{bind, resolve, validate};

use crate::Sealer;

/// Where the rows are, and what seals their secrets.
#[derive(Clone)]
pub(crate) struct Store {
    pub db: Db,
    pub sealer: Arc<dyn Sealer>,
}
