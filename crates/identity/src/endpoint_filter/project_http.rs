//! Routes of the projects that endpoints and groups of them are associated with.

use kernel::{Result, Target};
use rest::{Json, NoContent, Route, delete, get, put};

use super::wire::{EndpointGroupBody, ProjectGroupBody};
use super::{Linked, link_ops, ops, table, visible};
use crate::call::{Call, IdentityCall};
use crate::catalog;
use crate::catalog::wire::EndpointBody;
use crate::envelope::{Many, One};
use crate::listing::{PAGING, list as listing};
use crate::project::wire::ProjectBody;
use crate::state::State;
use crate::{policy, project};

const ENDPOINT: &str = "/v3/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}";
const GROUP: &str = "/v3/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id}";

pub(crate) fn routes() -> Vec<Route<State>> {
    let mut routes = lists();
    routes.extend([
        get(
            ENDPOINT,
            &policy::CHECK_PROJECT_ENDPOINT,
            "Check whether a project is associated with an endpoint.",
            check_endpoint,
        ),
        put(
            ENDPOINT,
            &policy::ADD_PROJECT_ENDPOINT,
            "Associate a project with an endpoint.",
            add_endpoint,
        ),
        delete(
            ENDPOINT,
            &policy::REMOVE_PROJECT_ENDPOINT,
            "Remove the association of a project with an endpoint.",
            remove_endpoint,
        ),
        get(
            GROUP,
            &policy::GET_PROJECT_GROUP,
            "Show the association of a project with a group of endpoints.",
            show_group,
        ),
        put(
            GROUP,
            &policy::ADD_PROJECT_GROUP,
            "Associate a project with a group of endpoints.",
            add_group,
        ),
        delete(
            GROUP,
            &policy::REMOVE_PROJECT_GROUP,
            "Remove the association of a project with a group of endpoints.",
            remove_group,
        ),
    ]);
    routes
}

fn lists() -> Vec<Route<State>> {
    vec![
        get(
            "/v3/OS-EP-FILTER/projects/{project_id}/endpoints",
            &policy::LIST_PROJECT_ENDPOINTS,
            "List the endpoints that a project is associated with.",
            endpoints,
        )
        .query(&[PAGING]),
        get(
            "/v3/OS-EP-FILTER/projects/{project_id}/endpoint_groups",
            &policy::LIST_PROJECT_GROUPS,
            "List the groups of endpoints that a project is associated with.",
            groups,
        )
        .query(&[PAGING]),
        get(
            "/v3/OS-EP-FILTER/endpoints/{endpoint_id}/projects",
            &policy::LIST_ENDPOINT_PROJECTS,
            "List the projects that are associated with an endpoint.",
            projects_of_endpoint,
        )
        .query(&[PAGING]),
        get(
            "/v3/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects",
            &policy::LIST_GROUP_PROJECTS,
            "List the projects that are associated with a group of endpoints.",
            projects_of_group,
        )
        .query(&[PAGING]),
    ]
}

async fn endpoints(call: Call) -> Result<Json<Many<EndpointBody>>> {
    call.allow(&policy::LIST_PROJECT_ENDPOINTS, &Target::default())?;
    let project = project::ops::get(&call.state, call.param("project_id")?).await?;
    let found = visible::endpoints_of(&call.state.db, &project.id).await?;
    let items = found
        .into_iter()
        .map(|e| EndpointBody::new(e, call.base()))
        .collect();
    let path = format!("/OS-EP-FILTER/projects/{}/endpoints", project.id);
    listing(&call, &path, items)
}

async fn groups(call: Call) -> Result<Json<Many<EndpointGroupBody>>> {
    call.allow(&policy::LIST_PROJECT_GROUPS, &Target::default())?;
    let project = project::ops::get(&call.state, call.param("project_id")?).await?;
    let linked = table::linked_to(&call.state.db, Linked::Group, &project.id).await?;
    let mut found = table::list(&call.state.db).await?;
    found.retain(|g| linked.iter().any(|id| g.id == **id));
    let items = found
        .into_iter()
        .map(|g| EndpointGroupBody::new(g, call.base()))
        .collect();
    let path = format!("/OS-EP-FILTER/projects/{}/endpoint_groups", project.id);
    listing(&call, &path, items)
}

async fn projects(
    call: &Call,
    kind: Linked,
    id: &str,
    path: &str,
) -> Result<Json<Many<ProjectBody>>> {
    let found = table::projects_of(&call.state.db, kind, id).await?;
    let items = found
        .into_iter()
        .map(|p| ProjectBody::new(p, call.base()))
        .collect();
    listing(call, path, items)
}

async fn projects_of_endpoint(call: Call) -> Result<Json<Many<ProjectBody>>> {
    call.allow(&policy::LIST_ENDPOINT_PROJECTS, &Target::default())?;
    let id = call.param("endpoint_id")?;
    catalog::ops::endpoint::get(&call.state, id).await?;
    let path = format!("/OS-EP-FILTER/endpoints/{id}/projects");
    projects(&call, Linked::Endpoint, id, &path).await
}

async fn projects_of_group(call: Call) -> Result<Json<Many<ProjectBody>>> {
    call.allow(&policy::LIST_GROUP_PROJECTS, &Target::default())?;
    let id = call.param("endpoint_group_id")?;
    ops::get(&call.state, id).await?;
    let path = format!("/OS-EP-FILTER/endpoint_groups/{id}/projects");
    projects(&call, Linked::Group, id, &path).await
}

/// The ids of the endpoint and the project of the path.
fn endpoint_pair(call: &Call) -> Result<(&str, &str)> {
    Ok((call.param("endpoint_id")?, call.param("project_id")?))
}

async fn check_endpoint(call: Call) -> Result<NoContent> {
    call.allow(&policy::CHECK_PROJECT_ENDPOINT, &Target::default())?;
    let (id, project_id) = endpoint_pair(&call)?;
    catalog::ops::endpoint::get(&call.state, id).await?;
    project::ops::get(&call.state, project_id).await?;
    link_ops::check(&call.state, Linked::Endpoint, id, project_id).await?;
    Ok(NoContent)
}

async fn add_endpoint(call: Call) -> Result<NoContent> {
    call.allow(&policy::ADD_PROJECT_ENDPOINT, &Target::default())?;
    let (id, project_id) = endpoint_pair(&call)?;
    link_ops::create(&call.state, Linked::Endpoint, id, project_id).await?;
    Ok(NoContent)
}

async fn remove_endpoint(call: Call) -> Result<NoContent> {
    call.allow(&policy::REMOVE_PROJECT_ENDPOINT, &Target::default())?;
    let (id, project_id) = endpoint_pair(&call)?;
    link_ops::delete(&call.state, Linked::Endpoint, id, project_id).await?;
    Ok(NoContent)
}

/// The ids of the group and the project of the path, which exist.
async fn group_pair(call: &Call) -> Result<(&str, &str)> {
    let (id, project_id) = (call.param("endpoint_group_id")?, call.param("project_id")?);
    project::ops::get(&call.state, project_id).await?;
    ops::get(&call.state, id).await?;
    Ok((id, project_id))
}

async fn show_group(call: Call) -> Result<Json<One<ProjectGroupBody>>> {
    call.allow(&policy::GET_PROJECT_GROUP, &Target::default())?;
    let (id, project_id) = group_pair(&call).await?;
    link_ops::check(&call.state, Linked::Group, id, project_id).await?;
    let body = ProjectGroupBody::new(id, project_id, call.base());
    Ok(Json(One(body)))
}

async fn add_group(call: Call) -> Result<NoContent> {
    call.allow(&policy::ADD_PROJECT_GROUP, &Target::default())?;
    let (id, project_id) = group_pair(&call).await?;
    link_ops::create(&call.state, Linked::Group, id, project_id).await?;
    Ok(NoContent)
}

async fn remove_group(call: Call) -> Result<NoContent> {
    call.allow(&policy::REMOVE_PROJECT_GROUP, &Target::default())?;
    let (id, project_id) = group_pair(&call).await?;
    link_ops::delete(&call.state, Linked::Group, id, project_id).await?;
    Ok(NoContent)
}
