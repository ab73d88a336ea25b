//! Granting and revoking.

use kernel::{Error, Kind, Result, Target};

use crate::app_credential;
use crate::errors::missing;
use crate::project::{self, Project};
use crate::role::{self, Assignment};
use crate::state::State;
use crate::user::User;

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
                let found = project::table::by_id(&state.db, id).await?;
                let found = found.filter(|p| !p.is_domain);
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

    fn domain_id(&self) -> Option<&str> {
        match self {
            Self::Project(p) => Some(&p.domain_id),
            Self::Domain(d) => Some(&d.id),
            Self::System => None,
        }
    }

    /// The policy target; it has a domain only if user and target share it.
    pub(crate) fn target(&self, user: &User) -> Target {
        Target {
            domain_id: self
                .domain_id()
                .filter(|d| user.domain_id == *d)
                .map(Into::into),
            ..Target::default()
        }
    }
}

pub(crate) fn assignment(user: &User, grant_target: &GrantTarget, role_id: &str) -> Assignment {
    let (kind, target_id) = grant_target.key();
    Assignment {
        user_id: user.id.clone(),
        kind: kind.into(),
        target_id: target_id.into(),
        role_id: role_id.into(),
    }
}

/// Granting an existing grant succeeds, as in Keystone, also when it is granted
/// concurrently.
pub(crate) async fn grant(state: &State, a: &Assignment) -> Result<()> {
    let granted = db::write!(state.db, |tx| role::table::grant(tx, a).await);
    state.cache.clear();
    match granted {
        Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Revokes a role, and deletes the application credentials of the user in that
/// project.
pub(crate) async fn revoke(state: &State, a: &Assignment) -> Result<()> {
    let revoked = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if role::table::revoke(tx, a).await? == 0 {
            return Err(absent(a));
        }
        if a.kind == "project" {
            app_credential::table::delete_in_project(tx, &a.user_id, &a.target_id).await?;
        }
        Ok(())
    });
    state.cache.clear();
    revoked
}

pub(crate) fn absent(a: &Assignment) -> Error {
    Error::new(
        Kind::NotFound,
        format!(
            "Could not find role assignment with role: {}, user or group: {}, project, domain, or system: {}.",
            a.role_id, a.user_id, a.target_id
        ),
    )
}
