//! Groups are not supported yet: their lists are empty.

use kernel::{Result, Target};
use rest::{Json, Param, Route, get};
use schemars::JsonSchema;
use serde::Serialize;

use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, nouns};
use crate::filter::{Filter, Listed};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

/// A group as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GroupBody {
    id: String,
    name: String,
    domain_id: String,
}

nouns! { GroupBody = "group", "groups"; }

impl Listed for GroupBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "name" => Some(Filter::Text(&self.name)),
            "domain_id" => Some(Filter::Text(&self.domain_id)),
            _ => None,
        }
    }
}

const FILTERS: &[Param] = &[
    Param::text("name", "Groups of this name.").comparable(),
    Param::text("domain_id", "Groups of this domain."),
];

pub(crate) fn routes() -> Vec<Route<State>> {
    let about = "List groups: none, because groups are not supported yet.";
    vec![get("/v3/groups", &policy::LIST_GROUPS, about, list).query(&[PAGING, FILTERS])]
}

async fn list(call: Call) -> Result<Json<Many<GroupBody>>> {
    call.allow(&policy::LIST_GROUPS, &Target::domain(call.domain_id()?))?;
    listing(&call, "/groups", vec![])
}
