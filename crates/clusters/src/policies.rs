//! Default policies, in the oslo.policy language.

/// Rules and their checks; operators override them by name.
pub(crate) const DEFAULTS: &[(&str, &str)] = &[
    ("context_is_admin", "role:admin"),
    ("is_admin", "role:admin"),
    (
        "admin_or_owner",
        "rule:is_admin or project_id:%(project_id)s",
    ),
    (
        "project_member",
        "role:member and project_id:%(project_id)s",
    ),
    (
        "project_reader",
        "role:reader and project_id:%(project_id)s",
    ),
    (
        "admin_or_project_member",
        "rule:is_admin or rule:project_member",
    ),
    (
        "admin_or_project_reader",
        "rule:is_admin or rule:project_reader",
    ),
    ("cluster:create", "rule:admin_or_project_member"),
    // Not a rule of Magnum: which projects may create clusters whose members can
    // become root on the host. The configuration replaces the default.
    (crate::CREATE_HOST_ROOT, "@"),
    ("cluster:delete", "rule:admin_or_project_member"),
    ("cluster:update", "rule:admin_or_project_member"),
    ("cluster:resize", "rule:admin_or_project_member"),
    ("cluster:upgrade", "rule:admin_or_project_member"),
    ("cluster:get", "rule:admin_or_project_reader"),
    ("cluster:get_all", "rule:admin_or_project_reader"),
    ("cluster:detail", "rule:admin_or_project_reader"),
    // The default of the real service also requires that the caller is the user
    // of the cluster, so that PATCH fails for every other member of the
    // project.
    (
        "cluster:update_health_status",
        "rule:admin_or_project_member",
    ),
    ("cluster:delete_all_projects", "rule:is_admin"),
    ("cluster:detail_all_projects", "rule:is_admin"),
    ("cluster:get_one_all_projects", "rule:is_admin"),
    ("cluster:get_all_all_projects", "rule:is_admin"),
    ("cluster:update_all_projects", "rule:is_admin"),
    ("cluster:upgrade_all_projects", "rule:is_admin"),
    ("clustertemplate:create", "rule:admin_or_project_member"),
    ("clustertemplate:delete", "rule:admin_or_project_member"),
    ("clustertemplate:update", "rule:admin_or_project_member"),
    ("clustertemplate:get", "rule:admin_or_project_reader"),
    ("clustertemplate:get_all", "rule:admin_or_project_reader"),
    ("clustertemplate:detail", "rule:admin_or_project_reader"),
    ("clustertemplate:publish", "rule:is_admin"),
    ("clustertemplate:delete_all_projects", "rule:is_admin"),
    ("clustertemplate:detail_all_projects", "rule:is_admin"),
    ("clustertemplate:get_one_all_projects", "rule:is_admin"),
    ("clustertemplate:get_all_all_projects", "rule:is_admin"),
    ("clustertemplate:update_all_projects", "rule:is_admin"),
    ("certificate:create", "rule:admin_or_project_member"),
    ("certificate:get", "rule:admin_or_project_reader"),
    ("certificate:rotate_ca", "rule:admin_or_project_member"),
    ("nodegroup:get", "rule:admin_or_project_reader"),
    ("nodegroup:get_all", "rule:admin_or_project_reader"),
    ("nodegroup:get_one_all_projects", "rule:is_admin"),
    ("nodegroup:get_all_all_projects", "rule:is_admin"),
    ("quota:get_all", "rule:is_admin"),
    ("quota:get", "rule:admin_or_project_reader"),
    ("stats:get_all", "rule:admin_or_project_reader"),
    ("magnum-service:get_all", "rule:is_admin"),
];
