//! Tables of the compute service.

use db::{Migration, SealedColumn};

/// The migrations of this crate, in order.
#[must_use]
pub fn migrations() -> &'static [Migration] {
    STEPS
}

const STEPS: &[Migration] = &[
    Migration {
        name: "compute-001-flavor",
        sql: "CREATE TABLE IF NOT EXISTS flavor (
            id varchar(64) NOT NULL PRIMARY KEY, name varchar(255) NOT NULL,
            vcpus bigint NOT NULL, ram bigint NOT NULL, disk bigint NOT NULL)",
    },
    Migration {
        name: "compute-002-flavor-name",
        sql: "CREATE UNIQUE INDEX flavor_name ON flavor (name)",
    },
    // An empty project means that the keypair is shared.
    Migration {
        name: "compute-003-keypair",
        sql: "CREATE TABLE IF NOT EXISTS keypair (
            name varchar(255) NOT NULL, project_id varchar(64) NOT NULL, public_key {text} NOT NULL,
            fingerprint varchar(64) NOT NULL, PRIMARY KEY (name, project_id))",
    },
    Migration {
        name: "compute-004-image",
        sql: "CREATE TABLE IF NOT EXISTS image (
            id varchar(36) NOT NULL PRIMARY KEY, name varchar(255) NOT NULL, os_distro varchar(64),
            properties {text} NOT NULL, reference varchar(255) NOT NULL, created_at bigint NOT NULL,
            updated_at bigint NOT NULL)",
    },
    Migration {
        name: "compute-005-image-name",
        sql: "CREATE UNIQUE INDEX image_name ON image (name)",
    },
    Migration {
        name: "compute-006-host",
        sql: "CREATE TABLE IF NOT EXISTS host (
            name varchar(255) NOT NULL PRIMARY KEY, vcpus bigint NOT NULL, ram bigint NOT NULL,
            vcpus_used bigint NOT NULL, ram_used bigint NOT NULL, version varchar(64) NOT NULL,
            seen_at bigint NOT NULL)",
    },
    Migration {
        name: "compute-007-server",
        sql: "CREATE TABLE IF NOT EXISTS server (
            id varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL, user_id varchar(64) NOT NULL,
            name varchar(255) NOT NULL, status varchar(16) NOT NULL, progress {text},
            fault_code bigint, fault {text}, image_id varchar(36) NOT NULL, reference varchar(255) NOT NULL,
            is_node boolean NOT NULL, flavor_id varchar(64) NOT NULL, vcpus bigint NOT NULL, ram bigint NOT NULL,
            host varchar(255), networks {text} NOT NULL, addresses {text} NOT NULL, user_data {text},
            metadata {text} NOT NULL, trouble_since bigint, launched_at bigint,
            owner_kind varchar(40), owner_id varchar(128), created_at bigint NOT NULL)",
    },
    Migration {
        name: "compute-008-server-project",
        sql: "CREATE INDEX server_project ON server (project_id)",
    },
    // No foreign key, because an entry may outlive all other rows.
    Migration {
        name: "compute-009-ledger",
        sql: "CREATE TABLE IF NOT EXISTS ledger (
            name varchar(128) NOT NULL PRIMARY KEY, object varchar(16) NOT NULL, server_id varchar(36) NOT NULL,
            host varchar(255) NOT NULL, created_at bigint NOT NULL)",
    },
    Migration {
        name: "compute-010-ledger-server",
        sql: "CREATE INDEX ledger_server ON ledger (server_id)",
    },
    Migration {
        name: "compute-011-server-owner",
        sql: "CREATE INDEX server_owner ON server (owner_kind, owner_id)",
    },
    // Copied from the image when the server was created.
    Migration {
        name: "compute-012-server-flavour",
        sql: "ALTER TABLE server ADD COLUMN flavour varchar(16) NOT NULL DEFAULT 'own'",
    },
    // Number of the current build; labels of objects contain the number of
    // their build.
    Migration {
        name: "compute-013-server-build",
        sql: "ALTER TABLE server ADD COLUMN build bigint NOT NULL DEFAULT 1",
    },
    // The generation of the caller in the last rebuild.
    Migration {
        name: "compute-014-server-rebuilt",
        sql: "ALTER TABLE server ADD COLUMN rebuilt_generation bigint",
    },
    Migration {
        name: "compute-015-ledger-build",
        sql: "ALTER TABLE ledger ADD COLUMN build bigint NOT NULL DEFAULT 1",
    },
    Migration {
        name: "compute-016-host-engine",
        sql: "ALTER TABLE host ADD COLUMN engine_id varchar(128)",
    },
    // The strongest isolation level of the host, and what it lacks for a
    // stronger one.
    Migration {
        name: "compute-017-host-isolation",
        sql: "ALTER TABLE host ADD COLUMN isolation varchar(20) NOT NULL DEFAULT 'host-root'",
    },
    Migration {
        name: "compute-018-host-isolation-missing",
        sql: "ALTER TABLE host ADD COLUMN isolation_missing {text}",
    },
    Migration {
        name: "compute-019-server-isolation",
        sql: "ALTER TABLE server ADD COLUMN isolation varchar(20) NOT NULL DEFAULT 'host-root'",
    },
];

/// The sealed columns of this crate.
#[must_use]
pub fn sealed_columns() -> Vec<SealedColumn> {
    vec![SealedColumn {
        table: "server",
        key: &["id"],
        column: "user_data",
        purpose: "compute",
    }]
}
