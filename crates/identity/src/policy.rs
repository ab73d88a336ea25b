//! Access rules in the language of oslo.policy. `domain_id` of a target is set
//! only if actor and target are in the same domain.

use kernel::{Rule, rules};

/// The rules of identity.
#[must_use]
pub fn policies() -> &'static [&'static Rule] {
    RULES
}

const READ: &str = "rule:cloud_reader or rule:domain_reader";
const WRITE: &str = "rule:cloud_admin or rule:domain_manager";
const READ_OR_OWN: &str = "rule:cloud_reader or rule:domain_reader or rule:owner";
const ROLES: &str = "rule:cloud_reader or rule:domain_manager";

rules! {
    CLOUD_ADMIN = "cloud_admin", "role:admin", "Administrators of everything.";
    CLOUD_READER = "cloud_reader", "role:admin or (role:reader and system_scope:all)",
        "Callers who may read everything.";
    DOMAIN_READER = "domain_reader", "role:reader and domain_id:%(domain_id)s",
        "Callers who may read their own domain.";
    DOMAIN_MANAGER = "domain_manager", "role:manager and domain_id:%(domain_id)s",
        "Callers who manage their own domain.";
    OWNER = "owner", "user_id:%(user_id)s", "The user whom the object belongs to.";
    LIST_USERS = "identity:list_users", READ, "List users.";
    GET_USER = "identity:get_user", READ_OR_OWN, "Show a user.";
    CREATE_USER = "identity:create_user", WRITE, "Create a user.";
    UPDATE_USER = "identity:update_user", WRITE, "Change a user.";
    DELETE_USER = "identity:delete_user", WRITE, "Delete a user.";
    MANAGE_ADMIN = "identity:manage_admin", "rule:cloud_admin",
        "Change or delete a user with a role on the system or in a domain that the caller does not \
        manage, or with the role admin or service.";
    LIST_USER_PROJECTS = "identity:list_user_projects", READ_OR_OWN,
        "List the projects on which a user has a role.";
    LIST_PROJECTS = "identity:list_projects", READ, "List projects.";
    GET_PROJECT = "identity:get_project",
        "rule:cloud_reader or rule:domain_reader or project_id:%(project_id)s", "Show a project.";
    CREATE_PROJECT = "identity:create_project", WRITE, "Create a project.";
    UPDATE_PROJECT = "identity:update_project", WRITE, "Change a project.";
    DELETE_PROJECT = "identity:delete_project", WRITE, "Delete a project.";
    LIST_DOMAINS = "identity:list_domains", "",
        "List domains; callers see those that identity:get_domain allows.";
    GET_DOMAIN = "identity:get_domain", "rule:cloud_reader or domain_id:%(domain_id)s",
        "Show a domain.";
    CREATE_DOMAIN = "identity:create_domain", "rule:cloud_admin", "Create a domain.";
    UPDATE_DOMAIN = "identity:update_domain", "rule:cloud_admin", "Change a domain.";
    DELETE_DOMAIN = "identity:delete_domain", "rule:cloud_admin", "Delete a domain.";
    LIST_ROLES = "identity:list_roles", ROLES, "List roles.";
    GET_ROLE = "identity:get_role", ROLES, "Show a role.";
    CREATE_ROLE = "identity:create_role", "rule:cloud_admin", "Create a role.";
    UPDATE_ROLE = "identity:update_role", "rule:cloud_admin", "Change a role.";
    DELETE_ROLE = "identity:delete_role", "rule:cloud_admin", "Delete a role.";
    LIST_ROLE_INFERENCES = "identity:list_role_inference_rules", "rule:cloud_reader",
        "List which roles imply which.";
    LIST_GRANTS = "identity:list_grants", READ, "List the roles of a user on a target.";
    CHECK_GRANT = "identity:check_grant", READ, "Check a role of a user on a target.";
    CREATE_GRANT = "identity:create_grant", "rule:cloud_admin", "Grant any role.";
    REVOKE_GRANT = "identity:revoke_grant", "rule:cloud_admin", "Revoke any role.";
    MANAGE_GRANT = "identity:manage_grant", WRITE,
        "Grant and revoke the roles manager, member and reader.";
    LIST_SYSTEM_GRANTS = "identity:list_system_grants_for_user", "rule:cloud_reader",
        "List or check the roles of a user on the system.";
    CREATE_SYSTEM_GRANT = "identity:create_system_grant_for_user", "rule:cloud_admin",
        "Grant or revoke a role on the system.";
    LIST_ROLE_ASSIGNMENTS = "identity:list_role_assignments", READ, "List role assignments.";
    LIST_SERVICES = "identity:list_services", "rule:cloud_reader", "List or show services.";
    LIST_ENDPOINTS = "identity:list_endpoints", "rule:cloud_reader", "List or show endpoints.";
    LIST_GROUPS = "identity:list_groups", READ, "List groups.";
    LIST_APP_CREDENTIALS = "identity:list_application_credentials",
        "rule:cloud_reader or rule:owner", "List application credentials of a user.";
    GET_APP_CREDENTIAL = "identity:get_application_credential",
        "rule:cloud_reader or rule:owner", "Show an application credential.";
    CREATE_APP_CREDENTIAL = "identity:create_application_credential", "rule:owner",
        "Create an application credential.";
    DELETE_APP_CREDENTIAL = "identity:delete_application_credential",
        "rule:cloud_admin or rule:owner", "Delete an application credential.";
}
