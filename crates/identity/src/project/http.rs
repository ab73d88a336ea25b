//! Routes of projects.

use kernel::{Error, Result, Rule, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::relatives::{self, ShownProject, Wanted};
use super::wire::{ProjectBody, ProjectFields};
use super::{Project, ops, table};
use crate::call::{Call, IdentityCall, flag};
use crate::envelope::{Many, One};
use crate::errors::missing;
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

pub(crate) const FILTERS: &[Param] = &[
    Param::text("name", "Projects of this name.").comparable(),
    Param::text("domain_id", "Projects of this domain."),
    Param::text("parent_id", "Projects directly below this one."),
    Param::text("enabled", "Enabled or disabled projects."),
    Param::text("tags", "Projects with all of these tags."),
    Param::text("tags-any", "Projects with one of these tags."),
    Param::text("not-tags", "Projects without all of these tags."),
    Param::text("not-tags-any", "Projects without any of these tags."),
];

const RELATIVES: &[Param] = &[
    Param::text(
        "parents_as_list",
        "Show the projects above on which the caller has a role, unless the value is 0.",
    ),
    Param::text(
        "parents_as_ids",
        "Show the ids of the projects above, unless the value is 0.",
    ),
    Param::text(
        "subtree_as_list",
        "Show the projects below on which the caller has a role, unless the value is 0.",
    ),
    Param::text(
        "subtree_as_ids",
        "Show the ids of the projects below, unless the value is 0.",
    ),
];

const DOMAINS: &[Param] = &[Param::text("is_domain", "Domains instead of projects.")];

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get(
            "/v3/projects",
            &policy::LIST_PROJECTS,
            "List projects.",
            list,
        )
        .query(&[PAGING, FILTERS, DOMAINS]),
        post(
            "/v3/projects",
            &policy::CREATE_PROJECT,
            "Create a project.",
            create,
        ),
        get(
            "/v3/projects/{project_id}",
            &policy::GET_PROJECT,
            "Show a project.",
            show,
        )
        .query(&[RELATIVES]),
        patch_route(
            "/v3/projects/{project_id}",
            &policy::UPDATE_PROJECT,
            "Change a project.",
            update,
        ),
        delete(
            "/v3/projects/{project_id}",
            &policy::DELETE_PROJECT,
            "Delete a project.",
            remove,
        ),
    ]
}

pub(super) fn target(project: &Project) -> Target {
    Target {
        project_id: Some(project.id.clone()),
        domain_id: Some(project.domain()),
        user_id: None,
    }
}

async fn list(call: Call) -> Result<Json<Many<ProjectBody>>> {
    let own = call.domain_id()?;
    call.allow(&policy::LIST_PROJECTS, &Target::domain(own.clone()))?;
    let all = call.allows(&policy::LIST_PROJECTS, &Target::default());
    let domains = call
        .asked("is_domain")
        .is_some_and(|v| v != "0" && !v.eq_ignore_ascii_case("false"));
    let projects = table::list(&call.state.db).await?;
    let items = projects
        .into_iter()
        .filter(|p| p.is_domain == domains && (all || p.domain() == own))
        .map(|p| ProjectBody::new(p, call.base()))
        .collect();
    listing(&call, "/projects", items)
}

async fn create(call: Call<New<ProjectFields>>) -> Result<Created<One<ProjectBody>>> {
    let New(fields) = call.body()?;
    if fields.is_domain == Some(true) {
        return create_domain(&call, fields).await;
    }
    let domain_id = match &fields.domain_id {
        Some(Some(id)) => id.clone(),
        _ => call.domain_id()?,
    };
    let target = Target::domain(domain_id.clone());
    call.allow(&policy::CREATE_PROJECT, &target)?;
    if let Some(Some(id)) = &fields.parent_id {
        // The answers must not show which projects other domains have.
        let parent = ops::get(&call.state, id).await;
        let missing = || missing("project", id);
        call.allow_found(&policy::CREATE_PROJECT, parent, self::target, missing)?;
    }
    let project = ops::create(&call.state, &domain_id, fields).await?;
    Ok(Created(One(ProjectBody::new(project, call.base()))))
}

/// Creates a project that acts as a domain.
async fn create_domain(
    call: &Call<New<ProjectFields>>,
    fields: ProjectFields,
) -> Result<Created<One<ProjectBody>>> {
    call.allow(&policy::CREATE_PROJECT, &Target::default())?;
    call.allow(&policy::CREATE_DOMAIN, &Target::default())?;
    if fields.parent_id.flatten().is_some() || fields.domain_id.flatten().is_some() {
        let text = "only root projects are allowed to act as domains.";
        return Err(Error::invalid("parent_id", text));
    }
    let domain = crate::domain::ops::create(&call.state, None, fields.common).await?;
    Ok(Created(One(ProjectBody::new(domain, call.base()))))
}

async fn show(call: Call) -> Result<Json<One<ShownProject>>> {
    let project = found(&call, &policy::GET_PROJECT).await?;
    let (parents, subtree) = (wanted(&call, "parents")?, wanted(&call, "subtree")?);
    let relatives = relatives::load(&call, &project, parents, subtree).await?;
    let body = ProjectBody::new(project, call.base());
    Ok(Json(One(ShownProject::new(body, relatives))))
}

/// How a request asks for what is above or below a project.
fn wanted(call: &Call, of: &str) -> Result<Wanted> {
    let (list, ids) = (format!("{of}_as_list"), format!("{of}_as_ids"));
    match (flag(call, &list), flag(call, &ids)) {
        (true, true) => {
            let text = format!("Cannot use {list} and {ids} query params at the same time.");
            Err(Error::invalid(ids, text))
        }
        (true, false) => Ok(Wanted::List),
        (false, true) => Ok(Wanted::Ids),
        (false, false) => Ok(Wanted::Nothing),
    }
}

async fn update(call: Call<Change<ProjectFields>>) -> Result<Json<One<ProjectBody>>> {
    let project = found(&call, &policy::UPDATE_PROJECT).await?;
    if project.is_domain {
        call.allow(&policy::UPDATE_DOMAIN, &Target::default())?;
    }
    let fields = call.body()?.of(&project.id)?;
    let project = ops::update(&call.state, &project.id, fields).await?;
    Ok(Json(One(ProjectBody::new(project, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    let project = found(&call, &policy::DELETE_PROJECT).await?;
    if project.is_domain {
        call.allow(&policy::DELETE_DOMAIN, &Target::default())?;
    }
    ops::delete(&call.state, &project.id).await?;
    Ok(NoContent)
}

/// Returns the project of the path if the rule allows it. Callers that may not
/// see projects must not learn which exist.
async fn found<B>(call: &Call<B>, rule: &'static Rule) -> Result<Project> {
    let id = call.param("project_id")?;
    let project = ops::get(&call.state, id).await;
    call.allow_found(rule, project, target, || missing("project", id))
}
