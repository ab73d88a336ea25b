//! The rules of this service, with defaults in the language of oslo.policy.

kernel::rules! {
    CONTEXT_IS_ADMIN = "context_is_admin", "role:admin", "Who counts as an administrator.";
    IS_ADMIN = "is_admin", "role:admin", "Who counts as an administrator.";
    ADMIN_OR_OWNER = "admin_or_owner", "rule:is_admin or project_id:%(project_id)s",
        "Administrators, and all users in the project of the object.";
    PROJECT_MEMBER = "project_member", "role:member and project_id:%(project_id)s",
        "Members of the project of the object.";
    PROJECT_READER = "project_reader", "role:reader and project_id:%(project_id)s",
        "Readers of the project of the object.";
    ADMIN_OR_PROJECT_MEMBER = "admin_or_project_member", "rule:is_admin or rule:project_member",
        "Administrators, and members of the project of the object.";
    ADMIN_OR_PROJECT_READER = "admin_or_project_reader", "rule:is_admin or rule:project_reader",
        "Administrators, and readers of the project of the object.";

    CLUSTER_CREATE = "cluster:create", "rule:admin_or_project_member", "Create a cluster.";
    CLUSTER_CREATE_HOST_ROOT = "cluster:create:host-root", "@",
        "Create a cluster whose users can become root on the host.";
    CLUSTER_DELETE = "cluster:delete", "rule:admin_or_project_member", "Delete a cluster.";
    CLUSTER_UPDATE = "cluster:update", "rule:admin_or_project_member", "Change a cluster.";
    CLUSTER_RESIZE = "cluster:resize", "rule:admin_or_project_member",
        "Change the number of nodes of a cluster.";
    CLUSTER_UPGRADE = "cluster:upgrade", "rule:admin_or_project_member", "Upgrade a cluster.";
    CLUSTER_GET = "cluster:get", "rule:admin_or_project_reader", "Show a cluster.";
    CLUSTER_GET_ALL = "cluster:get_all", "rule:admin_or_project_reader", "List clusters.";
    CLUSTER_DETAIL = "cluster:detail", "rule:admin_or_project_reader",
        "List clusters with all their attributes.";
    // The default of the real service also requires that the caller is the user
    // of the cluster, so that PATCH fails for every other member of the
    // project.
    CLUSTER_UPDATE_HEALTH_STATUS = "cluster:update_health_status", "rule:admin_or_project_member",
        "Change the health of a cluster.";
    CLUSTER_DELETE_ALL_PROJECTS = "cluster:delete_all_projects", "rule:is_admin",
        "Find clusters of other projects to delete them.";
    CLUSTER_DETAIL_ALL_PROJECTS = "cluster:detail_all_projects", "rule:is_admin",
        "List clusters of all projects with all their attributes.";
    CLUSTER_GET_ONE_ALL_PROJECTS = "cluster:get_one_all_projects", "rule:is_admin",
        "Find clusters of other projects.";
    CLUSTER_GET_ALL_ALL_PROJECTS = "cluster:get_all_all_projects", "rule:is_admin",
        "List clusters of all projects.";
    CLUSTER_UPDATE_ALL_PROJECTS = "cluster:update_all_projects", "rule:is_admin",
        "Find clusters of other projects to change them.";
    CLUSTER_UPGRADE_ALL_PROJECTS = "cluster:upgrade_all_projects", "rule:is_admin",
        "Find clusters of other projects to upgrade them.";

    TEMPLATE_CREATE = "clustertemplate:create", "rule:admin_or_project_member",
        "Create a cluster template.";
    TEMPLATE_DELETE = "clustertemplate:delete", "rule:admin_or_project_member",
        "Delete a cluster template.";
    TEMPLATE_UPDATE = "clustertemplate:update", "rule:admin_or_project_member",
        "Change a cluster template.";
    TEMPLATE_GET = "clustertemplate:get", "rule:admin_or_project_reader",
        "Show a cluster template that is not public.";
    TEMPLATE_GET_ALL = "clustertemplate:get_all", "rule:admin_or_project_reader",
        "List cluster templates.";
    TEMPLATE_DETAIL = "clustertemplate:detail", "rule:admin_or_project_reader",
        "List cluster templates with all their attributes.";
    TEMPLATE_PUBLISH = "clustertemplate:publish", "rule:is_admin",
        "Make a cluster template public or hidden.";
    TEMPLATE_DELETE_ALL_PROJECTS = "clustertemplate:delete_all_projects", "rule:is_admin",
        "Delete cluster templates of other projects.";
    TEMPLATE_DETAIL_ALL_PROJECTS = "clustertemplate:detail_all_projects", "rule:is_admin",
        "List cluster templates of all projects with all their attributes.";
    TEMPLATE_GET_ONE_ALL_PROJECTS = "clustertemplate:get_one_all_projects", "rule:is_admin",
        "Find cluster templates of other projects.";
    TEMPLATE_GET_ALL_ALL_PROJECTS = "clustertemplate:get_all_all_projects", "rule:is_admin",
        "List cluster templates of all projects.";
    TEMPLATE_UPDATE_ALL_PROJECTS = "clustertemplate:update_all_projects", "rule:is_admin",
        "Change cluster templates of other projects.";

    CERTIFICATE_CREATE = "certificate:create", "rule:admin_or_project_member",
        "Have a certificate signed by the CA of a cluster.";
    // Its subject may be that of an administrator of the cluster.
    CERTIFICATE_CREATE_ADMIN = "certificate:create_admin", "rule:admin_or_project_member",
        "Have a certificate signed with the subject of the request.";
    CERTIFICATE_GET = "certificate:get", "rule:admin_or_project_reader",
        "Show the CA of a cluster.";
    CERTIFICATE_ROTATE_CA = "certificate:rotate_ca", "rule:admin_or_project_member",
        "Replace the CA of a cluster.";
    NODEGROUP_GET = "nodegroup:get", "rule:admin_or_project_reader", "Show a node group.";
    NODEGROUP_GET_ALL = "nodegroup:get_all", "rule:admin_or_project_reader", "List node groups.";
    NODEGROUP_GET_ONE_ALL_PROJECTS = "nodegroup:get_one_all_projects", "rule:is_admin",
        "Find node groups of other projects.";
    NODEGROUP_GET_ALL_ALL_PROJECTS = "nodegroup:get_all_all_projects", "rule:is_admin",
        "List node groups of clusters of other projects.";
    QUOTA_GET_ALL = "quota:get_all", "rule:is_admin", "List quotas.";
    QUOTA_GET = "quota:get", "rule:admin_or_project_reader", "Show a quota.";
    STATS_GET_ALL = "stats:get_all", "rule:admin_or_project_reader", "Count clusters and nodes.";
    SERVICE_GET_ALL = "magnum-service:get_all", "rule:is_admin", "List the services.";
}

/// The rules of this service.
#[must_use]
pub fn policies() -> &'static [&'static kernel::Rule] {
    RULES
}
