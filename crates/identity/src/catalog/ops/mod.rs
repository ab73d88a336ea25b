//! Creating, changing and deleting the objects of the catalogue. Each transaction
//! excludes the others, because they are rare.

pub(crate) mod endpoint;
pub(crate) mod region;
pub(crate) mod service;
