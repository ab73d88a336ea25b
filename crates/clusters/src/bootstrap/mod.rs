//! The server side of the bootstrap protocol: what agents inside of nodes
//! report and ask. It is served on a listener of its own.

pub(crate) mod assign;
pub(crate) mod feed;
pub(crate) mod http;
pub(crate) mod kube;
pub(crate) mod ops;
pub(crate) mod poll;
pub(crate) mod session;
