//! Private databases for tests, started and removed by the test that uses them.
#![expect(
    clippy::disallowed_methods,
    reason = "tests choose their databases by the environment"
)]
#![expect(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod corpus;
mod database;
mod mariadb;
mod postgres;

pub use corpus::replay;
pub use database::{TestDb, eventually, every_database};
pub use mariadb::MariaDb;
pub use postgres::Postgres;
