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
const READ_OR_OWN_PROJECT: &str =
    "rule:cloud_reader or rule:domain_reader or project_id:%(project_id)s";
const READ_ACCESS_RULE: &str = "(role:reader and system_scope:all) or rule:owner";
const READ_TRUST: &str = "rule:cloud_reader or rule:owner";
const EC2_WRITE: &str = "rule:cloud_admin or (role:member and rule:owner)";
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
        "Change or delete a user, or the members of a group, with a role on the system or in a domain \
        that the caller does not manage, or with the role admin or service.";
    LIST_USER_PROJECTS = "identity:list_user_projects", READ_OR_OWN,
        "List the projects on which a user has a role.";
    LIST_PROJECTS = "identity:list_projects", READ, "List projects.";
    GET_PROJECT = "identity:get_project", READ_OR_OWN_PROJECT, "Show a project.";
    CREATE_PROJECT = "identity:create_project", WRITE, "Create a project.";
    UPDATE_PROJECT = "identity:update_project", WRITE, "Change a project.";
    DELETE_PROJECT = "identity:delete_project", WRITE, "Delete a project.";
    LIST_PROJECT_TAGS = "identity:list_project_tags", READ_OR_OWN_PROJECT,
        "List the tags of a project.";
    GET_PROJECT_TAG = "identity:get_project_tag", READ_OR_OWN_PROJECT,
        "Check whether a project has a tag.";
    UPDATE_PROJECT_TAGS = "identity:update_project_tags", WRITE, "Replace the tags of a project.";
    CREATE_PROJECT_TAG = "identity:create_project_tag", WRITE, "Add a tag to a project.";
    DELETE_PROJECT_TAGS = "identity:delete_project_tags", WRITE, "Delete all tags of a project.";
    DELETE_PROJECT_TAG = "identity:delete_project_tag", WRITE, "Delete a tag of a project.";
    LIST_DOMAINS = "identity:list_domains", "",
        "List domains; callers see those that identity:get_domain allows.";
    GET_DOMAIN = "identity:get_domain", "rule:cloud_reader or domain_id:%(domain_id)s",
        "Show a domain.";
    CREATE_DOMAIN = "identity:create_domain", "rule:cloud_admin", "Create a domain.";
    UPDATE_DOMAIN = "identity:update_domain", "rule:cloud_admin", "Change a domain.";
    DELETE_DOMAIN = "identity:delete_domain", "rule:cloud_admin", "Delete a domain.";
    GET_DOMAIN_CONFIG = "identity:get_domain_config", "rule:cloud_reader",
        "Show the configuration of a domain.";
    GET_DOMAIN_CONFIG_DEFAULT = "identity:get_domain_config_default", "rule:cloud_reader",
        "Show the defaults of the configuration of domains.";
    GET_SECURITY_COMPLIANCE = "identity:get_security_compliance_domain_config", "",
        "Show the rules for passwords.";
    CREATE_DOMAIN_CONFIG = "identity:create_domain_config", "rule:cloud_admin",
        "Replace the configuration of a domain.";
    UPDATE_DOMAIN_CONFIG = "identity:update_domain_config", "rule:cloud_admin",
        "Change the configuration of a domain.";
    DELETE_DOMAIN_CONFIG = "identity:delete_domain_config", "rule:cloud_admin",
        "Delete the configuration of a domain.";
    LIST_ROLES = "identity:list_roles", ROLES, "List roles.";
    GET_ROLE = "identity:get_role", ROLES, "Show a role.";
    CREATE_ROLE = "identity:create_role", "rule:cloud_admin", "Create a role.";
    UPDATE_ROLE = "identity:update_role", "rule:cloud_admin", "Change a role.";
    DELETE_ROLE = "identity:delete_role", "rule:cloud_admin", "Delete a role.";
    LIST_DOMAIN_ROLES = "identity:list_domain_roles", "rule:cloud_reader",
        "List the roles of a domain.";
    GET_DOMAIN_ROLE = "identity:get_domain_role", "rule:cloud_reader",
        "Show a role of a domain.";
    CREATE_DOMAIN_ROLE = "identity:create_domain_role", "rule:cloud_admin",
        "Create a role of a domain.";
    UPDATE_DOMAIN_ROLE = "identity:update_domain_role", "rule:cloud_admin",
        "Change a role of a domain.";
    DELETE_DOMAIN_ROLE = "identity:delete_domain_role", "rule:cloud_admin",
        "Delete a role of a domain.";
    LIST_IMPLIED_ROLES = "identity:list_implied_roles", "rule:cloud_reader",
        "List the roles that a role implies.";
    GET_IMPLIED_ROLE = "identity:get_implied_role", "rule:cloud_reader",
        "Show or check that a role implies another.";
    CREATE_IMPLIED_ROLE = "identity:create_implied_role", "rule:cloud_admin",
        "Let a role imply another.";
    DELETE_IMPLIED_ROLE = "identity:delete_implied_role", "rule:cloud_admin",
        "Let a role no longer imply another.";
    LIST_ROLE_INFERENCES = "identity:list_role_inference_rules", "rule:cloud_reader",
        "List which roles imply which.";
    LIST_GRANTS = "identity:list_grants", READ, "List the roles of a user or group on a target.";
    CHECK_GRANT = "identity:check_grant", READ, "Check a role of a user or group on a target.";
    CREATE_GRANT = "identity:create_grant", "rule:cloud_admin", "Grant any role.";
    REVOKE_GRANT = "identity:revoke_grant", "rule:cloud_admin", "Revoke any role.";
    MANAGE_GRANT = "identity:manage_grant", WRITE,
        "Grant and revoke the roles manager, member and reader.";
    LIST_SYSTEM_GRANTS = "identity:list_system_grants_for_user", "rule:cloud_reader",
        "List or check the roles of a user on the system.";
    CREATE_SYSTEM_GRANT = "identity:create_system_grant_for_user", "rule:cloud_admin",
        "Grant or revoke a role on the system.";
    LIST_SYSTEM_GROUP_GRANTS = "identity:list_system_grants_for_group", "rule:cloud_reader",
        "List or check the roles of a group on the system.";
    CREATE_SYSTEM_GROUP_GRANT = "identity:create_system_grant_for_group", "rule:cloud_admin",
        "Grant or revoke a role of a group on the system.";
    LIST_ROLE_ASSIGNMENTS = "identity:list_role_assignments", READ, "List role assignments.";
    LIST_SERVICES = "identity:list_services", "rule:cloud_reader", "List services.";
    GET_SERVICE = "identity:get_service", "rule:cloud_reader", "Show a service.";
    CREATE_SERVICE = "identity:create_service", "rule:cloud_admin", "Create a service.";
    UPDATE_SERVICE = "identity:update_service", "rule:cloud_admin", "Change a service.";
    DELETE_SERVICE = "identity:delete_service", "rule:cloud_admin", "Delete a service.";
    LIST_ENDPOINTS = "identity:list_endpoints", "rule:cloud_reader", "List endpoints.";
    GET_ENDPOINT = "identity:get_endpoint", "rule:cloud_reader", "Show an endpoint.";
    CREATE_ENDPOINT = "identity:create_endpoint", "rule:cloud_admin", "Create an endpoint.";
    UPDATE_ENDPOINT = "identity:update_endpoint", "rule:cloud_admin", "Change an endpoint.";
    DELETE_ENDPOINT = "identity:delete_endpoint", "rule:cloud_admin", "Delete an endpoint.";
    CREATE_REGION = "identity:create_region", "rule:cloud_admin", "Create a region.";
    UPDATE_REGION = "identity:update_region", "rule:cloud_admin", "Change a region.";
    DELETE_REGION = "identity:delete_region", "rule:cloud_admin", "Delete a region.";
    LIST_POLICIES = "identity:list_policies", "rule:cloud_reader", "List policies.";
    GET_POLICY = "identity:get_policy", "rule:cloud_reader", "Show a policy.";
    CREATE_POLICY = "identity:create_policy", "rule:cloud_admin", "Create a policy.";
    UPDATE_POLICY = "identity:update_policy", "rule:cloud_admin", "Change a policy.";
    DELETE_POLICY = "identity:delete_policy", "rule:cloud_admin", "Delete a policy.";
    LIST_POLICY_ENDPOINTS = "identity:list_endpoints_for_policy", "rule:cloud_reader",
        "List the endpoints that a policy applies to.";
    GET_POLICY_OF_ENDPOINT = "identity:get_policy_for_endpoint", "rule:cloud_reader",
        "Show the policy of an endpoint.";
    CHECK_ENDPOINT_POLICY = "identity:check_policy_association_for_endpoint",
        "rule:cloud_reader", "Check whether a policy applies to an endpoint.";
    CREATE_ENDPOINT_POLICY = "identity:create_policy_association_for_endpoint",
        "rule:cloud_admin", "Let a policy apply to an endpoint.";
    DELETE_ENDPOINT_POLICY = "identity:delete_policy_association_for_endpoint",
        "rule:cloud_admin", "Let a policy no longer apply to an endpoint.";
    CHECK_SERVICE_POLICY = "identity:check_policy_association_for_service",
        "rule:cloud_reader", "Check whether a policy applies to a service.";
    CREATE_SERVICE_POLICY = "identity:create_policy_association_for_service",
        "rule:cloud_admin", "Let a policy apply to a service.";
    DELETE_SERVICE_POLICY = "identity:delete_policy_association_for_service",
        "rule:cloud_admin", "Let a policy no longer apply to a service.";
    CHECK_REGION_POLICY = "identity:check_policy_association_for_region_and_service",
        "rule:cloud_reader", "Check whether a policy applies to a service in a region.";
    CREATE_REGION_POLICY = "identity:create_policy_association_for_region_and_service",
        "rule:cloud_admin", "Let a policy apply to a service in a region.";
    DELETE_REGION_POLICY = "identity:delete_policy_association_for_region_and_service",
        "rule:cloud_admin", "Let a policy no longer apply to a service in a region.";
    LIST_ENDPOINT_GROUPS = "identity:list_endpoint_groups", "rule:cloud_reader",
        "List groups of endpoints.";
    GET_ENDPOINT_GROUP = "identity:get_endpoint_group", "rule:cloud_reader",
        "Show a group of endpoints.";
    CREATE_ENDPOINT_GROUP = "identity:create_endpoint_group", "rule:cloud_admin",
        "Create a group of endpoints.";
    UPDATE_ENDPOINT_GROUP = "identity:update_endpoint_group", "rule:cloud_admin",
        "Change a group of endpoints.";
    DELETE_ENDPOINT_GROUP = "identity:delete_endpoint_group", "rule:cloud_admin",
        "Delete a group of endpoints.";
    LIST_GROUP_ENDPOINTS = "identity:list_endpoints_associated_with_endpoint_group",
        "rule:cloud_reader", "List the endpoints of a group.";
    LIST_GROUP_PROJECTS = "identity:list_projects_associated_with_endpoint_group",
        "rule:cloud_reader", "List the projects that are associated with a group of endpoints.";
    GET_PROJECT_GROUP = "identity:get_endpoint_group_in_project", "rule:cloud_reader",
        "Show the association of a project with a group of endpoints.";
    LIST_PROJECT_GROUPS = "identity:list_endpoint_groups_for_project", "rule:cloud_reader",
        "List the groups of endpoints that a project is associated with.";
    ADD_PROJECT_GROUP = "identity:add_endpoint_group_to_project", "rule:cloud_admin",
        "Associate a project with a group of endpoints.";
    REMOVE_PROJECT_GROUP = "identity:remove_endpoint_group_from_project", "rule:cloud_admin",
        "Remove the association of a project with a group of endpoints.";
    LIST_ENDPOINT_PROJECTS = "identity:list_projects_for_endpoint", "rule:cloud_reader",
        "List the projects that are associated with an endpoint.";
    CHECK_PROJECT_ENDPOINT = "identity:check_endpoint_in_project", "rule:cloud_reader",
        "Check whether a project is associated with an endpoint.";
    LIST_PROJECT_ENDPOINTS = "identity:list_endpoints_for_project", "rule:cloud_reader",
        "List the endpoints that a project is associated with.";
    ADD_PROJECT_ENDPOINT = "identity:add_endpoint_to_project", "rule:cloud_admin",
        "Associate a project with an endpoint.";
    REMOVE_PROJECT_ENDPOINT = "identity:remove_endpoint_from_project", "rule:cloud_admin",
        "Remove the association of a project with an endpoint.";
    LIST_CONSUMERS = "identity:list_consumers", "rule:cloud_reader", "List consumers of OAuth.";
    GET_CONSUMER = "identity:get_consumer", "rule:cloud_reader", "Show a consumer of OAuth.";
    CREATE_CONSUMER = "identity:create_consumer", "rule:cloud_admin",
        "Create a consumer of OAuth.";
    UPDATE_CONSUMER = "identity:update_consumer", "rule:cloud_admin",
        "Change a consumer of OAuth.";
    DELETE_CONSUMER = "identity:delete_consumer", "rule:cloud_admin",
        "Delete a consumer of OAuth.";
    VALIDATE_EC2 = "identity:ec2tokens_validate", "rule:cloud_admin or role:service",
        "Issue tokens for requests that are signed with EC2 key pairs.";
    VALIDATE_S3 = "identity:s3tokens_validate", "rule:cloud_admin or role:service",
        "Show the tokens of the owners of key pairs that signed requests to S3.";
    LIST_GROUPS = "identity:list_groups", READ, "List groups.";
    GET_GROUP = "identity:get_group", READ, "Show a group.";
    CREATE_GROUP = "identity:create_group", WRITE, "Create a group.";
    UPDATE_GROUP = "identity:update_group", WRITE, "Change a group.";
    DELETE_GROUP = "identity:delete_group", WRITE, "Delete a group.";
    LIST_USER_GROUPS = "identity:list_groups_for_user", READ_OR_OWN,
        "List the groups of a user.";
    LIST_GROUP_USERS = "identity:list_users_in_group", READ, "List the users of a group.";
    CHECK_GROUP_USER = "identity:check_user_in_group", READ,
        "Check whether a user is in a group.";
    ADD_GROUP_USER = "identity:add_user_to_group", WRITE, "Add a user to a group.";
    REMOVE_GROUP_USER = "identity:remove_user_from_group", WRITE, "Remove a user from a group.";
    LIST_APP_CREDENTIALS = "identity:list_application_credentials",
        "rule:cloud_reader or rule:owner", "List application credentials of a user.";
    GET_APP_CREDENTIAL = "identity:get_application_credential",
        "rule:cloud_reader or rule:owner", "Show an application credential.";
    CREATE_APP_CREDENTIAL = "identity:create_application_credential", "rule:owner",
        "Create an application credential.";
    DELETE_APP_CREDENTIAL = "identity:delete_application_credential",
        "rule:cloud_admin or rule:owner", "Delete an application credential.";
    LIST_ACCESS_RULES = "identity:list_access_rules", READ_ACCESS_RULE,
        "List access rules of a user.";
    GET_ACCESS_RULE = "identity:get_access_rule", READ_ACCESS_RULE, "Show an access rule.";
    DELETE_ACCESS_RULE = "identity:delete_access_rule",
        "(role:admin and system_scope:all) or rule:owner", "Delete an access rule.";
    LIST_TRUSTS = "identity:list_trusts", "rule:cloud_reader", "List the trusts of all users.";
    LIST_TRUSTS_FOR_TRUSTOR = "identity:list_trusts_for_trustor", READ_TRUST,
        "List the trusts of a trustor.";
    LIST_TRUSTS_FOR_TRUSTEE = "identity:list_trusts_for_trustee", READ_TRUST,
        "List the trusts of a trustee.";
    GET_TRUST = "identity:get_trust", READ_TRUST,
        "Show a trust; it belongs to the trustor and to the trustee.";
    CREATE_TRUST = "identity:create_trust", "rule:owner", "Create a trust as the trustor.",
        Project;
    DELETE_TRUST = "identity:delete_trust", "rule:cloud_admin or rule:owner",
        "Delete a trust; it belongs to the trustor.";
    LIST_TRUST_ROLES = "identity:list_roles_for_trust", READ_TRUST, "List the roles of a trust.";
    GET_TRUST_ROLE = "identity:get_role_for_trust", READ_TRUST, "Show a role of a trust.";
    LIST_CREDENTIALS = "identity:list_credentials", "rule:cloud_reader or rule:owner",
        "List credentials; callers see those that identity:get_credential allows.";
    GET_CREDENTIAL = "identity:get_credential", "rule:cloud_reader or rule:owner",
        "Show a credential.";
    CREATE_CREDENTIAL = "identity:create_credential", "rule:cloud_admin or rule:owner",
        "Create a credential.";
    UPDATE_CREDENTIAL = "identity:update_credential", "rule:cloud_admin or rule:owner",
        "Change a credential.";
    DELETE_CREDENTIAL = "identity:delete_credential", "rule:cloud_admin or rule:owner",
        "Delete a credential.";
    EC2_LIST_CREDENTIALS = "identity:ec2_list_credentials", "rule:cloud_reader or rule:owner",
        "List the EC2 key pairs of a user.", ProjectOrSystem;
    EC2_GET_CREDENTIAL = "identity:ec2_get_credential", "rule:cloud_reader or rule:owner",
        "Show an EC2 key pair.", ProjectOrSystem;
    EC2_CREATE_CREDENTIAL = "identity:ec2_create_credential", EC2_WRITE,
        "Create an EC2 key pair.", ProjectOrSystem;
    EC2_DELETE_CREDENTIAL = "identity:ec2_delete_credential", EC2_WRITE,
        "Delete an EC2 key pair.", ProjectOrSystem;
}
