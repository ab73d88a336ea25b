//! Routes of the configuration of domains.

use kernel::{Result, Target};
use rest::{Json, NoContent, Route, delete, get, patch_route, put};
use serde_json::json;

use super::options::{Part, invalid};
use super::wire::{DomainConfigBody, GivenConfig, Stored};
use super::{Config, ops};
use crate::call::{Call, IdentityCall};
use crate::state::State;
use crate::{domain, policy};

const WHOLE: &str = "/v3/domains/{domain_id}/config";
const GROUP: &str = "/v3/domains/{domain_id}/config/{group}";
const OPTION: &str = "/v3/domains/{domain_id}/config/{group}/{option}";
const SECURITY: &str = "/v3/domains/{domain_id}/config/security_compliance";
const SECURITY_OPTION: &str = "/v3/domains/{domain_id}/config/security_compliance/{option}";
const DEFAULTS: [&str; 3] = [
    "/v3/domains/config/default",
    "/v3/domains/config/{group}/default",
    "/v3/domains/config/{group}/{option}/default",
];

pub(crate) fn routes() -> Vec<Route<State>> {
    let mut routes = vec![put(
        WHOLE,
        &policy::CREATE_DOMAIN_CONFIG,
        "Replace the configuration of a domain.",
        replace,
    )];
    for path in [WHOLE, GROUP, OPTION] {
        routes.push(get(
            path,
            &policy::GET_DOMAIN_CONFIG,
            "Show the configuration of a domain, a group or an option.",
            show,
        ));
        routes.push(patch_route(
            path,
            &policy::UPDATE_DOMAIN_CONFIG,
            "Change the configuration of a domain, a group or an option.",
            update,
        ));
        routes.push(delete(
            path,
            &policy::DELETE_DOMAIN_CONFIG,
            "Delete the configuration of a domain, a group or an option.",
            remove,
        ));
    }
    for path in [SECURITY, SECURITY_OPTION] {
        routes.push(get(
            path,
            &policy::GET_SECURITY_COMPLIANCE,
            "Show the rules for passwords.",
            show_security,
        ));
    }
    for path in DEFAULTS {
        routes.push(get(
            path,
            &policy::GET_DOMAIN_CONFIG_DEFAULT,
            "Show the defaults of the configuration of domains.",
            show_default,
        ));
    }
    routes
}

/// The part that the path names.
fn part<B>(call: &Call<B>) -> Part<'_> {
    let named = |name: &str| {
        let found = call.parts.params.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    };
    Part {
        group: named("group"),
        option: named("option"),
    }
}

fn body(config: Config) -> DomainConfigBody {
    DomainConfigBody { config }
}

async fn show(call: Call) -> Result<Json<DomainConfigBody>> {
    call.allow(&policy::GET_DOMAIN_CONFIG, &Target::default())?;
    let domain = domain::ops::get(&call.state, call.param("domain_id")?).await?;
    let config = ops::get(&call.state, &domain.id, part(&call)).await?;
    Ok(Json(body(config)))
}

async fn replace(call: Call<GivenConfig>) -> Result<Stored> {
    call.allow(&policy::CREATE_DOMAIN_CONFIG, &Target::default())?;
    let domain = domain::ops::get(&call.state, call.param("domain_id")?).await?;
    let GivenConfig(config) = call.body()?;
    let (had_some, config) = ops::replace(&call.state, &domain.id, &config).await?;
    Ok(match had_some {
        true => Stored::Replaced(body(config)),
        false => Stored::New(body(config)),
    })
}

async fn update(call: Call<GivenConfig>) -> Result<Json<DomainConfigBody>> {
    call.allow(&policy::UPDATE_DOMAIN_CONFIG, &Target::default())?;
    let domain = domain::ops::get(&call.state, call.param("domain_id")?).await?;
    let GivenConfig(config) = call.body()?;
    let config = ops::update(&call.state, &domain.id, part(&call), config).await?;
    Ok(Json(body(config)))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_DOMAIN_CONFIG, &Target::default())?;
    let domain = domain::ops::get(&call.state, call.param("domain_id")?).await?;
    ops::delete(&call.state, &domain.id, part(&call)).await?;
    Ok(NoContent)
}

async fn show_default(call: Call) -> Result<Json<DomainConfigBody>> {
    call.allow(&policy::GET_DOMAIN_CONFIG_DEFAULT, &Target::default())?;
    Ok(Json(body(ops::default_of(part(&call))?)))
}

/// There are no rules for passwords, which Keystone shows as null.
async fn show_security(call: Call) -> Result<Json<DomainConfigBody>> {
    call.allow(&policy::GET_SECURITY_COMPLIANCE, &Target::default())?;
    if call.param("domain_id")? != "default" {
        return Err(invalid(
            "Reading security compliance information for any domain other than the default \
             domain is not allowed or supported.",
        ));
    }
    let mut rules = Config::from_iter([
        ("password_regex".to_owned(), json!(null)),
        ("password_regex_description".to_owned(), json!(null)),
    ]);
    let Some(option) = part(&call).option else {
        let group = Config::from_iter([("security_compliance".to_owned(), json!(rules))]);
        return Ok(Json(body(group)));
    };
    if !rules.contains_key(option) {
        return Err(invalid(
            "Reading security compliance values other than password_regex and \
             password_regex_description is not allowed.",
        ));
    }
    rules.retain(|name, _| name == option);
    Ok(Json(body(rules)))
}
