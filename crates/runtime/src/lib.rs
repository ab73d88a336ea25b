//! Grants of id ranges to node containers, and `jeroboam-runtime`, the OCI runtime
//! that starts these containers in user namespaces. The server uses only the library.

pub mod cgroups;
mod devices;
pub mod grants;
pub mod identity;
pub mod leftovers;
pub mod mountinfo;
mod range;
