//! The tables of identity.

use db::Migration;

/// Schema steps, in order.
#[must_use]
pub fn migrations() -> &'static [Migration] {
    &[
        // A domain is a project that acts as one, as in Keystone.
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
    ]
}
