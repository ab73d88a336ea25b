//! Access rules in the language of oslo.policy. `domain_id` of a target is set
//! only if actor and target are in the same domain.

/// The default rules of identity, by name.
#[must_use]
pub fn policies() -> &'static [(&'static str, &'static str)] {
    RULES
}

const READ: &str = "rule:cloud_reader or rule:domain_reader";
const WRITE: &str = "rule:cloud_admin or rule:domain_manager";

const RULES: &[(&str, &str)] = &[
    ("cloud_admin", "role:admin"),
    (
        "cloud_reader",
        "role:admin or (role:reader and system_scope:all)",
    ),
    ("domain_reader", "role:reader and domain_id:%(domain_id)s"),
    ("domain_manager", "role:manager and domain_id:%(domain_id)s"),
    ("owner", "user_id:%(user_id)s"),
    ("identity:list_users", READ),
    (
        "identity:get_user",
        "rule:cloud_reader or rule:domain_reader or rule:owner",
    ),
    ("identity:create_user", WRITE),
    ("identity:update_user", WRITE),
    ("identity:delete_user", WRITE),
    (
        "identity:list_user_projects",
        "rule:cloud_reader or rule:domain_reader or rule:owner",
    ),
    ("identity:list_projects", READ),
    (
        "identity:get_project",
        "rule:cloud_reader or rule:domain_reader or project_id:%(project_id)s",
    ),
    ("identity:create_project", WRITE),
    ("identity:update_project", WRITE),
    ("identity:delete_project", WRITE),
    (
        "identity:get_domain",
        "rule:cloud_reader or domain_id:%(domain_id)s",
    ),
    ("identity:create_domain", "rule:cloud_admin"),
    ("identity:update_domain", "rule:cloud_admin"),
    ("identity:delete_domain", "rule:cloud_admin"),
    ("identity:list_roles", WRITE_OR_READ),
    ("identity:get_role", WRITE_OR_READ),
    ("identity:create_role", "rule:cloud_admin"),
    ("identity:update_role", "rule:cloud_admin"),
    ("identity:delete_role", "rule:cloud_admin"),
    ("identity:list_role_inference_rules", "rule:cloud_reader"),
    ("identity:list_grants", READ),
    ("identity:check_grant", READ),
    ("identity:create_grant", "rule:cloud_admin"),
    ("identity:revoke_grant", "rule:cloud_admin"),
    // Limited to the roles manager, member and reader.
    ("identity:manage_grant", WRITE),
    ("identity:list_system_grants_for_user", "rule:cloud_reader"),
    ("identity:create_system_grant_for_user", "rule:cloud_admin"),
    ("identity:list_role_assignments", READ),
    ("identity:list_services", "rule:cloud_reader"),
    ("identity:list_endpoints", "rule:cloud_reader"),
    ("identity:list_groups", READ),
    (
        "identity:list_application_credentials",
        "rule:cloud_reader or rule:owner",
    ),
    (
        "identity:get_application_credential",
        "rule:cloud_reader or rule:owner",
    ),
    ("identity:create_application_credential", "rule:owner"),
    (
        "identity:delete_application_credential",
        "rule:cloud_admin or rule:owner",
    ),
];

const WRITE_OR_READ: &str = "rule:cloud_reader or rule:domain_manager";
