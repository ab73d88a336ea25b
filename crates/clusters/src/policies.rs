//! The rules of this service, with defaults in the language of oslo.policy and
//! the scopes of the real service. The real service lets an administrator of a
//! domain use rules for all projects; here no rule covers a domain.

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

    CLUSTER_CREATE = "cluster:create", "rule:admin_or_project_member", "Create a cluster.", Project;
    CLUSTER_CREATE_HOST_ROOT = "cluster:create:host-root", "@",
        "Create a cluster whose users can become root on the host.", Project;
    CLUSTER_CREATE_USER_NAMESPACE = "cluster:create:user-namespace", "@",
        "Create a cluster whose nodes have user namespaces of their own.", Project;
    CLUSTER_DELETE = "cluster:delete", "rule:admin_or_project_member", "Delete a cluster.", Project;
    CLUSTER_UPDATE = "cluster:update", "rule:admin_or_project_member", "Change a cluster.", Project;
    CLUSTER_RESIZE = "cluster:resize", "rule:admin_or_project_member",
        "Change the number of nodes of a cluster.", Project;
    CLUSTER_UPGRADE = "cluster:upgrade", "rule:admin_or_project_member", "Upgrade a cluster.", Project;
    CLUSTER_GET = "cluster:get", "rule:admin_or_project_reader", "Show a cluster.", Project;
    CLUSTER_GET_ALL = "cluster:get_all", "rule:admin_or_project_reader", "List clusters.", Project;
    CLUSTER_DETAIL = "cluster:detail", "rule:admin_or_project_reader",
        "List clusters with all their attributes.", Project;
    // The default of the real service also requires that the caller is the user
    // of the cluster, so that PATCH fails for every other member of the
    // project.
    CLUSTER_UPDATE_HEALTH_STATUS = "cluster:update_health_status", "rule:admin_or_project_member",
        "Change the health of a cluster.", Project;
    CLUSTER_DELETE_ALL_PROJECTS = "cluster:delete_all_projects", "rule:is_admin",
        "Find clusters of other projects to delete them.", ProjectOrSystem;
    CLUSTER_DETAIL_ALL_PROJECTS = "cluster:detail_all_projects", "rule:is_admin",
        "List clusters of all projects with all their attributes.", ProjectOrSystem;
    CLUSTER_GET_ONE_ALL_PROJECTS = "cluster:get_one_all_projects", "rule:is_admin",
        "Find clusters of other projects.", ProjectOrSystem;
    CLUSTER_GET_ALL_ALL_PROJECTS = "cluster:get_all_all_projects", "rule:is_admin",
        "List clusters of all projects.", ProjectOrSystem;
    CLUSTER_UPDATE_ALL_PROJECTS = "cluster:update_all_projects", "rule:is_admin",
        "Find clusters of other projects to change them.", ProjectOrSystem;
    CLUSTER_UPGRADE_ALL_PROJECTS = "cluster:upgrade_all_projects", "rule:is_admin",
        "Find clusters of other projects to upgrade them.", ProjectOrSystem;

    TEMPLATE_CREATE = "clustertemplate:create", "rule:admin_or_project_member",
        "Create a cluster template.", Project;
    TEMPLATE_DELETE = "clustertemplate:delete", "rule:admin_or_project_member",
        "Delete a cluster template.", Project;
    TEMPLATE_UPDATE = "clustertemplate:update", "rule:admin_or_project_member",
        "Change a cluster template.", Project;
    TEMPLATE_GET = "clustertemplate:get", "rule:admin_or_project_reader",
        "Show a cluster template that is not public.", Project;
    TEMPLATE_GET_ALL = "clustertemplate:get_all", "rule:admin_or_project_reader",
        "List cluster templates.", Project;
    TEMPLATE_DETAIL = "clustertemplate:detail", "rule:admin_or_project_reader",
        "List cluster templates with all their attributes.", Project;
    TEMPLATE_PUBLISH = "clustertemplate:publish", "rule:is_admin",
        "Make a cluster template public or hidden.", ProjectOrSystem;
    TEMPLATE_DELETE_ALL_PROJECTS = "clustertemplate:delete_all_projects", "rule:is_admin",
        "Delete cluster templates of other projects.", ProjectOrSystem;
    TEMPLATE_DETAIL_ALL_PROJECTS = "clustertemplate:detail_all_projects", "rule:is_admin",
        "List cluster templates of all projects with all their attributes.", ProjectOrSystem;
    TEMPLATE_GET_ONE_ALL_PROJECTS = "clustertemplate:get_one_all_projects", "rule:is_admin",
        "Find cluster templates of other projects.", ProjectOrSystem;
    TEMPLATE_GET_ALL_ALL_PROJECTS = "clustertemplate:get_all_all_projects", "rule:is_admin",
        "List cluster templates of all projects.", ProjectOrSystem;
    TEMPLATE_UPDATE_ALL_PROJECTS = "clustertemplate:update_all_projects", "rule:is_admin",
        "Change cluster templates of other projects.", ProjectOrSystem;

    CERTIFICATE_CREATE = "certificate:create", "rule:admin_or_project_member",
        "Have a certificate signed by the CA of a cluster.", Project;
    // Its subject may be that of an administrator of the cluster.
    CERTIFICATE_CREATE_ADMIN = "certificate:create_admin", "rule:admin_or_project_member",
        "Have a certificate signed with the subject of the request.", Project;
    CERTIFICATE_GET = "certificate:get", "rule:admin_or_project_reader",
        "Show the CA of a cluster.", Project;
    CERTIFICATE_ROTATE_CA = "certificate:rotate_ca", "rule:admin_or_project_member",
        "Replace the CA of a cluster.", Project;
    NODEGROUP_GET = "nodegroup:get", "rule:admin_or_project_reader", "Show a node group.", Project;
    NODEGROUP_GET_ALL = "nodegroup:get_all", "rule:admin_or_project_reader", "List node groups.", Project;
    NODEGROUP_GET_ONE_ALL_PROJECTS = "nodegroup:get_one_all_projects", "rule:is_admin",
        "Find node groups of other projects.", ProjectOrSystem;
    NODEGROUP_GET_ALL_ALL_PROJECTS = "nodegroup:get_all_all_projects", "rule:is_admin",
        "List node groups of clusters of other projects.", ProjectOrSystem;
    QUOTA_GET_ALL = "quota:get_all", "rule:is_admin", "List quotas.", ProjectOrSystem;
    QUOTA_GET = "quota:get", "rule:admin_or_project_reader", "Show a quota.", Project;
    STATS_GET_ALL = "stats:get_all", "rule:admin_or_project_reader", "Count clusters and nodes.", Project;
    SERVICE_GET_ALL = "magnum-service:get_all", "rule:is_admin", "List the services.", ProjectOrSystem;
}

/// The rules of this service.
#[must_use]
pub fn policies() -> &'static [&'static kernel::Rule] {
    RULES
}
