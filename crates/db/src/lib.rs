//! A small façade over SQLite (embedded), PostgreSQL (scale-out) and MariaDB.
//! SQL is text with `?` placeholders in `table.rs` files. There is no trait
//! over the database; tests run on the three real databases.
//!
//! Schema rules: ids `varchar(36)`, times `bigint` microseconds, JSON `text`,
//! no RETURNING, no auto-increment, every DDL step can be repeated.

mod claim;
mod columns;
mod connect;
mod fault;
mod generation;
mod lease;
mod mark;
mod migrate;
mod outbox;
mod row;
mod sealed;
mod sqlite;
mod stamp;
mod statement_name;
mod table;
mod tx;
mod validity;
mod value;
mod wake;

pub use claim::{Due, claim, claim_for, search, tenants};
pub use connect::{Db, Dialect};
pub use fault::{DatabaseFaults, Point, Safeguards};
pub use generation::{check_generation, record_tombstone};
pub use lease::{Lease, RunOutcome, complete, maintain, next_due, release_all, renew};
pub use mark::{mark, mark_for, mark_now};
pub use migrate::{Migration, SCHEMA};
pub use outbox::{OutboxRow, outbox_after, outbox_drop, outbox_push};
pub use row::Row;
pub use sealed::{SealedColumn, SealedText};
pub use sqlite::SqliteRow;
pub use stamp::{KeyStamp, key_stamps};
pub use table::{Column, Json, Table, columns_of, unknown_stored_value};
pub use tx::{Attempts, Fenced, Tx, commit_with_receipt};
pub use validity::{LeaseLost, Validity};
pub use value::Value;
pub use wake::{Marked, Wakes};
