//! Bodies of role assignments.

use kernel::DomainId;
use schemars::JsonSchema;
use serde::Serialize;

use super::objects::Objects;
use crate::assignment::{Actor, Assignment};
use crate::envelope::nouns;
use crate::filter::{Filter, Listed};
use crate::role::Role;
use crate::token::wire::WholeSystem;

/// A role of a user or group, and the grant that gives it.
pub(super) struct Held {
    pub(super) assignment: Assignment,
    pub(super) role: Role,
    pub(super) granted: Assignment,
}

/// An object by its id, with its name if the caller asked for names.
#[derive(Debug, Serialize, JsonSchema)]
struct Named {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Box<Named>>,
}

/// Where a role is held.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ScopeBody {
    Project(Named),
    Domain(Named),
    System(WholeSystem),
}

#[derive(Debug, Serialize, JsonSchema)]
struct AssignmentLinks {
    assignment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prior_role: Option<String>,
}

/// A role of a user or group on a target.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AssignmentBody {
    scope: ScopeBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Named>,
    role: Named,
    links: AssignmentLinks,
    /// The position in the list, for markers.
    #[serde(skip)]
    position: String,
}

nouns! { AssignmentBody = "role_assignment", "role_assignments"; }

impl AssignmentBody {
    /// `base` is `scheme://host` for links.
    pub(super) fn new(objects: &Objects, held: &Held, with_names: bool, base: &str) -> Self {
        let (a, role, granted) = (&held.assignment, &held.role, &held.granted.role_id);
        let named = |id: &str, name: Option<&String>, domain_id: Option<&DomainId>| {
            let domain = domain_id.filter(|id| with_names && !id.is_empty());
            Named {
                id: id.to_owned(),
                name: name.filter(|_| with_names).cloned(),
                domain: domain.map(|id| {
                    Box::new(Named {
                        id: id.to_string(),
                        name: objects.projects.get(id.as_str()).map(|d| d.name.clone()),
                        domain: None,
                    })
                }),
            }
        };
        let (mut user, mut group) = (None, None);
        match &a.actor {
            Actor::User(id) => {
                let found = objects.users.get(id);
                user = Some(named(
                    id,
                    found.map(|u| &u.name),
                    found.map(|u| &u.domain_id),
                ));
            }
            Actor::Group(id) => {
                let found = objects.groups.get(id);
                group = Some(named(
                    id,
                    found.map(|g| &g.name),
                    found.map(|g| &g.domain_id),
                ));
            }
        }
        let project = objects.projects.get(a.target_id.as_str());
        let target = named(
            &a.target_id,
            project.map(|p| &p.name),
            project.map(|p| &p.domain_id),
        );
        let (scope, path) = match a.kind.as_str() {
            "project" => (
                ScopeBody::Project(target),
                format!("projects/{}", a.target_id),
            ),
            "domain" => (
                ScopeBody::Domain(target),
                format!("domains/{}", a.target_id),
            ),
            _ => (
                ScopeBody::System(WholeSystem { all: true }),
                "system".to_owned(),
            ),
        };
        let base = format!("{base}/identity/v3");
        let holder = &held.granted.actor;
        let position = [
            &a.kind,
            &a.target_id,
            a.actor.id(),
            holder.id(),
            granted,
            &role.id,
        ];
        let holder_path = format!("{}/{}", holder.plural(), holder.id());
        Self {
            position: position.join("."),
            scope,
            user,
            group,
            role: named(&role.id, Some(&role.name), None),
            links: AssignmentLinks {
                assignment: format!("{base}/{path}/{holder_path}/roles/{granted}"),
                membership: (a.actor != *holder)
                    .then(|| format!("{base}/{holder_path}/users/{}", a.actor.id())),
                prior_role: (role.id != *granted)
                    .then(|| format!("{base}/roles/{granted}/implies/{}", role.id)),
            },
        }
    }
}

impl Listed for AssignmentBody {
    /// Assignments have no ids; their position serves as one.
    fn id(&self) -> &str {
        &self.position
    }

    fn filter(&self, _: &str) -> Option<Filter<'_>> {
        None
    }
}
