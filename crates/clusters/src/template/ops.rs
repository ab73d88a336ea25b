//! Operations on cluster templates.

use db::Table as _;
use kernel::{Ctx, Error, Page, Result, Target, clock, ids};
use serde_json::Value;

use super::model::{self, Template};
use super::table;
use crate::coe::Coe;
use crate::coe::kubernetes::flavour::check_image;
use crate::errors::bad_request;
use crate::{ClustersDeps, lookups};

/// The project of the caller; rows belong to projects.
pub(crate) fn project(ctx: &Ctx) -> Result<&str> {
    ctx.project_id()
        .ok_or_else(|| Error::forbidden("A project-scoped token is needed for this operation."))
}

/// The policy target for objects of the caller.
pub(crate) fn own_target(ctx: &Ctx) -> Target {
    Target {
        project_id: ctx.project_id().map(str::to_owned),
        user_id: Some(ctx.user_id.clone()),
        domain_id: None,
    }
}

/// Returns the project whose rows a list of `kind` shows: the project of the
/// caller, or all (`None`) if `{rule}_all_projects` allows it. `rule` is
/// `get_all` or `detail`.
pub(crate) fn scope<'a>(
    d: &ClustersDeps,
    ctx: &'a Ctx,
    kind: &str,
    rule: &str,
) -> Result<Option<&'a str>> {
    let own = own_target(ctx);
    d.enforcer.check(&format!("{kind}:{rule}"), ctx, &own)?;
    let everywhere = format!("{kind}:{rule}_all_projects");
    if d.enforcer.allows(&everywhere, ctx, &own) {
        return Ok(None);
    }
    project(ctx).map(Some)
}

fn target(t: &Template) -> Target {
    Target {
        project_id: Some(t.project_id.clone()),
        user_id: Some(t.user_id.clone()),
        domain_id: None,
    }
}

/// Creates a template.
pub(crate) async fn create(d: &ClustersDeps, ctx: &Ctx, body: Option<Value>) -> Result<Template> {
    let mut t = Template::from_body(body)?;
    t.project_id = project(ctx)?.to_owned();
    t.user_id.clone_from(&ctx.user_id);
    t.created_at = clock::now_micros();
    t.check()?;
    derive(d, ctx, &mut t).await?;
    d.enforcer
        .check("clustertemplate:create", ctx, &own_target(ctx))?;
    check_infrastructure(d, ctx, &t).await?;
    if t.public || t.hidden {
        publish(d, ctx)?;
    }
    db::write!(d.db, |tx| {
        tx.write_receipt().await?;
        t.insert(tx).await
    })
    .map_err(|e| match e.kind {
        kernel::Kind::AlreadyExists => Error::exists(format!(
            "A ClusterTemplate with UUID {} already exists.",
            t.uuid
        )),
        _ => e,
    })?;
    Ok(t)
}

/// Sets distribution and driver from the image.
async fn derive(d: &ClustersDeps, ctx: &Ctx, t: &mut Template) -> Result<()> {
    let (image, distro) = lookups::image(d, ctx, &t.image_id).await?;
    t.cluster_distro = Some(distro);
    let coe = Coe::parse(&t.coe)?;
    check_image(coe, &image)?;
    let known = coe.drivers();
    let wanted = t
        .driver
        .clone()
        .or_else(|| image.properties.get("magnum_driver").cloned());
    match wanted {
        Some(name) if !known.contains(&name.as_str()) => Err(bad_request(
            "driver",
            format!("Cluster driver ({name}) not supported."),
        )),
        Some(name) => {
            t.driver = Some(name);
            Ok(())
        }
        None => {
            t.driver = known.first().map(|n| (*n).to_owned());
            Ok(())
        }
    }
}

async fn check_infrastructure(d: &ClustersDeps, ctx: &Ctx, t: &Template) -> Result<()> {
    lookups::flavor(d, ctx, t.flavor_id.as_deref()).await?;
    lookups::flavor(d, ctx, t.master_flavor_id.as_deref()).await?;
    lookups::external_network(d, ctx, t.external_network_id.as_deref()).await?;
    lookups::fixed_network(d, ctx, t.fixed_network.as_deref()).await?;
    lookups::fixed_subnet(d, ctx, t.fixed_subnet.as_deref()).await
}

fn publish(d: &ClustersDeps, ctx: &Ctx) -> Result<()> {
    if d.enforcer
        .allows("clustertemplate:publish", ctx, &own_target(ctx))
    {
        Ok(())
    } else {
        Err(Error::forbidden(
            "Not authorized to set public or hidden flag for cluster template.",
        ))
    }
}

/// Looks a template up by uuid or name, as the caller sees it.
pub(crate) async fn find(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    everywhere: &str,
) -> Result<Template> {
    let by_name = !ids::is_uuid_like(key);
    let scope = if d.enforcer.allows(everywhere, ctx, &own_target(ctx)) {
        None
    } else {
        Some(project(ctx)?)
    };
    let mut found = table::find(&d.db, key, by_name, scope).await?;
    // The template of the caller's project takes precedence over another
    // project's template of the same name.
    if found.len() > 1
        && scope.is_none()
        && let Some(own) = ctx.project_id()
    {
        let mine = table::find(&d.db, key, by_name, Some(own)).await?;
        if mine.len() == 1 {
            found = mine;
        }
    }
    if found.len() > 1 {
        return Err(Error::conflict(
            "Multiple ClusterTemplates exist with same name. Please use the ClusterTemplate uuid instead.",
        ));
    }
    found
        .pop()
        .ok_or_else(|| Error::not_found("ClusterTemplate", key))
}

pub(crate) async fn show(d: &ClustersDeps, ctx: &Ctx, key: &str) -> Result<Template> {
    let t = find(d, ctx, key, "clustertemplate:get_one_all_projects").await?;
    if !t.public {
        d.enforcer.check("clustertemplate:get", ctx, &target(&t))?;
    }
    Ok(t)
}

/// One page; `rule` is `get_all` or `detail`.
pub(crate) async fn list(
    d: &ClustersDeps,
    ctx: &Ctx,
    rule: &str,
    page: &Page,
) -> Result<Vec<Template>> {
    let scope = scope(d, ctx, "clustertemplate", rule)?;
    if let Some(marker) = &page.marker
        && table::find(&d.db, marker, false, scope).await?.is_empty()
    {
        return Err(Error::not_found("ClusterTemplate", marker));
    }
    table::page(&d.db, scope, page).await
}

pub(crate) async fn update(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    body: Option<Value>,
) -> Result<Template> {
    let changes = crate::patch::parse(body, &model::PATCH)?;
    let old = find(d, ctx, key, "clustertemplate:update_all_projects").await?;
    if old.project_id != project(ctx)? {
        d.enforcer
            .check("clustertemplate:update_all_projects", ctx, &target(&old))?;
    }
    d.enforcer
        .check("clustertemplate:update", ctx, &target(&old))?;
    let mut next = old.patched(&changes)?;
    // What an earlier release accepted must not prevent such a change.
    if !model::is_allowed_while_in_use(&changes) {
        next.check()?;
    }
    if next.image_id != old.image_id || next.coe != old.coe || next.driver != old.driver {
        if next.driver == old.driver {
            next.driver = None;
        }
        derive(d, ctx, &mut next).await?;
    }
    check_infrastructure(d, ctx, &next).await?;
    if next.public != old.public || next.hidden != old.hidden {
        publish(d, ctx)?;
    }
    next.updated_at = Some(clock::now_micros());
    db::write!(d.db, |tx| {
        // The new row was validated as a whole, so it replaces the old one.
        match table::lock(tx, &old.uuid).await? {
            Some(row) if row == old => {}
            Some(_) => {
                return Err(Error::conflict(format!(
                    "ClusterTemplate {key} was changed at the same time; look at it and try again."
                )));
            }
            None => return Err(Error::not_found("ClusterTemplate", key)),
        }
        if !model::is_allowed_while_in_use(&changes) && table::references(tx, &old.uuid).await? {
            return Err(in_use_error(key));
        }
        table::update(tx, &next).await
    })?;
    Ok(next)
}

pub(crate) async fn delete(d: &ClustersDeps, ctx: &Ctx, key: &str) -> Result<()> {
    let t = find(d, ctx, key, "clustertemplate:delete_all_projects").await?;
    let admin = "clustertemplate:delete_all_projects";
    if t.project_id != project(ctx)? && !d.enforcer.allows(admin, ctx, &target(&t)) {
        return Err(Error::not_found("ClusterTemplate", key));
    }
    d.enforcer
        .check("clustertemplate:delete", ctx, &target(&t))?;
    db::write!(d.db, |tx| {
        tx.write_receipt().await?;
        if table::lock(tx, &t.uuid).await?.is_none() {
            return Err(Error::not_found("ClusterTemplate", key));
        }
        if table::references(tx, &t.uuid).await? {
            return Err(in_use_error(key));
        }
        table::delete(tx, &t.uuid).await
    })
}

fn in_use_error(key: &str) -> Error {
    bad_request(
        "cluster_template",
        format!("ClusterTemplate {key} is referenced by one or multiple clusters."),
    )
}
