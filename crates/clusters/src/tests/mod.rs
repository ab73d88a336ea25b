//! Tests of the crate: a world with fakes of the faces and a SQLite file.

mod api;
mod nodes;
mod pure;
mod world;
