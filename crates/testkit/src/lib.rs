//! A private world for a test: databases of its own, started and removed by
//! the test that uses them.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set its world up fails"
)]

mod database;
mod mariadb;
mod postgres;

pub use database::{TestDb, eventually, every_database};
pub use mariadb::MariaDb;
pub use postgres::Postgres;
