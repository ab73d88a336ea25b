//! The tables of identity.
//!
//! A transaction that depends on several rows locks them in this order, so that no two
//! transactions wait for each other:
//!
//! 1. one domain; a transaction that locks several projects has locked their domain,
//! 2. projects, by their ids,
//! 3. users, by their ids,
//! 4. groups, by their ids,
//! 5. roles, by their ids,
//! 6. an application credential, or a credential of a user,
//! 7. trusts, each before those that were redelegated from it.
//!
//! The lock of a domain excludes other changes of its projects, new users, new groups and new
//! roles of the domain. A grant locks its target, its user or group, and its role; a
//! membership its user and its group. Statements that delete many assignments or revoke the
//! tokens of many users can still wait for each other; the database aborts one of the
//! transactions, which is then repeated. On SQLite a write transaction excludes all others.
//! Changes of the catalogue, of the endpoints that policies apply to and of those that
//! projects are associated with exclude each other by `Tx::serialize`, before all locks.

use db::{Migration, SealedColumn};

use crate::{domain_config, oauth_consumer, user_credential};

/// Migrations, in order.
#[must_use]
pub fn migrations() -> &'static [Migration] {
    &[
        // A domain is a project with `is_domain`, as in Keystone.
        Migration {
            name: "identity-001-project",
            sql: "CREATE TABLE IF NOT EXISTS project (id varchar(64) NOT NULL PRIMARY KEY,
                name varchar(64) NOT NULL, domain_id varchar(64) NOT NULL, parent_id varchar(64),
                is_domain boolean NOT NULL, enabled boolean NOT NULL, description {text} NOT NULL,
                UNIQUE (domain_id, name))",
        },
        Migration {
            name: "identity-002-user",
            sql: "CREATE TABLE IF NOT EXISTS identity_user (id varchar(64) NOT NULL PRIMARY KEY,
                name varchar(255) NOT NULL, domain_id varchar(64) NOT NULL, password_hash {text},
                enabled boolean NOT NULL, default_project_id varchar(64), email varchar(255),
                description {text} NOT NULL, tokens_after bigint NOT NULL, UNIQUE (domain_id, name))",
        },
        Migration {
            name: "identity-003-role",
            sql: "CREATE TABLE IF NOT EXISTS identity_role (id varchar(64) NOT NULL PRIMARY KEY,
                name varchar(255) NOT NULL UNIQUE, description {text} NOT NULL)",
        },
        Migration {
            name: "identity-004-implied-role",
            sql: "CREATE TABLE IF NOT EXISTS implied_role (prior_id varchar(64) NOT NULL,
                implied_id varchar(64) NOT NULL, PRIMARY KEY (prior_id, implied_id))",
        },
        // target_kind is project, domain or system; the system's target is 'all'.
        Migration {
            name: "identity-005-assignment",
            sql: "CREATE TABLE IF NOT EXISTS role_assignment (user_id varchar(64) NOT NULL,
                target_kind varchar(10) NOT NULL, target_id varchar(64) NOT NULL,
                role_id varchar(64) NOT NULL,
                PRIMARY KEY (user_id, target_kind, target_id, role_id))",
        },
        Migration {
            name: "identity-006-revoked",
            sql: "CREATE TABLE IF NOT EXISTS revoked_token (audit_id varchar(32) NOT NULL PRIMARY KEY,
                expires_at bigint NOT NULL)",
        },
        Migration {
            name: "identity-007-app-credential",
            sql: "CREATE TABLE IF NOT EXISTS app_credential (id varchar(64) NOT NULL PRIMARY KEY,
                name varchar(255) NOT NULL, user_id varchar(64) NOT NULL, project_id varchar(64) NOT NULL,
                secret_hash {text} NOT NULL, roles {text} NOT NULL, description {text},
                expires_at bigint, unrestricted boolean NOT NULL, UNIQUE (user_id, name))",
        },
        Migration {
            name: "identity-008-user-options",
            sql: "ALTER TABLE identity_user ADD COLUMN options {text}",
        },
        Migration {
            name: "identity-009-user-extra",
            sql: "ALTER TABLE identity_user ADD COLUMN extra {text}",
        },
        Migration {
            name: "identity-010-project-options",
            sql: "ALTER TABLE project ADD COLUMN options {text}",
        },
        Migration {
            name: "identity-011-project-extra",
            sql: "ALTER TABLE project ADD COLUMN extra {text}",
        },
        Migration {
            name: "identity-012-role-options",
            sql: "ALTER TABLE identity_role ADD COLUMN options {text}",
        },
        Migration {
            name: "identity-013-project-tokens-after",
            sql: "ALTER TABLE project ADD COLUMN tokens_after bigint NOT NULL DEFAULT 0",
        },
        Migration {
            name: "identity-014-group",
            sql: "CREATE TABLE IF NOT EXISTS identity_group (id varchar(64) NOT NULL PRIMARY KEY,
                name varchar(64) NOT NULL, domain_id varchar(64) NOT NULL,
                description {text} NOT NULL, extra {text}, UNIQUE (domain_id, name))",
        },
        Migration {
            name: "identity-015-group-member",
            sql: "CREATE TABLE IF NOT EXISTS group_member (group_id varchar(64) NOT NULL,
                user_id varchar(64) NOT NULL, PRIMARY KEY (group_id, user_id))",
        },
        Migration {
            name: "identity-016-group-member-user",
            sql: "CREATE INDEX group_member_user ON group_member (user_id)",
        },
        // As role_assignment, which has those of users.
        Migration {
            name: "identity-017-group-assignment",
            sql: "CREATE TABLE IF NOT EXISTS group_assignment (group_id varchar(64) NOT NULL,
                target_kind varchar(10) NOT NULL, target_id varchar(64) NOT NULL,
                role_id varchar(64) NOT NULL,
                PRIMARY KEY (group_id, target_kind, target_id, role_id))",
        },
        Migration {
            name: "identity-018-region",
            sql: "CREATE TABLE IF NOT EXISTS identity_region (id varchar(255) NOT NULL PRIMARY KEY,
                description {text} NOT NULL, parent_region_id varchar(255), extra {text})",
        },
        Migration {
            name: "identity-019-service",
            sql: "CREATE TABLE IF NOT EXISTS identity_service (id varchar(64) NOT NULL PRIMARY KEY,
                type varchar(255) NOT NULL, name varchar(255) NOT NULL, description {text},
                enabled boolean NOT NULL, extra {text})",
        },
        Migration {
            name: "identity-020-endpoint",
            sql: "CREATE TABLE IF NOT EXISTS identity_endpoint (id varchar(64) NOT NULL PRIMARY KEY,
                service_id varchar(64) NOT NULL, region_id varchar(255),
                interface varchar(8) NOT NULL, url {text} NOT NULL, enabled boolean NOT NULL,
                extra {text})",
        },
        Migration {
            name: "identity-021-project-tags",
            sql: "ALTER TABLE project ADD COLUMN tags {text}",
        },
        // Roles on all projects below a project, or of a domain. They have tables of their
        // own, because a server of an older release would apply them to the target itself.
        Migration {
            name: "identity-022-inherited-assignment",
            sql: "CREATE TABLE IF NOT EXISTS inherited_assignment (user_id varchar(64) NOT NULL,
                target_kind varchar(10) NOT NULL, target_id varchar(64) NOT NULL,
                role_id varchar(64) NOT NULL,
                PRIMARY KEY (user_id, target_kind, target_id, role_id))",
        },
        Migration {
            name: "identity-023-inherited-group-assignment",
            sql: "CREATE TABLE IF NOT EXISTS inherited_group_assignment (
                group_id varchar(64) NOT NULL,
                target_kind varchar(10) NOT NULL, target_id varchar(64) NOT NULL,
                role_id varchar(64) NOT NULL,
                PRIMARY KEY (group_id, target_kind, target_id, role_id))",
        },
        // Roles of one domain. They have a table of their own, because the names of roles are
        // unique in the other one, and because a server of an older release would put them
        // into tokens.
        Migration {
            name: "identity-024-domain-role",
            sql: "CREATE TABLE IF NOT EXISTS identity_domain_role (
                id varchar(64) NOT NULL PRIMARY KEY, name varchar(255) NOT NULL,
                domain_id varchar(64) NOT NULL, description {text} NOT NULL, options {text},
                UNIQUE (domain_id, name))",
        },
        // Tokens that were issued before this time are revoked; null for all.
        Migration {
            name: "identity-025-revoked-before",
            sql: "ALTER TABLE revoked_token ADD COLUMN issued_before bigint",
        },
        // The unique constraints, which the key implies, are indexes.
        Migration {
            name: "identity-026-trust",
            sql: "CREATE TABLE IF NOT EXISTS identity_trust (id varchar(64) NOT NULL PRIMARY KEY,
                trustor_user_id varchar(64) NOT NULL, trustee_user_id varchar(64) NOT NULL,
                project_id varchar(64), impersonation boolean NOT NULL, roles {text} NOT NULL,
                expires_at bigint, remaining_uses bigint, redelegated_trust_id varchar(64),
                redelegation_count bigint NOT NULL, extra {text},
                UNIQUE (trustor_user_id, id), UNIQUE (trustee_user_id, id),
                UNIQUE (project_id, id), UNIQUE (redelegated_trust_id, id))",
        },
        Migration {
            name: "identity-027-credential",
            sql: "CREATE TABLE IF NOT EXISTS identity_credential (id varchar(64) NOT NULL PRIMARY KEY,
                user_id varchar(64) NOT NULL, project_id varchar(64), type varchar(255) NOT NULL,
                blob_sealed {text} NOT NULL, extra {text}, UNIQUE (user_id, id))",
        },
        Migration {
            name: "identity-028-domain-option",
            sql: "CREATE TABLE IF NOT EXISTS identity_domain_option (domain_id varchar(64) NOT NULL,
                group_name varchar(64) NOT NULL, option_name varchar(64) NOT NULL,
                value {text} NOT NULL, PRIMARY KEY (domain_id, group_name, option_name))",
        },
        // Sensitive options, which are not shown.
        Migration {
            name: "identity-029-domain-secret",
            sql: "CREATE TABLE IF NOT EXISTS identity_domain_secret (domain_id varchar(64) NOT NULL,
                group_name varchar(64) NOT NULL, option_name varchar(64) NOT NULL,
                value_sealed {text} NOT NULL, PRIMARY KEY (domain_id, group_name, option_name))",
        },
        Migration {
            name: "identity-030-policy",
            sql: "CREATE TABLE IF NOT EXISTS identity_policy (id varchar(64) NOT NULL PRIMARY KEY,
                type varchar(255) NOT NULL, blob_text {text} NOT NULL, extra {text})",
        },
        // The policy of an endpoint, a service, or a service in a region; the other
        // columns of the target are empty.
        Migration {
            name: "identity-031-policy-link",
            sql: "CREATE TABLE IF NOT EXISTS identity_policy_link (endpoint_id varchar(64) NOT NULL,
                service_id varchar(64) NOT NULL, region_id varchar(255) NOT NULL,
                policy_id varchar(64) NOT NULL, PRIMARY KEY (endpoint_id, service_id, region_id))",
        },
        Migration {
            name: "identity-032-endpoint-group",
            sql: "CREATE TABLE IF NOT EXISTS identity_endpoint_group (id varchar(64) NOT NULL PRIMARY KEY,
                name varchar(255) NOT NULL, description {text}, filters {text} NOT NULL)",
        },
        Migration {
            name: "identity-033-oauth-consumer",
            sql: "CREATE TABLE IF NOT EXISTS identity_oauth_consumer (id varchar(64) NOT NULL PRIMARY KEY,
                description {text}, secret_sealed {text} NOT NULL, extra {text})",
        },
        // kind is endpoint or group.
        Migration {
            name: "identity-034-project-endpoint",
            sql: "CREATE TABLE IF NOT EXISTS identity_project_endpoint (project_id varchar(64) NOT NULL,
                kind varchar(10) NOT NULL, linked_id varchar(64) NOT NULL,
                PRIMARY KEY (project_id, kind, linked_id))",
        },
        Migration {
            name: "identity-035-access-rule",
            sql: "CREATE TABLE IF NOT EXISTS identity_access_rule (id varchar(64) NOT NULL PRIMARY KEY,
                user_id varchar(64) NOT NULL, service varchar(64) NOT NULL,
                path varchar(225) NOT NULL, method varchar(16) NOT NULL, UNIQUE (user_id, id))",
        },
        Migration {
            name: "identity-036-app-credential-access-rules",
            sql: "ALTER TABLE app_credential ADD COLUMN access_rules {text}",
        },
        Migration {
            name: "identity-037-role-extra",
            sql: "ALTER TABLE identity_role ADD COLUMN extra {text}",
        },
        Migration {
            name: "identity-038-domain-role-extra",
            sql: "ALTER TABLE identity_domain_role ADD COLUMN extra {text}",
        },
    ]
}

/// All sealed columns.
#[must_use]
pub fn sealed_columns() -> Vec<SealedColumn> {
    vec![
        SealedColumn {
            table: "identity_credential",
            key: &["id"],
            column: "blob_sealed",
            purpose: user_credential::PURPOSE,
        },
        SealedColumn {
            table: "identity_domain_secret",
            key: &["domain_id", "group_name", "option_name"],
            column: "value_sealed",
            purpose: domain_config::PURPOSE,
        },
        SealedColumn {
            table: "identity_oauth_consumer",
            key: &["id"],
            column: "secret_sealed",
            purpose: oauth_consumer::PURPOSE,
        },
    ]
}

#[cfg(test)]
mod tests;
