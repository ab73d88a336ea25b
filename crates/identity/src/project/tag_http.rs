//! Routes of the tags of projects.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use kernel::{Error, Result, Rule, Target};
use rest::query::encode;
use rest::{Answer, Json, NoContent, RequestBody, Route, With, delete, get, put};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::{Project, http as project_http, ops};
use crate::call::{Call, IdentityCall};
use crate::envelope::SelfLink;
use crate::errors::missing;
use crate::policy;
use crate::state::State;
use crate::tags::{self, Tags};

pub(crate) fn routes() -> Vec<Route<State>> {
    let all = "/v3/projects/{project_id}/tags";
    let one = "/v3/projects/{project_id}/tags/{tag}";
    vec![
        get(
            all,
            &policy::LIST_PROJECT_TAGS,
            "List the tags of a project.",
            list,
        ),
        put(
            all,
            &policy::UPDATE_PROJECT_TAGS,
            "Replace the tags of a project.",
            replace,
        ),
        delete(
            all,
            &policy::DELETE_PROJECT_TAGS,
            "Delete all tags of a project.",
            clear,
        ),
        get(
            one,
            &policy::GET_PROJECT_TAG,
            "Check whether a project has a tag.",
            check,
        ),
        put(
            one,
            &policy::CREATE_PROJECT_TAG,
            "Add a tag to a project.",
            add,
        ),
        delete(
            one,
            &policy::DELETE_PROJECT_TAG,
            "Delete a tag of a project.",
            remove,
        ),
    ]
}

/// The tags of a project as Keystone shows them.
#[derive(Debug, Serialize, JsonSchema)]
struct TagsBody {
    tags: Vec<String>,
    links: SelfLink,
}

impl TagsBody {
    fn new(project: Project, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/projects/{}/tags", project.id)),
            tags: project.tags.0,
        }
    }
}

/// The new tags of a project.
struct NewTags(Tags);

impl RequestBody for NewTags {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(json_schema!({
            "type": "object",
            "properties": {"tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["tags"],
        }))
    }

    fn read(body: Option<Value>) -> Result<Self> {
        let mut body = body.unwrap_or_default();
        let tags = body.get_mut("tags").map(Value::take).ok_or_else(|| {
            Error::invalid("tags", "'tags' is a required property, and must be a list.")
        })?;
        Tags::of_body(tags).map(Self)
    }
}

/// 201 without a body.
struct CreatedTag;

impl Answer for CreatedTag {
    const STATUS: u16 = 201;

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn write(self) -> Result<Response> {
        Ok(StatusCode::CREATED.into_response())
    }
}

/// As [`found`], to change the tags. Those of a domain belong to the domain.
async fn changeable<B>(call: &Call<B>, rule: &'static Rule) -> Result<Project> {
    let project = found(call, rule).await?;
    if project.is_domain {
        call.allow(&policy::UPDATE_DOMAIN, &Target::default())?;
    }
    Ok(project)
}

/// Returns the project of the path if the rule allows it.
async fn found<B>(call: &Call<B>, rule: &'static Rule) -> Result<Project> {
    let id = call.param("project_id")?;
    let project = ops::get(&call.state, id).await;
    call.allow_found(rule, project, project_http::target, || {
        missing("project", id)
    })
}

async fn list(call: Call) -> Result<Json<TagsBody>> {
    let project = found(&call, &policy::LIST_PROJECT_TAGS).await?;
    Ok(Json(TagsBody::new(project, call.base())))
}

async fn replace(call: Call<NewTags>) -> Result<Json<TagsBody>> {
    let project = changeable(&call, &policy::UPDATE_PROJECT_TAGS).await?;
    let NewTags(new) = call.body()?;
    let set = |tags: &mut Tags| {
        *tags = new.clone();
        Ok(())
    };
    let project = ops::change_tags(&call.state, &project.id, set).await?;
    Ok(Json(TagsBody::new(project, call.base())))
}

async fn clear(call: Call) -> Result<NoContent> {
    let project = changeable(&call, &policy::DELETE_PROJECT_TAGS).await?;
    let clear = |tags: &mut Tags| {
        tags.0.clear();
        Ok(())
    };
    ops::change_tags(&call.state, &project.id, clear).await?;
    Ok(NoContent)
}

async fn check(call: Call) -> Result<NoContent> {
    let project = found(&call, &policy::GET_PROJECT_TAG).await?;
    let tag = call.param("tag")?;
    if project.tags.0.iter().any(|t| t == tag) {
        return Ok(NoContent);
    }
    Err(missing("project tag", tag))
}

/// Adding a tag again succeeds, unlike in Keystone.
async fn add(call: Call) -> Result<With<CreatedTag>> {
    let project = changeable(&call, &policy::CREATE_PROJECT_TAG).await?;
    let tag = call.param("tag")?;
    tags::check(tag)?;
    let add = |tags: &mut Tags| {
        if !tags.0.iter().any(|t| t == tag) {
            tags.0.push(tag.to_owned());
        }
        Ok(())
    };
    let project = ops::change_tags(&call.state, &project.id, add).await?;
    let path = format!("/projects/{}/tags/{}", project.id, encode(tag));
    let link = SelfLink::new(call.base(), &path);
    Ok(With::location(CreatedTag, link.own))
}

async fn remove(call: Call) -> Result<NoContent> {
    let project = changeable(&call, &policy::DELETE_PROJECT_TAG).await?;
    let tag = call.param("tag")?;
    let remove = |tags: &mut Tags| {
        let before = tags.0.len();
        tags.0.retain(|t| t != tag);
        if tags.0.len() == before {
            return Err(missing("project tag", tag));
        }
        Ok(())
    };
    ops::change_tags(&call.state, &project.id, remove).await?;
    Ok(NoContent)
}
