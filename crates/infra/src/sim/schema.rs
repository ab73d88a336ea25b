//! Tables of the simulator.

use db::Migration;

pub(super) const STEPS: &[Migration] = &[
    Migration {
        name: "sim-001-container",
        sql: "CREATE TABLE IF NOT EXISTS sim_container (
            name varchar(128) NOT NULL PRIMARY KEY, id varchar(64) NOT NULL, label varchar(64) NOT NULL,
            state varchar(16) NOT NULL, exit_code bigint, oom boolean NOT NULL, spec {text} NOT NULL)",
    },
    Migration {
        name: "sim-002-volume",
        sql: "CREATE TABLE IF NOT EXISTS sim_volume (
            name varchar(128) NOT NULL PRIMARY KEY, labels {text} NOT NULL)",
    },
    Migration {
        name: "sim-003-image",
        sql: "CREATE TABLE IF NOT EXISTS sim_image (
            reference varchar(255) NOT NULL PRIMARY KEY, id varchar(80) NOT NULL, labels {text} NOT NULL)",
    },
    Migration {
        name: "sim-004-network",
        sql: "CREATE TABLE IF NOT EXISTS sim_network (
            name varchar(128) NOT NULL PRIMARY KEY, id varchar(64) NOT NULL, spec {text} NOT NULL)",
    },
    Migration {
        name: "sim-005-fault",
        sql: "CREATE TABLE IF NOT EXISTS sim_fault (
            id varchar(36) NOT NULL PRIMARY KEY, step varchar(32) NOT NULL, name varchar(128) NOT NULL,
            transient boolean NOT NULL, message {text} NOT NULL, times bigint NOT NULL)",
    },
    Migration {
        name: "sim-006-endpoint",
        sql: "CREATE TABLE IF NOT EXISTS sim_endpoint (
            container varchar(128) NOT NULL, network varchar(128) NOT NULL, PRIMARY KEY (container, network))",
    },
    Migration {
        name: "sim-007-process",
        sql: "CREATE TABLE IF NOT EXISTS sim_process (
            id varchar(36) NOT NULL PRIMARY KEY, alive_until bigint NOT NULL)",
    },
    Migration {
        name: "sim-008-agent",
        sql: "CREATE TABLE IF NOT EXISTS sim_agent (
            container varchar(128) NOT NULL PRIMARY KEY, process varchar(36) NOT NULL)",
    },
    Migration {
        name: "sim-009-member",
        sql: "CREATE TABLE IF NOT EXISTS sim_member (
            cluster varchar(36) NOT NULL, node varchar(128) NOT NULL, container varchar(128) NOT NULL,
            role varchar(16) NOT NULL,
            availability varchar(16) NOT NULL, address varchar(64) NOT NULL,
            PRIMARY KEY (cluster, node))",
    },
    Migration {
        name: "sim-010-mount",
        sql: "CREATE TABLE IF NOT EXISTS sim_mount (
            container varchar(128) NOT NULL, volume varchar(128) NOT NULL, PRIMARY KEY (container, volume))",
    },
    Migration {
        name: "sim-011-engine",
        sql: "CREATE TABLE IF NOT EXISTS sim_engine (one bigint NOT NULL PRIMARY KEY, id varchar(64) NOT NULL)",
    },
    // SQLite numbers the rows; the simulator uses no other database.
    Migration {
        name: "sim-012-effect",
        sql: "CREATE TABLE IF NOT EXISTS sim_effect (
            seq integer PRIMARY KEY AUTOINCREMENT, at bigint NOT NULL, call varchar(16) NOT NULL,
            object varchar(16) NOT NULL, name varchar(128) NOT NULL, id varchar(64) NOT NULL,
            engine_id varchar(64) NOT NULL, epoch bigint)",
    },
    // Objects are looked up by engine ids when they are changed or removed.
    Migration {
        name: "sim-013-container-id",
        sql: "CREATE INDEX sim_container_id ON sim_container (id)",
    },
    Migration {
        name: "sim-014-network-id",
        sql: "CREATE INDEX sim_network_id ON sim_network (id)",
    },
    Migration {
        name: "sim-015-mount-volume",
        sql: "CREATE INDEX sim_mount_volume ON sim_mount (volume)",
    },
    Migration {
        name: "sim-016-endpoint-network",
        sql: "CREATE INDEX sim_endpoint_network ON sim_endpoint (network)",
    },
    // Kept until it is released, also without the container.
    Migration {
        name: "sim-017-reservation",
        sql: "CREATE TABLE IF NOT EXISTS sim_reservation (
            container varchar(128) NOT NULL PRIMARY KEY, installation varchar(64) NOT NULL)",
    },
];
