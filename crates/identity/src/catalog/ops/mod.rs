//! Creating, changing and deleting the objects of the catalogue. Each transaction
//! excludes the others, because they are rare.

pub(super) mod endpoint;
pub(super) mod region;
pub(super) mod service;
