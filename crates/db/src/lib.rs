//! One small façade over SQLite (embedded), PostgreSQL (scale-out) and
//! MariaDB. SQL is text with `?` placeholders in `table.rs` files; there is
//! no trait over the database, so three real servers are the test doubles.
//!
//! Schema rules: ids `varchar(36)`, times `bigint` microseconds, JSON `text`,
//! no RETURNING, no auto-increment, every DDL step can be run again.

mod connect;
mod lease;
mod migrate;
mod outbox;
mod row;
mod stamp;
mod tx;
mod value;
mod wake;

pub use connect::{Db, Dialect};
pub use lease::{Claim, Dirty, Lease, claim, complete, mark, mark_at, release_all, renew};
pub use migrate::Migration;
pub use outbox::{OutboxRow, outbox_after, outbox_drop, outbox_push};
pub use row::Row;
pub use stamp::{KeyStamp, key_stamps};
pub use tx::Tx;
pub use value::Value;
pub use wake::Wakes;
