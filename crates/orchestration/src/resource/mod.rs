//! The resource types: one file each, registered in `registry`.
//!
//! A local type is a pure function of its properties and of signals; a remote
//! type calls a service. The engine chooses the ids of objects, so that every call
//! can be repeated.

mod group;
mod net;
mod network_lookup;
mod none;
mod operations;
mod port;
mod properties;
mod random_string;
mod registry;
mod router;
mod router_interface;
mod schema;
mod security_group;
mod server;
mod step;
mod subnet;
mod value;
mod wait_condition;
mod wait_handle;

pub(crate) use group::GroupProps;
pub(crate) use operations::Job;
pub(crate) use registry::{Remotes, Role, Type, find};
pub(crate) use schema::Schema;
pub(crate) use step::{Progress, Removal, StepError};
