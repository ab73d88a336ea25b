//! Routes of cluster templates.

use kernel::Result;
use serde_json::json;

use super::{ops, wire};
use crate::ClustersDeps;
use crate::call::{Answer, Call};
use crate::listing;

/// `GET /clustertemplates` and `/clustertemplates/detail`.
pub(crate) async fn list(d: &ClustersDeps, call: &Call, rule: &str) -> Result<Answer> {
    let (page, _) = listing::parse(&call.query, &[])?;
    let found = ops::list(d, &call.ctx, rule, &page).await?;
    let items: Vec<_> = found.iter().map(|t| wire::full(t, &call.base)).collect();
    let mut body = json!({ "clustertemplates": items });
    let detail = if rule == "detail" { "/detail" } else { "" };
    let base = format!("{}/v1/clustertemplates{detail}", call.base);
    let last = found.last().map(|t| t.uuid.as_str());
    if let Some(next) = listing::next(&base, &page, &[], found.len(), last)
        && let Some(map) = body.as_object_mut()
    {
        map.insert("next".into(), json!(next));
    }
    Ok(Answer::json(200, body))
}

pub(crate) async fn create(d: &ClustersDeps, call: Call) -> Result<Answer> {
    call.reject_query()?;
    let t = ops::create(d, &call.ctx, call.body).await?;
    let mut answer = Answer::json(201, wire::full(&t, &call.base));
    answer.location = Some(format!("{}/v1/clustertemplates/{}", call.base, t.uuid));
    Ok(answer)
}

pub(crate) async fn show(d: &ClustersDeps, call: &Call, key: &str) -> Result<Answer> {
    call.reject_query()?;
    let t = ops::show(d, &call.ctx, key).await?;
    Ok(Answer::json(200, wire::full(&t, &call.base)))
}

pub(crate) async fn update(d: &ClustersDeps, call: Call, key: &str) -> Result<Answer> {
    call.reject_query()?;
    let t = ops::update(d, &call.ctx, key, call.body).await?;
    Ok(Answer::json(200, wire::full(&t, &call.base)))
}

pub(crate) async fn delete(d: &ClustersDeps, call: &Call, key: &str) -> Result<Answer> {
    call.reject_query()?;
    ops::delete(d, &call.ctx, key).await?;
    Ok(Answer::empty(204))
}
