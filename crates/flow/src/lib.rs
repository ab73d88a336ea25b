//! The one way in which anything slow happens: a key is leased, its
//! reconciler runs one step, the outcome says when to look again.

mod driver;
mod tasks;

pub use db::{Lease, mark, mark_at};
pub use driver::{Driver, Next, Reconciler};
pub use tasks::Tasks;
