//! Stacks as rows: tables, operations of the interface, validation.

mod batches;
mod event_table;
mod model;
mod ops;
mod report_table;
mod resource_ops;
mod resource_table;
mod schema;
mod signal_table;
mod stack_table;
mod templates;
pub(crate) mod validate;

use std::sync::Arc;

use db::Db;

pub(crate) use event_table::{MAX_EVENTS, insert as insert_events, prune as prune_events};
pub(crate) use model::{
    Data, EventRow, HandleSignals, ResourceRow, SignalRow, SignalStatus, Signals, StackRow,
    Unhealthy, action_word,
};
pub(crate) use ops::Ops;
pub(crate) use report_table::{load as load_reports, remove as remove_reports};
pub(crate) use resource_table::{
    load as load_resources, remove as remove_resources, row as resource_row,
    upsert as upsert_resources,
};
pub(crate) use schema::{MIGRATIONS, sealed_columns};
pub(crate) use signal_table::load as load_signals;
pub(crate) use stack_table::{
    conclude as conclude_stack, load as load_stack, load_head as load_stack_head,
    lock_traversal as lock_stack_traversal, remove as remove_stack,
    save_reason as save_stack_reason,
};
pub(crate) use templates::Templates;
pub(crate) use validate::{bind, resolve, validate};

use crate::Sealer;

/// The database, and the sealer of secrets.
#[derive(Clone)]
pub(crate) struct Store {
    pub db: Db,
    pub sealer: Arc<dyn Sealer>,
    pub templates: Arc<Templates>,
}
