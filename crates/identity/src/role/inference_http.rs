//! Routes of inferences: which roles imply which.

use kernel::{Result, Target};
use rest::{Created, Json, NoContent, Route, delete, get, head, put};

use super::wire::{Inference, Inferences, OneInference, RoleReference};
use super::{Role, inference, ops, table};
use crate::call::{Call, IdentityCall};
use crate::envelope::One;
use crate::ids::RoleId;
use crate::policy;
use crate::state::State;

pub(crate) fn routes() -> Vec<Route<State>> {
    let one = "/v3/roles/{role_id}/implies/{implied_role_id}";
    vec![
        get(
            "/v3/roles/{role_id}/implies",
            &policy::LIST_IMPLIED_ROLES,
            "List the roles that a role implies.",
            implies,
        ),
        get(
            one,
            &policy::GET_IMPLIED_ROLE,
            "Show that a role implies another.",
            show,
        ),
        head(
            one,
            &policy::GET_IMPLIED_ROLE,
            "Check whether a role implies another.",
            check,
        ),
        put(
            one,
            &policy::CREATE_IMPLIED_ROLE,
            "Let a role imply another.",
            create,
        ),
        delete(
            one,
            &policy::DELETE_IMPLIED_ROLE,
            "Let a role no longer imply another.",
            remove,
        ),
        get(
            "/v3/role_inferences",
            &policy::LIST_ROLE_INFERENCES,
            "List all roles that imply others.",
            inferences,
        ),
    ]
}

async fn implies(call: Call) -> Result<Json<One<Inference>>> {
    call.allow(&policy::LIST_IMPLIED_ROLES, &Target::default())?;
    let prior = ops::get(&call.state, call.param("role_id")?).await?;
    let (all, pairs) = table::list_with_implied(&call.state.db).await?;
    Ok(Json(One(with_implied(&prior, &all, &pairs, call.base()))))
}

async fn inferences(call: Call) -> Result<Json<Inferences>> {
    call.allow(&policy::LIST_ROLE_INFERENCES, &Target::default())?;
    let (all, pairs) = table::list_with_implied(&call.state.db).await?;
    let role_inferences = all
        .iter()
        .filter(|r| pairs.iter().any(|(prior, _)| *prior == r.id))
        .map(|r| with_implied(r, &all, &pairs, call.base()))
        .collect();
    Ok(Json(Inferences { role_inferences }))
}

fn with_implied(prior: &Role, all: &[Role], pairs: &[(RoleId, RoleId)], base: &str) -> Inference {
    let implied = |r: &&Role| pairs.iter().any(|(p, i)| *p == prior.id && *i == r.id);
    let implies = all.iter().filter(implied);
    Inference {
        prior_role: RoleReference::new(prior, base),
        implies: implies.map(|r| RoleReference::new(r, base)).collect(),
    }
}

/// The roles of the path: the one that implies, and the one that is implied.
async fn roles(call: &Call) -> Result<(Role, Role)> {
    let prior = ops::get(&call.state, call.param("role_id")?).await?;
    let implied = ops::get(&call.state, call.param("implied_role_id")?).await?;
    Ok((prior, implied))
}

fn body(prior: &Role, implied: &Role, base: &str) -> One<OneInference> {
    One(OneInference {
        prior_role: RoleReference::new(prior, base),
        implies: RoleReference::new(implied, base),
    })
}

async fn show(call: Call) -> Result<Json<One<OneInference>>> {
    call.allow(&policy::GET_IMPLIED_ROLE, &Target::default())?;
    let (prior, implied) = roles(&call).await?;
    inference::check(&call.state, &prior.id, &implied.id).await?;
    Ok(Json(body(&prior, &implied, call.base())))
}

async fn check(call: Call) -> Result<NoContent> {
    call.allow(&policy::GET_IMPLIED_ROLE, &Target::default())?;
    let (prior, implied) = roles(&call).await?;
    inference::check(&call.state, &prior.id, &implied.id).await?;
    Ok(NoContent)
}

async fn create(call: Call) -> Result<Created<One<OneInference>>> {
    call.allow(&policy::CREATE_IMPLIED_ROLE, &Target::default())?;
    let (prior, implied) = roles(&call).await?;
    inference::create(&call.state, &prior.id, &implied.id).await?;
    Ok(Created(body(&prior, &implied, call.base())))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_IMPLIED_ROLE, &Target::default())?;
    let (prior, implied) = roles(&call).await?;
    inference::delete(&call.state, &prior.id, &implied.id).await?;
    Ok(NoContent)
}
