//! Granting and revoking.

use db::Tx;
use kernel::{DomainId, Error, Kind, Result, Target};

use crate::assignment::{self, Actor, Assignment};
use crate::errors::missing;
use crate::project::{self, Project};
use crate::role::{self, Role};
use crate::state::State;
use crate::{app_credential, group, user};

/// The target of a grant.
#[derive(Debug, Clone)]
pub(crate) enum GrantTarget {
    Project(Project),
    Domain(Project),
    System,
}

impl GrantTarget {
    pub(crate) async fn find(state: &State, kind: &str, id: &str) -> Result<Self> {
        match kind {
            "project" => {
                // A domain can be used as a project, too.
                let found = project::table::by_id(&state.db, id).await?;
                Ok(Self::Project(found.ok_or_else(|| missing("project", id))?))
            }
            "domain" => Ok(Self::Domain(crate::domain::ops::get(state, id).await?)),
            _ => Ok(Self::System),
        }
    }

    pub(crate) fn key(&self) -> (&'static str, &str) {
        match self {
            Self::Project(p) => ("project", &p.id),
            Self::Domain(d) => ("domain", &d.id),
            Self::System => ("system", "all"),
        }
    }

    fn domain_id(&self) -> Option<DomainId> {
        match self {
            Self::Project(p) | Self::Domain(p) => Some(p.domain()),
            Self::System => None,
        }
    }

    /// The policy target; it has a domain only if the holder and the target share it.
    pub(crate) fn target(&self, holder: &Holder) -> Target {
        Target {
            domain_id: self.domain_id().filter(|d| holder.domain_id == *d),
            ..Target::default()
        }
    }
}

/// The user or group that holds the role of a grant.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) actor: Actor,
    domain_id: DomainId,
}

impl Holder {
    pub(crate) async fn find(state: &State, actor: Actor) -> Result<Self> {
        let domain_id = match &actor {
            Actor::User(id) => user::ops::get(state, id).await?.domain_id,
            Actor::Group(id) => group::ops::get(state, id).await?.domain_id,
        };
        Ok(Self { actor, domain_id })
    }
}

pub(crate) fn assignment(
    holder: &Holder,
    grant_target: &GrantTarget,
    inherited: bool,
    role_id: &str,
) -> Assignment {
    let (kind, target_id) = grant_target.key();
    Assignment {
        actor: holder.actor.clone(),
        kind: kind.into(),
        target_id: target_id.into(),
        inherited,
        role_id: role_id.into(),
    }
}

/// Granting an existing grant succeeds, as in Keystone, also when it is granted
/// concurrently.
pub(crate) async fn grant(state: &State, a: &Assignment) -> Result<()> {
    let granted = db::write!(state.db, |tx| {
        lock_parts(tx, a).await?;
        assignment::table::grant(tx, a).await
    });
    state.cache.clear();
    match granted {
        Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Locks the target, the user or group, and the role of a grant, so that none of them is deleted
/// before the grant is stored.
///
/// # Errors
/// `NotFound` for what another request has deleted; `Forbidden` and `Invalid` for a role of
/// another domain.
async fn lock_parts(tx: &mut Tx, a: &Assignment) -> Result<()> {
    let mut domain = None;
    if a.kind != "system" {
        let found = project::table::lock(tx, &a.target_id).await?;
        let found = found.filter(|p| a.kind == "project" || p.is_domain);
        let target = found.ok_or_else(|| missing(&a.kind, &a.target_id))?;
        domain = Some(target.domain());
    }
    let (noun, exists) = match &a.actor {
        Actor::User(id) => ("user", user::table::lock(tx, id).await?.is_some()),
        Actor::Group(id) => ("group", group::table::lock(tx, id).await?.is_some()),
    };
    if !exists {
        return Err(missing(noun, a.actor.id()));
    }
    let role = role::table::lock(tx, &a.role_id).await?;
    let role = role.ok_or_else(|| missing("role", &a.role_id))?;
    refuse_other_domain(a, domain.as_ref(), &role)
}

/// A role of a domain is not granted on projects of other domains, nor on the system.
/// Keystone accepts it on other domains.
fn refuse_other_domain(a: &Assignment, domain: Option<&DomainId>, role: &Role) -> Result<()> {
    if role.domain_id.is_none() || role.domain_id.as_ref() == domain {
        return Ok(());
    }
    let id = &role.id;
    match a.kind.as_str() {
        "system" => Err(Error::invalid(
            "role_id",
            format!(
                "Role {id} is a domain-specific role. Unable to use a domain-specific role in a system assignment."
            ),
        )),
        "project" => Err(Error::forbidden(format!(
            "Project {} must be in the same domain as the role {id} being assigned.",
            a.target_id
        ))),
        _ if a.inherited => Err(Error::forbidden(format!(
            "Domain {} must be the domain of the role {id} that its projects inherit.",
            a.target_id
        ))),
        _ => Ok(()),
    }
}

/// Revokes a role. The application credentials of a user in that project, or in those that
/// inherited the role, are deleted; those of the users of a group lose the role.
pub(crate) async fn revoke(state: &State, a: &Assignment) -> Result<()> {
    let revoked = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        // An application credential that is just created must not survive. The user
        // may have been deleted.
        if let Actor::User(id) = &a.actor {
            user::table::lock(tx, id).await?;
        }
        if assignment::table::revoke(tx, a).await? == 0 {
            return Err(absent(a));
        }
        if let Actor::User(id) = &a.actor {
            delete_credentials(tx, a, id).await?;
        }
        Ok(())
    });
    state.cache.clear();
    revoked
}

/// Deletes the application credentials of a user in the projects to which a role applied.
async fn delete_credentials(tx: &mut Tx, a: &Assignment, user_id: &str) -> Result<()> {
    if !a.inherited {
        if a.kind == "project" {
            app_credential::table::delete_in_project(tx, user_id, &a.target_id).await?;
        }
        return Ok(());
    }
    // The number of credentials of a user is limited.
    for (project_id, above) in project::table::above_credentials(tx, user_id).await? {
        if above.iter().any(|id| *id == *a.target_id) {
            app_credential::table::delete_in_project(tx, user_id, &project_id).await?;
        }
    }
    Ok(())
}

pub(crate) fn absent(a: &Assignment) -> Error {
    Error::new(
        Kind::NotFound,
        format!(
            "Could not find role assignment with role: {}, user or group: {}, project, domain, or system: {}.",
            a.role_id,
            a.actor.id(),
            a.target_id
        ),
    )
}
