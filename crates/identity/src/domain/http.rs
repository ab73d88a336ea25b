//! Routes of domains.

use kernel::{Result, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::ops;
use super::wire::{DomainBody, DomainFields};
use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, One};
use crate::errors::wrong;
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::project::{self, Project};
use crate::state::State;

const FILTERS: &[Param] = &[
    Param::text("name", "Domains of this name.").comparable(),
    Param::text("enabled", "Enabled or disabled domains."),
    Param::text("tags", "Domains with all of these tags."),
    Param::text("tags-any", "Domains with one of these tags."),
    Param::text("not-tags", "Domains without all of these tags."),
    Param::text("not-tags-any", "Domains without any of these tags."),
];

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get("/v3/domains", &policy::LIST_DOMAINS, "List domains.", list).query(&[PAGING, FILTERS]),
        post(
            "/v3/domains",
            &policy::CREATE_DOMAIN,
            "Create a domain.",
            create,
        ),
        get(
            "/v3/domains/{domain_id}",
            &policy::GET_DOMAIN,
            "Show a domain.",
            show,
        ),
        patch_route(
            "/v3/domains/{domain_id}",
            &policy::UPDATE_DOMAIN,
            "Change a domain.",
            update,
        ),
        delete(
            "/v3/domains/{domain_id}",
            &policy::DELETE_DOMAIN,
            "Delete a domain.",
            remove,
        ),
    ]
}

/// A domain is visible to its own callers.
fn visible(call: &Call, domain: &Project) -> bool {
    let target = Target::domain(domain.as_domain());
    call.allows(&policy::GET_DOMAIN, &target) || call.domain_id().is_ok_and(|own| own == domain.id)
}

async fn list(call: Call) -> Result<Json<Many<DomainBody>>> {
    call.allow(&policy::LIST_DOMAINS, &Target::domain(call.domain_id()?))?;
    let all = project::table::list(&call.state.db).await?;
    let items = all
        .into_iter()
        .filter(|d| d.is_domain && visible(&call, d))
        .map(|d| DomainBody::new(d, call.base()))
        .collect();
    listing(&call, "/domains", items)
}

async fn show(call: Call) -> Result<Json<One<DomainBody>>> {
    let found = ops::get(&call.state, call.param("domain_id")?).await;
    if found.as_ref().is_ok_and(|d| visible(&call, d)) {
        // Every caller may see the own domain.
        call.ctx()?.granted.record(&policy::GET_DOMAIN);
    } else {
        call.allow(&policy::GET_DOMAIN, &Target::default())?;
    }
    Ok(Json(One(DomainBody::new(found?, call.base()))))
}

async fn create(call: Call<New<DomainFields>>) -> Result<Created<One<DomainBody>>> {
    call.allow(&policy::CREATE_DOMAIN, &Target::default())?;
    let New(fields) = call.body()?;
    let domain = ops::create(&call.state, fields.explicit_id, fields.common).await?;
    Ok(Created(One(DomainBody::new(domain, call.base()))))
}

async fn update(call: Call<Change<DomainFields>>) -> Result<Json<One<DomainBody>>> {
    call.allow(&policy::UPDATE_DOMAIN, &Target::default())?;
    let id = call.param("domain_id")?;
    ops::get(&call.state, id).await?;
    let fields = call.body()?.of(id)?;
    if let Some(other) = fields.explicit_id.filter(|given| *given != id) {
        return Err(wrong("explicit_domain_id", &other, "Cannot change ID."));
    }
    let domain = ops::update(&call.state, id, fields.common).await?;
    Ok(Json(One(DomainBody::new(domain, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_DOMAIN, &Target::default())?;
    ops::delete(&call.state, call.param("domain_id")?).await?;
    Ok(NoContent)
}
