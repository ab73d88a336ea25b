//! The one way in which anything slow happens: a key is leased, its
//! reconciler runs one step, the outcome says when to look again.

mod backlog;
mod counts;
mod driver;
mod renewal;
mod runs;
mod tasks;

pub use counts::{Counts, Figures};
pub use db::{Lease, mark, mark_for, mark_now};
pub use driver::{Driver, Next, Reconciler};
pub use tasks::{Tasks, Wrap};
