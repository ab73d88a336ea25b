//! Tables of the network service.

use db::Migration;

/// The migrations of this crate, in order.
#[must_use]
pub fn migrations() -> &'static [Migration] {
    STEPS
}

const STEPS: &[Migration] = &[
    Migration {
        name: "network-001-network",
        sql: "CREATE TABLE IF NOT EXISTS network (
            id varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL, name varchar(255) NOT NULL,
            is_external boolean NOT NULL, status varchar(16) NOT NULL, status_reason {text},
            changed_at bigint NOT NULL, owner_kind varchar(40), owner_id varchar(128), created_at bigint NOT NULL)",
    },
    Migration {
        name: "network-002-network-name",
        sql: "CREATE INDEX network_name ON network (name)",
    },
    Migration {
        name: "network-003-subnet",
        sql: "CREATE TABLE IF NOT EXISTS subnet (
            id varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL, network_id varchar(36) NOT NULL,
            name varchar(255) NOT NULL, cidr varchar(43) NOT NULL, gateway_ip varchar(39) NOT NULL,
            dns {text} NOT NULL, deleting boolean NOT NULL, owner_kind varchar(40), owner_id varchar(128),
            created_at bigint NOT NULL)",
    },
    // Two bridges of a machine cannot have overlapping ranges.
    Migration {
        name: "network-004-subnet-cidr",
        sql: "CREATE UNIQUE INDEX subnet_cidr ON subnet (cidr)",
    },
    Migration {
        name: "network-005-subnet-network",
        sql: "CREATE UNIQUE INDEX subnet_network ON subnet (network_id)",
    },
    Migration {
        name: "network-006-port",
        sql: "CREATE TABLE IF NOT EXISTS port (
            id varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL, network_id varchar(36) NOT NULL,
            subnet_id varchar(36) NOT NULL, name varchar(255) NOT NULL, ip varchar(39) NOT NULL,
            ip_number bigint NOT NULL, mac varchar(17) NOT NULL, security_groups {text} NOT NULL,
            device_id varchar(64), owner_kind varchar(40), owner_id varchar(128), created_at bigint NOT NULL)",
    },
    Migration {
        name: "network-007-port-ip",
        sql: "CREATE UNIQUE INDEX port_ip ON port (network_id, ip_number)",
    },
    Migration {
        name: "network-008-port-device",
        sql: "CREATE INDEX port_device ON port (device_id)",
    },
    Migration {
        name: "network-009-router",
        sql: "CREATE TABLE IF NOT EXISTS router (
            id varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL, name varchar(255) NOT NULL,
            external_network varchar(36), created_at bigint NOT NULL)",
    },
    Migration {
        name: "network-010-router-interface",
        sql: "CREATE TABLE IF NOT EXISTS router_interface (
            router_id varchar(36) NOT NULL, subnet_id varchar(36) NOT NULL, PRIMARY KEY (router_id, subnet_id))",
    },
    Migration {
        name: "network-011-security-group",
        sql: "CREATE TABLE IF NOT EXISTS security_group (
            id varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL, name varchar(255) NOT NULL,
            description {text} NOT NULL, rules {text} NOT NULL, created_at bigint NOT NULL)",
    },
    // A bridge of an earlier release counts as the first build.
    Migration {
        name: "network-012-network-build",
        sql: "ALTER TABLE network ADD COLUMN build bigint NOT NULL DEFAULT 1",
    },
    Migration {
        name: "network-013-router-subnet",
        sql: "CREATE INDEX router_interface_subnet ON router_interface (subnet_id)",
    },
];
