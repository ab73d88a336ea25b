//! Operations on cluster templates.

use db::Table as _;
use kernel::{Ctx, Error, Page, ProjectId, Result, Rule, Target, clock, ids};

use super::model::{self, Template};
use super::table;
use crate::authorized::{Authorized, Owned as _};
use crate::coe::Coe;
use crate::coe::kubernetes::flavour::check_image;
use crate::errors::bad_request;
use crate::listing::Listed;
use crate::patch::Change;
use crate::{ClustersDeps, lookups, policies};

/// The project of the caller; rows belong to projects.
pub(crate) fn project(ctx: &Ctx) -> Result<&ProjectId> {
    ctx.project_id()
        .ok_or_else(|| Error::forbidden("A project-scoped token is needed for this operation."))
}

/// The policy target for objects of the caller.
pub(crate) fn own_target(ctx: &Ctx) -> Target {
    Target {
        project_id: ctx.project_id().cloned(),
        user_id: Some(ctx.user_id.clone()),
        domain_id: None,
    }
}

/// Returns the project whose rows a list shows: the project of the caller, or
/// all (`None`) if `everywhere` allows it.
pub(crate) fn scope<'a>(
    d: &ClustersDeps,
    ctx: &'a Ctx,
    rule: &'static Rule,
    everywhere: &'static Rule,
) -> Result<Option<&'a ProjectId>> {
    let own = own_target(ctx);
    d.enforcer.check(rule, ctx, &own)?;
    if d.enforcer.allows(everywhere, ctx, &own) {
        return Ok(None);
    }
    project(ctx).map(Some)
}

/// Creates a template.
pub(crate) async fn create(d: &ClustersDeps, ctx: &Ctx, mut t: Template) -> Result<Template> {
    t.project_id = project(ctx)?.clone();
    t.user_id.clone_from(&ctx.user_id);
    t.created_at = clock::now();
    t.check(&d.ranges)?;
    derive(d, ctx, &mut t).await?;
    d.enforcer
        .check(&policies::TEMPLATE_CREATE, ctx, &own_target(ctx))?;
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
        .allows(&policies::TEMPLATE_PUBLISH, ctx, &own_target(ctx))
    {
        Ok(())
    } else {
        Err(Error::forbidden(
            "Not authorized to set public or hidden flag for cluster template.",
        ))
    }
}

/// Looks a template up by uuid or name, as the caller sees it. A new cluster may
/// take its defaults from any template that is found; operations on templates
/// need [`load`].
pub(crate) async fn find(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    everywhere: &'static Rule,
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

/// What a caller wants to do with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Show,
    Update,
    Delete,
}

/// Loads a template for a caller who may use it for the purpose.
///
/// # Errors
/// `NotFound` if the caller does not see it, `Forbidden` if a rule denies.
pub(crate) async fn load(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    purpose: Purpose,
) -> Result<Authorized<Template>> {
    let (everywhere, rule) = match purpose {
        Purpose::Show => (
            &policies::TEMPLATE_GET_ONE_ALL_PROJECTS,
            &policies::TEMPLATE_GET,
        ),
        Purpose::Update => (
            &policies::TEMPLATE_UPDATE_ALL_PROJECTS,
            &policies::TEMPLATE_UPDATE,
        ),
        Purpose::Delete => (
            &policies::TEMPLATE_DELETE_ALL_PROJECTS,
            &policies::TEMPLATE_DELETE,
        ),
    };
    let enforcer = d.enforcer.as_ref();
    let t = find(d, ctx, key, everywhere).await?;
    if purpose == Purpose::Show {
        // The real service shows a public template without evaluating the rule.
        return Authorized::check_unless_shared(enforcer, ctx, rule, t, |t| t.public);
    }
    let is_foreign = t.project_id != *project(ctx)?;
    if is_foreign && purpose == Purpose::Delete && !enforcer.allows(everywhere, ctx, &t.target()) {
        return Err(Error::not_found("ClusterTemplate", key));
    }
    if is_foreign && purpose == Purpose::Update {
        return Authorized::check(enforcer, ctx, &[everywhere, rule], t);
    }
    Authorized::check(enforcer, ctx, &[rule], t)
}

/// One page; `detail` only selects the rules that are checked.
pub(crate) async fn list(
    d: &ClustersDeps,
    ctx: &Ctx,
    detail: bool,
    page: &Page,
) -> Result<Listed<Template>> {
    let scope = if detail {
        let everywhere = &policies::TEMPLATE_DETAIL_ALL_PROJECTS;
        scope(d, ctx, &policies::TEMPLATE_DETAIL, everywhere)?
    } else {
        let everywhere = &policies::TEMPLATE_GET_ALL_ALL_PROJECTS;
        scope(d, ctx, &policies::TEMPLATE_GET_ALL, everywhere)?
    };
    if let Some(marker) = &page.marker
        && table::find(&d.db, marker, false, scope).await?.is_empty()
    {
        return Err(Error::not_found("ClusterTemplate", marker));
    }
    table::page(&d.db, scope, page).await
}

/// Applies a patch; `key` is how the caller named the template.
pub(crate) async fn update(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    template: Authorized<Template>,
    changes: &[Change],
) -> Result<Template> {
    let old = template.into_inner();
    let mut next = old.patched(changes)?;
    // What an earlier release accepted must not prevent such a change.
    if !model::is_allowed_while_in_use(changes) {
        next.check(&d.ranges)?;
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
    next.updated_at = Some(clock::now());
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
        if !model::is_allowed_while_in_use(changes) && table::references(tx, &old.uuid).await? {
            return Err(in_use_error(key));
        }
        table::update(tx, &next).await
    })?;
    Ok(next)
}

/// Deletes a template; `key` is how the caller named it.
pub(crate) async fn delete(d: &ClustersDeps, key: &str, t: Authorized<Template>) -> Result<()> {
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
