//! Routes of access rules.

use kernel::Result;
use rest::{Json, NoContent, Param, Route, delete, get};

use super::wire::AccessRuleBody;
use super::{ops, table};
use crate::app_credential::http::by;
use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, One};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const FILTERS: &[Param] = &[
    Param::text("service", "Rules for services of this type.").comparable(),
    Param::text("path", "Rules with this path.").comparable(),
    Param::text("method", "Rules for this method.").comparable(),
];

pub(crate) fn routes() -> Vec<Route<State>> {
    let all = "/v3/users/{user_id}/access_rules";
    let one = "/v3/users/{user_id}/access_rules/{access_rule_id}";
    vec![
        get(
            all,
            &policy::LIST_ACCESS_RULES,
            "List access rules of a user.",
            list,
        )
        .query(&[PAGING, FILTERS]),
        get(one, &policy::GET_ACCESS_RULE, "Show an access rule.", show),
        delete(
            one,
            &policy::DELETE_ACCESS_RULE,
            "Delete an access rule that no application credential has.",
            remove,
        ),
    ]
}

async fn list(call: Call) -> Result<Json<Many<AccessRuleBody>>> {
    by(&call, &policy::LIST_ACCESS_RULES).await?;
    let user = call.param("user_id")?;
    let rules = table::of_user(&call.state.db, user).await?;
    let items = rules
        .into_iter()
        .map(|r| AccessRuleBody::new(r, call.base()))
        .collect();
    listing(&call, &format!("/users/{user}/access_rules"), items)
}

async fn show(call: Call) -> Result<Json<One<AccessRuleBody>>> {
    by(&call, &policy::GET_ACCESS_RULE).await?;
    let (user, id) = (call.param("user_id")?, call.param("access_rule_id")?);
    let found = ops::get(&call.state, user, id).await?;
    Ok(Json(One(AccessRuleBody::new(found, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    by(&call, &policy::DELETE_ACCESS_RULE).await?;
    let (user, id) = (call.param("user_id")?, call.param("access_rule_id")?);
    ops::delete(&call.state, user, id).await?;
    Ok(NoContent)
}
