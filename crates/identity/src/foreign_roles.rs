//! The limits of the manager of a domain.

use kernel::{DomainId, Result, Rule, Target, clock};

use crate::assignment::{self, Actor};
use crate::call::{Call, IdentityCall};
use crate::role::effective;
use crate::{policy, trust};

/// Roles that permit something on the objects of all domains.
const UNLIMITED: &[&str] = &["admin", "service"];

/// Who controls a user or the membership of a group has all roles of it. Therefore the
/// manager of a domain must not change a user or group of this domain with rights
/// outside of it: a role on the system or in a domain that the rule of the route does
/// not permit to the caller, or a role that is not limited to its domain. The same holds for
/// the roles that others delegate to the user by trusts.
pub(crate) async fn refuse_foreign_roles<B>(
    call: &Call<B>,
    rule: &'static Rule,
    actor: &Actor,
    target: &Target,
) -> Result<()> {
    let mut domains = assignment::table::domains_of_targets(&call.state.db, actor).await?;
    let mut delegated = Vec::new();
    let is_managed = |domain: &Option<DomainId>| {
        let managed = |id: &DomainId| call.allows(rule, &Target::domain(id.clone()));
        domain.as_ref().is_some_and(managed)
    };
    let mut roles = effective::on_any_target(&call.state.db, actor).await?;
    if let Actor::User(id) = actor {
        let db = &call.state.db;
        for (trust, domain) in trust::table::of_trustee_with_domains(db, id, clock::now()).await? {
            // A trust without a project gives no roles.
            if trust.project_id.is_some() {
                domains.push(domain);
                delegated.extend(trust.roles);
            }
        }
        if !delegated.is_empty() {
            roles.extend(effective::expand(db, &delegated).await?);
        }
    }
    let is_unlimited = roles.iter().any(|r| UNLIMITED.contains(&r.name.as_str()));
    if is_unlimited || !domains.iter().all(is_managed) {
        call.allow(&policy::MANAGE_ADMIN, target)?;
    }
    Ok(())
}
