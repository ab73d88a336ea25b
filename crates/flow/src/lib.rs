//! The single mechanism for slow operations: a key is leased, its reconciler
//! runs one step, and the outcome determines the next run.

mod backlog;
mod counts;
mod driver;
mod latest;
mod renewal;
mod runs;
mod tasks;

pub use counts::{CounterValues, Counts};
pub use db::{Lease, mark, mark_for, mark_now};
pub use driver::{Driver, Next, Reconciler};
pub use latest::Latest;
pub use tasks::{Tasks, Wrap};
