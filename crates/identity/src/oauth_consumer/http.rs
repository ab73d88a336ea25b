//! Routes of consumers.

use kernel::{Result, Target};
use rest::{Created, Json, NoContent, Route, delete, get, patch_route, post};

use super::wire::{ConsumerBody, ConsumerFields};
use super::{ops, table};
use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, One};
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

pub(crate) fn routes() -> Vec<Route<State>> {
    let all = "/v3/OS-OAUTH1/consumers";
    let one = "/v3/OS-OAUTH1/consumers/{consumer_id}";
    vec![
        get(
            all,
            &policy::LIST_CONSUMERS,
            "List consumers of OAuth.",
            list,
        )
        .query(&[PAGING]),
        post(
            all,
            &policy::CREATE_CONSUMER,
            "Create a consumer of OAuth.",
            create,
        ),
        get(
            one,
            &policy::GET_CONSUMER,
            "Show a consumer of OAuth.",
            show,
        ),
        patch_route(
            one,
            &policy::UPDATE_CONSUMER,
            "Change a consumer of OAuth.",
            update,
        ),
        delete(
            one,
            &policy::DELETE_CONSUMER,
            "Delete a consumer of OAuth.",
            remove,
        ),
    ]
}

async fn list(call: Call) -> Result<Json<Many<ConsumerBody>>> {
    call.allow(&policy::LIST_CONSUMERS, &Target::default())?;
    let all = table::list(&call.state.db).await?;
    let items = all
        .into_iter()
        .map(|found| ConsumerBody::new(found, call.base()))
        .collect();
    listing(&call, "/OS-OAUTH1/consumers", items)
}

async fn show(call: Call) -> Result<Json<One<ConsumerBody>>> {
    call.allow(&policy::GET_CONSUMER, &Target::default())?;
    let found = ops::get(&call.state, call.param("consumer_id")?).await?;
    Ok(Json(One(ConsumerBody::new(found, call.base()))))
}

async fn create(call: Call<New<ConsumerFields>>) -> Result<Created<One<ConsumerBody>>> {
    call.allow(&policy::CREATE_CONSUMER, &Target::default())?;
    let New(fields) = call.body()?;
    let (made, secret) = ops::create(&call.state, fields).await?;
    let mut body = ConsumerBody::new(made, call.base());
    body.secret = Some(secret);
    Ok(Created(One(body)))
}

async fn update(call: Call<Change<ConsumerFields>>) -> Result<Json<One<ConsumerBody>>> {
    call.allow(&policy::UPDATE_CONSUMER, &Target::default())?;
    let id = call.param("consumer_id")?;
    let fields = call.body()?.of(id)?;
    let changed = ops::update(&call.state, id, fields).await?;
    Ok(Json(One(ConsumerBody::new(changed, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_CONSUMER, &Target::default())?;
    ops::delete(&call.state, call.param("consumer_id")?).await?;
    Ok(NoContent)
}
