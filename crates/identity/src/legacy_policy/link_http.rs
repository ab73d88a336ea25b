//! Routes of the endpoints that policies apply to.

use kernel::{Result, Rule, Target};
use rest::{Json, NoContent, Route, delete, get, put};

use super::wire::PolicyBody;
use super::{LinkTarget, links, ops};
use crate::call::{Call, IdentityCall};
use crate::catalog::wire::EndpointBody;
use crate::envelope::{Many, One};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

/// Rules of the routes of one kind of target.
struct Rules {
    check: &'static Rule,
    create: &'static Rule,
    delete: &'static Rule,
}

fn of_target(path: &'static str, rules: Rules) -> [Route<State>; 3] {
    let Rules {
        check,
        create,
        delete: remove,
    } = rules;
    [
        get(
            path,
            check,
            "Check whether a policy applies to an endpoint or service.",
            move |call| check_link(call, check),
        ),
        put(
            path,
            create,
            "Let a policy apply to an endpoint or service.",
            move |call| create_link(call, create),
        ),
        delete(
            path,
            remove,
            "Let a policy no longer apply to an endpoint or service.",
            move |call| delete_link(call, remove),
        ),
    ]
}

pub(crate) fn routes() -> Vec<Route<State>> {
    let endpoint = of_target(
        "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id}",
        Rules {
            check: &policy::CHECK_ENDPOINT_POLICY,
            create: &policy::CREATE_ENDPOINT_POLICY,
            delete: &policy::DELETE_ENDPOINT_POLICY,
        },
    );
    let service = of_target(
        "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}",
        Rules {
            check: &policy::CHECK_SERVICE_POLICY,
            create: &policy::CREATE_SERVICE_POLICY,
            delete: &policy::DELETE_SERVICE_POLICY,
        },
    );
    let region = of_target(
        "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id}",
        Rules {
            check: &policy::CHECK_REGION_POLICY,
            create: &policy::CREATE_REGION_POLICY,
            delete: &policy::DELETE_REGION_POLICY,
        },
    );
    let mut routes = vec![
        get(
            "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints",
            &policy::LIST_POLICY_ENDPOINTS,
            "List the endpoints that a policy applies to.",
            endpoints,
        )
        .query(&[PAGING]),
        get(
            "/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy",
            &policy::GET_POLICY_OF_ENDPOINT,
            "Show the policy of an endpoint.",
            policy_of,
        ),
    ];
    routes.extend([endpoint, service, region].into_iter().flatten());
    routes
}

/// The target that the path names.
fn target(call: &Call) -> LinkTarget {
    let named = |name: &str| {
        let found = call.parts.params.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    LinkTarget {
        endpoint_id: named("endpoint_id"),
        service_id: named("service_id"),
        region_id: named("region_id"),
    }
}

async fn check_link(call: Call, rule: &'static Rule) -> Result<NoContent> {
    call.allow(rule, &Target::default())?;
    links::check(&call.state, call.param("policy_id")?, &target(&call)).await?;
    Ok(NoContent)
}

async fn create_link(call: Call, rule: &'static Rule) -> Result<NoContent> {
    call.allow(rule, &Target::default())?;
    links::create(&call.state, call.param("policy_id")?, &target(&call)).await?;
    Ok(NoContent)
}

async fn delete_link(call: Call, rule: &'static Rule) -> Result<NoContent> {
    call.allow(rule, &Target::default())?;
    links::delete(&call.state, call.param("policy_id")?, &target(&call)).await?;
    Ok(NoContent)
}

async fn endpoints(call: Call) -> Result<Json<Many<EndpointBody>>> {
    call.allow(&policy::LIST_POLICY_ENDPOINTS, &Target::default())?;
    let found = ops::get(&call.state, call.param("policy_id")?).await?;
    let all = links::endpoints_of(&call.state, &found.id).await?;
    let items = all
        .into_iter()
        .map(|e| EndpointBody::new(e, call.base()))
        .collect();
    let path = format!("/policies/{}/OS-ENDPOINT-POLICY/endpoints", found.id);
    listing(&call, &path, items)
}

async fn policy_of(call: Call) -> Result<Json<One<PolicyBody>>> {
    call.allow(&policy::GET_POLICY_OF_ENDPOINT, &Target::default())?;
    let found = links::policy_of(&call.state, call.param("endpoint_id")?).await?;
    Ok(Json(One(PolicyBody::new(found, call.base()))))
}
