//! Networks. A network with a subnet is realised as one bridge on the host; a
//! network without a subnet is only a row and immediately ACTIVE.

mod leaks;
pub(crate) mod model;
mod ops;
mod reconcile;
pub(crate) mod table;
mod watch;

pub(crate) use leaks::leaks;
pub use model::host_name;
pub use ops::{PUBLIC_ID, seed};
pub(crate) use reconcile::{Bridges, KIND};
pub(crate) use watch::watch;
