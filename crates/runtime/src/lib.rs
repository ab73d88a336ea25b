//! Grants of id ranges to node containers, and `jeroboam-runtime`, the OCI runtime
//! that starts these containers in user namespaces. The server uses only the library.

pub mod grants;
mod range;
