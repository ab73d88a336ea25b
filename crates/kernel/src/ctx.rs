//! The caller: the result of authentication, passed to every operation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AccessRule, DomainId, Granted, ProjectId, Scope, UserId};

/// The authenticated caller of an operation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ctx {
    pub request_id: String,
    pub user_id: UserId,
    pub user_name: String,
    pub user_domain_id: DomainId,
    pub scope: Scope,
    /// Role names, implied roles included, lower case as stored.
    pub roles: Vec<String>,
    /// See [`Ctx::generation`]; users have none.
    #[serde(skip)]
    pub generation: Option<i64>,
    /// The requests for which the token of the caller may be used, if they are limited.
    #[serde(skip)]
    pub access_rules: Option<Arc<[AccessRule]>>,
    /// The rules that allowed something in this request.
    #[serde(skip)]
    pub granted: Granted,
}

impl Ctx {
    /// The server acting for a row (reconcilers): system scope, admin.
    #[must_use]
    pub fn service(request_id: impl Into<String>) -> Self {
        Self {
            request_id: request_id.into(),
            user_id: "jeroboam".into(),
            user_name: "jeroboam".into(),
            user_domain_id: "default".into(),
            scope: Scope::System,
            roles: vec!["admin".into(), "service".into()],
            generation: None,
            access_rules: None,
            granted: Granted::default(),
        }
    }

    /// This context for one run of a reconciler: `generation` is the epoch of
    /// its lease.
    #[must_use]
    pub fn with_generation(mut self, generation: i64) -> Self {
        self.generation = Some(generation);
        self
    }

    /// The generation of the caller, which grows with each run of the
    /// reconciler that owns the object. The called service refuses a generation
    /// older than the newest one it has seen, because such a call was delayed.
    /// `None` for a user.
    #[must_use]
    pub fn generation(&self) -> Option<i64> {
        self.generation
    }

    /// The server acting inside one project on behalf of a row's owner.
    #[must_use]
    pub fn for_project(request_id: impl Into<String>, project_id: impl Into<ProjectId>) -> Self {
        Self {
            scope: Scope::Project {
                id: project_id.into(),
                name: String::new(),
                domain_id: DomainId::default(),
            },
            ..Self::service(request_id)
        }
    }

    /// The project of a project-scoped caller.
    #[must_use]
    pub fn project_id(&self) -> Option<&ProjectId> {
        match &self.scope {
            Scope::Project { id, .. } => Some(id),
            _ => None,
        }
    }

    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r.eq_ignore_ascii_case(role))
    }

    /// Whether the caller administers all projects. An administrator of a domain
    /// does not.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        let covered = matches!(self.scope, Scope::Project { .. } | Scope::System);
        covered && self.has_role("admin")
    }
}
