//! Stacks as rows: their tables, the operations of the face, validation.

mod batches;
mod event_table;
mod model;
mod ops;
mod part_table;
mod report_table;
mod schema;
mod signal_table;
mod stack_table;
mod templates;
mod validate;

use std::sync::Arc;

use db::Db;

pub(crate) use event_table::{MAX_EVENTS, insert as insert_events, prune as prune_events};
pub(crate) use model::{
    Data, EventRow, Part, SignalRow, SignalStatus, Signals, StackRow, Told, Unhealthy, action_word,
};
pub(crate) use ops::Ops;
pub(crate) use part_table::{
    load as load_parts, remove as remove_parts, row as part_row, upsert as upsert_parts,
};
pub(crate) use report_table::{load as load_reports, remove as drop_reports};
pub(crate) use schema::MIGRATIONS;
pub(crate) use signal_table::load as load_signals;
pub(crate) use stack_table::{
    conclude as conclude_stack, hold as hold_stack, load as load_stack, peek as peek_stack,
    remove as remove_stack, touch as touch_stack,
};
pub(crate) use templates::Templates;
pub(crate) use validate::{bind, resolve, validate};

use crate::Sealer;

/// Where the rows are, and what seals their secrets.
#[derive(Clone)]
pub(crate) struct Store {
    pub db: Db,
    pub sealer: Arc<dyn Sealer>,
    pub templates: Arc<Templates>,
}
