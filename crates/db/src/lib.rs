//! A small façade over SQLite (embedded), PostgreSQL (scale-out) and MariaDB.
//! SQL is text with `?` placeholders in `table.rs` files. There is no trait
//! over the database; tests run on the three real databases.
//!
//! Schema rules: ids `varchar(36)`, times `bigint` microseconds, JSON `text`,
//! no RETURNING, no auto-increment, every DDL step can be repeated.

mod attempts;
mod claim;
mod columns;
mod completion;
mod database;
mod fault;
mod fenced;
mod generation;
mod lease;
mod maintenance;
mod mark;
mod migrate;
mod notify;
mod outbox;
mod pools;
mod renewal;
mod row;
mod schema;
mod sealed;
mod sqlite;
mod sqlite_rows;
mod stamp;
mod statement_name;
mod table;
mod tx;
mod validity;
mod value;
mod wake;

pub use attempts::{Attempts, commit_with_receipt};
pub use claim::{Due, claim, claim_for, next_due, projects_of, search};
pub use completion::{RunOutcome, complete};
pub use database::Db;
pub use fault::{DatabaseFaults, Point, Safeguards};
pub use fenced::Fenced;
pub use generation::{check_generation, record_tombstone};
pub use lease::Lease;
pub use maintenance::{maintain, release_all};
pub use mark::{mark, mark_for, mark_now};
pub use migrate::Migration;
pub use outbox::{OutboxRow, outbox_after, outbox_drop, outbox_push};
pub use pools::Dialect;
pub use renewal::renew;
pub use row::Row;
pub use schema::SCHEMA;
pub use sealed::{SealedColumn, SealedText};
pub use sqlite_rows::SqliteRow;
pub use stamp::{KeyStamp, key_stamps};
pub use table::{Column, Json, Table, columns_of, unknown_stored_value};
pub use tx::Tx;
pub use validity::{LeaseLost, Validity};
pub use value::Value;
pub use wake::{Marked, Wakes};
