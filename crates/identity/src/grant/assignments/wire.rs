//! Bodies of role assignments.

use kernel::DomainId;
use schemars::JsonSchema;
use serde::Serialize;

use super::expand::Held;
use super::objects::Objects;
use crate::assignment::Actor;
use crate::envelope::nouns;
use crate::filter::{Filter, Listed};
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

/// Where a role is held: one of project, domain and system.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct ScopeBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<WholeSystem>,
    /// `projects` for inherited roles.
    #[serde(
        rename = "OS-INHERIT:inherited_to",
        skip_serializing_if = "Option::is_none"
    )]
    inherited_to: Option<&'static str>,
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
        let (a, role, granted) = (&held.assignment, &held.role, &held.granted);
        let named = |id: &str, name: Option<&String>, domain_id: Option<&DomainId>| {
            let domain = domain_id.filter(|id| with_names && !id.is_empty());
            Named {
                id: id.to_owned(),
                name: name.filter(|_| with_names).cloned(),
                domain: domain.map(|id| {
                    Box::new(Named {
                        id: id.to_string(),
                        name: objects.tree.get(id).map(|d| d.name.clone()),
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
        let project = objects.tree.get(&a.target_id);
        let target = named(
            &a.target_id,
            project.map(|p| &p.name),
            project.map(|p| &p.domain_id),
        );
        let mut scope = ScopeBody {
            inherited_to: a.inherited.then_some("projects"),
            ..ScopeBody::default()
        };
        match a.kind.as_str() {
            "project" => scope.project = Some(target),
            "domain" => scope.domain = Some(target),
            _ => scope.system = Some(WholeSystem { all: true }),
        }
        let base = format!("{base}/identity/v3");
        let holder = &granted.actor;
        let (source_kind, source_id) = if a.inherited {
            (granted.kind.as_str(), granted.target_id.as_str())
        } else {
            ("", "")
        };
        let position = [
            &a.kind,
            &a.target_id,
            a.actor.id(),
            holder.id(),
            &granted.role_id,
            &role.id,
            source_kind,
            source_id,
        ]
        .join(".");
        let holder_path = format!("{}/{}", holder.plural(), holder.id());
        let path = match granted.kind.as_str() {
            "system" => "system".to_owned(),
            kind => format!("{kind}s/{}", granted.target_id),
        };
        let path = format!("{path}/{holder_path}/roles/{}", granted.role_id);
        let path = if a.inherited {
            format!("OS-INHERIT/{path}/inherited_to_projects")
        } else {
            path
        };
        Self {
            position,
            scope,
            user,
            group,
            role: named(&role.id, Some(&role.name), role.domain_id.as_ref()),
            links: AssignmentLinks {
                assignment: format!("{base}/{path}"),
                membership: (a.actor != *holder)
                    .then(|| format!("{base}/{holder_path}/users/{}", a.actor.id())),
                prior_role: (role.id != granted.role_id)
                    .then(|| format!("{base}/roles/{}/implies/{}", granted.role_id, role.id)),
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
