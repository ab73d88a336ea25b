//! Tests of the crate: a world with fakes of the faces and a SQLite file.

mod api;
mod calls;
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
mod sessions;
mod stored;
pub(crate) mod world;
