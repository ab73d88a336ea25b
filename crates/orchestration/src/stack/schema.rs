//! The tables. Columns named `*_sealed` hold sealed JSON, because parameters,
//! properties and attributes may contain secrets.

use db::{Migration, SealedColumn};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "orchestration-001-stack",
        sql: "CREATE TABLE IF NOT EXISTS stack (
            id varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL,
            user_id varchar(64) NOT NULL, name varchar(255) NOT NULL,
            template {text} NOT NULL, parameters_sealed {text} NOT NULL,
            previous_sealed {text}, outputs_sealed {text},
            timeout_mins bigint NOT NULL, disable_rollback boolean NOT NULL,
            owner_kind varchar(40), owner_id varchar(128),
            action varchar(16) NOT NULL, status varchar(16) NOT NULL,
            status_reason {text} NOT NULL, cause {text}, emptying boolean NOT NULL,
            generation bigint NOT NULL, traversal bigint NOT NULL,
            started_at bigint NOT NULL, deadline_at bigint NOT NULL, created_at bigint NOT NULL)",
    },
    Migration {
        name: "orchestration-002-stack-name",
        sql: "CREATE UNIQUE INDEX stack_name ON stack (project_id, name)",
    },
    Migration {
        name: "orchestration-003-resource",
        sql: "CREATE TABLE IF NOT EXISTS resource (
            id varchar(36) NOT NULL PRIMARY KEY, stack_id varchar(36) NOT NULL,
            name varchar(255) NOT NULL, parent_id varchar(36), resource_type varchar(255) NOT NULL,
            physical_id varchar(64), action varchar(16) NOT NULL, status varchar(16) NOT NULL,
            status_reason {text} NOT NULL, properties_sealed {text} NOT NULL,
            attributes_sealed {text} NOT NULL, data {text} NOT NULL, requires {text} NOT NULL,
            replaces varchar(36), doomed boolean NOT NULL, retain boolean NOT NULL,
            traversal bigint NOT NULL, started_at bigint NOT NULL, updated_at bigint NOT NULL)",
    },
    Migration {
        name: "orchestration-004-resource-stack",
        sql: "CREATE INDEX resource_stack ON resource (stack_id)",
    },
    Migration {
        name: "orchestration-005-stack-event",
        sql: "CREATE TABLE IF NOT EXISTS stack_event (
            id varchar(36) NOT NULL PRIMARY KEY, stack_id varchar(36) NOT NULL,
            at bigint NOT NULL, seq bigint NOT NULL, resource varchar(255) NOT NULL,
            resource_type varchar(255) NOT NULL, physical_id varchar(64),
            action varchar(16) NOT NULL, status varchar(16) NOT NULL, reason {text} NOT NULL)",
    },
    Migration {
        name: "orchestration-006-stack-event-stack",
        sql: "CREATE INDEX stack_event_stack ON stack_event (stack_id, at, seq)",
    },
    Migration {
        name: "orchestration-007-stack-signal",
        sql: "CREATE TABLE IF NOT EXISTS stack_signal (
            stack_id varchar(36) NOT NULL, handle varchar(36) NOT NULL,
            signal_id varchar(128) NOT NULL, status varchar(16) NOT NULL, reason {text} NOT NULL,
            data_sealed {text} NOT NULL, at bigint NOT NULL,
            PRIMARY KEY (stack_id, handle, signal_id))",
    },
    Migration {
        name: "orchestration-008-stack-signal-seq",
        sql: "ALTER TABLE stack_signal ADD COLUMN seq bigint NOT NULL DEFAULT 0",
    },
    Migration {
        name: "orchestration-009-stack-signal-generation",
        sql: "ALTER TABLE stack_signal ADD COLUMN generation bigint NOT NULL DEFAULT 0",
    },
    Migration {
        name: "orchestration-010-stack-signal-order",
        sql: "CREATE INDEX stack_signal_seq ON stack_signal (stack_id, seq)",
    },
    Migration {
        name: "orchestration-011-stack-unhealthy",
        sql: "CREATE TABLE IF NOT EXISTS stack_unhealthy (
            stack_id varchar(36) NOT NULL, resource_id varchar(36) NOT NULL,
            traversal bigint NOT NULL, incident varchar(128) NOT NULL, reason {text} NOT NULL,
            PRIMARY KEY (stack_id, resource_id))",
    },
];

/// All sealed columns. Their purpose must be that of the sealer which the server
/// passes to this crate.
pub(crate) fn sealed_columns() -> Vec<SealedColumn> {
    let column = |table, key, column| SealedColumn {
        table,
        key,
        column,
        purpose: "orchestration",
    };
    let signal: &[&str] = &["stack_id", "handle", "signal_id"];
    vec![
        column("stack", &["id"], "parameters_sealed"),
        column("stack", &["id"], "previous_sealed"),
        column("stack", &["id"], "outputs_sealed"),
        column("resource", &["id"], "properties_sealed"),
        column("resource", &["id"], "attributes_sealed"),
        column("stack_signal", signal, "data_sealed"),
    ]
}
