//! What a grant gives to whom.

use kernel::{Error, Result};

use super::filters::Filters;
use super::objects::Objects;
use crate::assignment::{Actor, Assignment};
use crate::role::{self, Role};

/// Maximum number of effective assignments of an answer: the projects that inherit a role
/// multiply the users of a group.
pub(super) const MAX_EFFECTIVE: usize = 100_000;

/// A role of a user or group, and the grant that gives it.
pub(super) struct Held {
    /// With the user, target and role that have the effect.
    pub(super) assignment: Assignment,
    pub(super) role: Role,
    pub(super) granted: Assignment,
}

impl Held {
    /// The holder, the target and the kind of the grant, without its role.
    pub(super) fn source(&self) -> (Actor, String, bool) {
        let granted = &self.granted;
        let target = format!("{}/{}", granted.kind, granted.target_id);
        (granted.actor.clone(), target, granted.inherited)
    }
}

/// The selected roles that a grant gives: its own role; if `effective`, also the implied
/// roles, to the users of a group instead of the group, and on the projects that inherit the
/// role instead of the target.
///
/// # Errors
/// `Invalid` if they are more than `most`.
pub(super) fn held_by(
    objects: &Objects,
    filters: &Filters<'_>,
    granted: &Assignment,
    most: usize,
) -> Result<Vec<Held>> {
    if !filters.wants_inherited(granted.inherited) {
        return Ok(vec![]);
    }
    let actors = actors(objects, filters, granted);
    let roles = roles(objects, filters, granted);
    if actors.is_empty() || roles.is_empty() {
        return Ok(vec![]);
    }
    let targets = targets(objects, filters, granted);
    if filters.effective && targets.len() * actors.len() * roles.len() > most {
        return Err(Error::invalid(
            "effective",
            format!(
                "There are more than {MAX_EFFECTIVE} effective role assignments; select some by \
                 user.id, group.id, role.id or a scope."
            ),
        ));
    }
    let mut all = Vec::new();
    for (kind, target_id) in targets {
        for actor in &actors {
            for role in &roles {
                all.push(Held {
                    assignment: Assignment {
                        actor: actor.clone(),
                        kind: kind.clone(),
                        target_id: target_id.clone(),
                        inherited: granted.inherited,
                        role_id: role.id.clone(),
                    },
                    role: role.clone(),
                    granted: granted.clone(),
                });
            }
        }
    }
    Ok(all)
}

fn roles(objects: &Objects, filters: &Filters<'_>, granted: &Assignment) -> Vec<Role> {
    let mut roles: Vec<Role> = if filters.effective {
        let own = [granted.role_id.clone()];
        role::effective::with_implied(&objects.roles, &objects.implied, &own)
    } else {
        let is_granted = |r: &&Role| r.id == granted.role_id;
        objects.roles.iter().filter(is_granted).cloned().collect()
    };
    roles.retain(|role| filters.wants_role(&role.id));
    roles
}

fn actors(objects: &Objects, filters: &Filters<'_>, granted: &Assignment) -> Vec<Actor> {
    let mut actors: Vec<Actor> = match &granted.actor {
        Actor::Group(id) if filters.effective => {
            let users = objects.members(id).iter();
            users.map(|user| Actor::User(user.clone())).collect()
        }
        actor => vec![actor.clone()],
    };
    actors.retain(|actor| filters.wants_actor(actor));
    actors
}

/// The kinds and the ids of the selected targets.
fn targets(
    objects: &Objects,
    filters: &Filters<'_>,
    granted: &Assignment,
) -> Vec<(String, String)> {
    let mut targets = if filters.effective && granted.inherited {
        let below = objects.tree.below(&granted.target_id).into_iter();
        below
            .map(|p| ("project".to_owned(), p.id.to_string()))
            .collect()
    } else {
        vec![(granted.kind.clone(), granted.target_id.clone())]
    };
    targets.retain(|(kind, id)| filters.wants_target(objects, kind, id));
    targets
}
