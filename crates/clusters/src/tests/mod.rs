//! Tests of the crate: fakes of the other services and a SQLite file.

mod api;
mod bodies;
mod calls;
mod cost;
pub(crate) mod fixture;
mod isolation;
mod kube;
mod kube_certs;
mod kube_flavours;
mod kube_heal;
mod kube_release;
mod kube_resize;
mod nodes;
mod pure;
mod races;
mod rollback;
mod routes;
mod sessions;
mod stored;
mod text;
