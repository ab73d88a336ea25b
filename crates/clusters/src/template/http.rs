//! Routes of cluster templates.

use kernel::Result;
use rest::{Call, Created, Json, NoContent, Route, With, delete, get, patch_route, post};

use super::model::{NewTemplate, Template};
use super::ops::{self, Purpose};
use super::wire::{TemplateBody, TemplateList};
use crate::deps::State;
use crate::listing::{self, PAGING};
use crate::patch::Patch;
use crate::{links, policies};

pub(crate) fn routes() -> Vec<Route<State>> {
    const ALL: &str = "/v1/clustertemplates";
    const ONE: &str = "/v1/clustertemplates/{template_id}";
    vec![
        get(
            ALL,
            &policies::TEMPLATE_GET_ALL,
            "Lists cluster templates.",
            list,
        )
        .query(&[PAGING]),
        get(
            "/v1/clustertemplates/detail",
            &policies::TEMPLATE_DETAIL,
            "Lists cluster templates with all their attributes.",
            list_detail,
        )
        .query(&[PAGING]),
        post(
            ALL,
            &policies::TEMPLATE_CREATE,
            "Creates a cluster template.",
            create,
        ),
        get(
            ONE,
            &policies::TEMPLATE_GET,
            "Shows a cluster template.",
            show,
        ),
        patch_route(
            ONE,
            &policies::TEMPLATE_UPDATE,
            "Changes a cluster template.",
            update,
        ),
        delete(
            ONE,
            &policies::TEMPLATE_DELETE,
            "Deletes a cluster template.",
            remove,
        ),
    ]
}

async fn list(call: Call<State>) -> Result<Json<TemplateList>> {
    page(&call, false).await
}

async fn list_detail(call: Call<State>) -> Result<Json<TemplateList>> {
    page(&call, true).await
}

/// Both lists hold the same objects.
async fn page(call: &Call<State>, detail: bool) -> Result<Json<TemplateList>> {
    let page = listing::parse(&call.parts.query)?;
    let found = ops::list(&call.state, call.ctx()?, detail, &page).await?;
    let base = links::base(call);
    let tail = if detail { "/detail" } else { "" };
    let url = format!("{base}/v1/clustertemplates{tail}");
    let last = found.rows.last().map(|t| t.uuid.as_str());
    let next = listing::next(&url, &page, &[], found.has_more, last);
    let rows = found.rows.into_iter();
    Ok(Json(TemplateList {
        clustertemplates: rows.map(|t| TemplateBody::new(t, &base)).collect(),
        next,
    }))
}

async fn create(call: Call<State, NewTemplate>) -> Result<With<Created<TemplateBody>>> {
    let NewTemplate(new) = call.body()?;
    let t = ops::create(&call.state, call.ctx()?, new).await?;
    let base = links::base(&call);
    let url = format!("{base}/v1/clustertemplates/{}", t.uuid);
    Ok(With::location(Created(TemplateBody::new(t, &base)), url))
}

async fn show(call: Call<State>) -> Result<Json<TemplateBody>> {
    let key = call.param("template_id")?;
    let t = ops::load(&call.state, call.ctx()?, key, Purpose::Show).await?;
    let base = links::base(&call);
    Ok(Json(TemplateBody::new(t.into_inner(), &base)))
}

async fn update(call: Call<State, Patch<Template>>) -> Result<Json<TemplateBody>> {
    let patch = call.body()?;
    let (ctx, key) = (call.ctx()?, call.param("template_id")?);
    let t = ops::load(&call.state, ctx, key, Purpose::Update).await?;
    let t = ops::update(&call.state, ctx, key, t, &patch.changes).await?;
    Ok(Json(TemplateBody::new(t, &links::base(&call))))
}

async fn remove(call: Call<State>) -> Result<NoContent> {
    let key = call.param("template_id")?;
    let t = ops::load(&call.state, call.ctx()?, key, Purpose::Delete).await?;
    ops::delete(&call.state, key, t).await?;
    Ok(NoContent)
}
