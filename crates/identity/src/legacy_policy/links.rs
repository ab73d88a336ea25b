//! Which policies apply to which endpoints.

use db::Tx;
use kernel::{Error, Kind, Result};

use super::{LegacyPolicy, LinkTarget, PolicyLink, ops, table};
use crate::catalog::{self, Endpoint, Region};
use crate::errors::missing;
use crate::ids::PolicyId;
use crate::state::State;

/// Lets a policy apply to a target, instead of its previous policy.
pub(super) async fn create(state: &State, policy_id: &str, target: &LinkTarget) -> Result<()> {
    let link = PolicyLink {
        policy_id: policy_id.into(),
        target: target.clone(),
    };
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        check_parts(tx, &link).await?;
        table::delete_link_of_target(tx, target).await?;
        table::insert_link(tx, &link).await
    })
}

/// Removes a link; succeeds if there is none, as in Keystone.
pub(super) async fn delete(state: &State, policy_id: &str, target: &LinkTarget) -> Result<()> {
    let link = PolicyLink {
        policy_id: policy_id.into(),
        target: target.clone(),
    };
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        check_parts(tx, &link).await?;
        table::delete_link(tx, &link).await.map(|_| ())
    })
}

/// Checks that a policy applies to a target itself.
pub(super) async fn check(state: &State, policy_id: &str, target: &LinkTarget) -> Result<()> {
    ops::get(state, policy_id).await?;
    if !target.endpoint_id.is_empty() {
        catalog::ops::endpoint::get(state, &target.endpoint_id).await?;
    }
    if !target.service_id.is_empty() {
        catalog::ops::service::get(state, &target.service_id).await?;
    }
    if !target.region_id.is_empty() {
        catalog::ops::region::get(state, &target.region_id).await?;
    }
    let all = table::links(&state.db).await?;
    if all
        .iter()
        .any(|l| l.policy_id == *policy_id && l.target == *target)
    {
        return Ok(());
    }
    Err(Error::new(
        Kind::NotFound,
        "Could not find policy association.",
    ))
}

async fn check_parts(tx: &mut Tx, link: &PolicyLink) -> Result<()> {
    if table::lock(tx, &link.policy_id).await?.is_none() {
        return Err(missing("policy", &link.policy_id));
    }
    let (endpoint, service) = (&link.target.endpoint_id, &link.target.service_id);
    let region = &link.target.region_id;
    if !endpoint.is_empty() && catalog::table::read_endpoint(tx, endpoint).await?.is_none() {
        return Err(missing("endpoint", endpoint));
    }
    if !service.is_empty() && catalog::table::read_service(tx, service).await?.is_none() {
        return Err(missing("service", service));
    }
    if !region.is_empty() {
        let all = catalog::table::read_regions(tx).await?;
        if all.iter().all(|r| r.id != *region) {
            return Err(missing("region", region));
        }
    }
    Ok(())
}

/// The endpoints that a policy is linked to: directly, by their service, or by their
/// service and a region at or above theirs.
pub(super) async fn endpoints_of(state: &State, policy_id: &str) -> Result<Vec<Endpoint>> {
    let all = table::links(&state.db).await?;
    let own: Vec<&PolicyLink> = all.iter().filter(|l| l.policy_id == *policy_id).collect();
    let regions = catalog::table::regions(&state.db).await?;
    let mut endpoints = catalog::table::endpoints(&state.db).await?;
    endpoints.retain(|e| own.iter().any(|l| covers(&l.target, e, &regions)));
    Ok(endpoints)
}

fn covers(target: &LinkTarget, endpoint: &Endpoint, regions: &[Region]) -> bool {
    if !target.endpoint_id.is_empty() {
        return endpoint.id == *target.endpoint_id;
    }
    endpoint.service_id == *target.service_id
        && (target.region_id.is_empty()
            || regions_of(endpoint, regions).contains(&&*target.region_id))
}

/// The region of an endpoint and those above it, from below.
fn regions_of<'a>(endpoint: &'a Endpoint, regions: &'a [Region]) -> Vec<&'a str> {
    let mut above = Vec::new();
    let mut at = endpoint.region_id.as_deref();
    while let Some(id) = at.filter(|id| !above.contains(id)) {
        above.push(id);
        let found = regions.iter().find(|r| r.id == id);
        at = found.and_then(|r| r.parent_region_id.as_deref());
    }
    above
}

/// The policy of an endpoint: its own one, else that of its service in the nearest
/// region, else that of its service.
pub(super) async fn policy_of(state: &State, endpoint_id: &str) -> Result<LegacyPolicy> {
    let endpoint = catalog::ops::endpoint::get(state, endpoint_id).await?;
    let regions = catalog::table::regions(&state.db).await?;
    let service_id = endpoint.service_id.to_string();
    let mut targets = vec![LinkTarget {
        endpoint_id: endpoint.id.to_string(),
        ..LinkTarget::default()
    }];
    targets.extend(
        regions_of(&endpoint, &regions)
            .into_iter()
            .map(|region| LinkTarget {
                service_id: service_id.clone(),
                region_id: region.to_owned(),
                ..LinkTarget::default()
            }),
    );
    targets.push(LinkTarget {
        service_id: service_id.clone(),
        ..LinkTarget::default()
    });
    let all = table::links(&state.db).await?;
    let policy_id = |target: &LinkTarget| -> Option<PolicyId> {
        let found = all.iter().find(|l| l.target == *target);
        found.map(|l| l.policy_id.clone())
    };
    match targets.iter().find_map(policy_id) {
        Some(id) => ops::get(state, &id).await,
        None => Err(Error::new(
            Kind::NotFound,
            format!("No policy is associated with endpoint {endpoint_id}."),
        )),
    }
}
