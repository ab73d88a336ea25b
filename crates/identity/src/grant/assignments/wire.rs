//! Bodies of role assignments.

use kernel::DomainId;
use schemars::JsonSchema;
use serde::Serialize;

use super::objects::Objects;
use crate::envelope::nouns;
use crate::filter::{Filter, Listed};
use crate::role::{Assignment, Role};
use crate::token::wire::WholeSystem;

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
    prior_role: Option<String>,
}

/// A role of a user on a target.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AssignmentBody {
    scope: ScopeBody,
    user: Named,
    role: Named,
    links: AssignmentLinks,
    /// The position in the list, for markers.
    #[serde(skip)]
    position: String,
}

nouns! { AssignmentBody = "role_assignment", "role_assignments"; }

impl AssignmentBody {
    /// `role` is the role of the assignment, `granted` the id of the role that implies
    /// it, or its own id. `base` is `scheme://host` for links.
    pub(super) fn new(
        objects: &Objects,
        a: &Assignment,
        role: &Role,
        granted: &str,
        with_names: bool,
        base: &str,
    ) -> Self {
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
        let user = objects.users.get(&a.user_id);
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
        let position = [&a.kind, &a.target_id, a.user_id.as_str(), granted, &role.id];
        Self {
            position: position.join("."),
            scope,
            user: named(
                &a.user_id,
                user.map(|u| &u.name),
                user.map(|u| &u.domain_id),
            ),
            role: named(&role.id, Some(&role.name), None),
            links: AssignmentLinks {
                assignment: format!("{base}/{path}/users/{}/roles/{granted}", a.user_id),
                prior_role: (role.id != granted)
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
