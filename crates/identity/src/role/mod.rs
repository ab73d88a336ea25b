//! Roles, implied roles and assignments.

pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

/// A role as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    pub id: String,
    pub name: String,
    pub description: String,
}

/// A role of a user on a target.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub user_id: String,
    /// `project`, `domain` or `system`.
    pub kind: String,
    pub target_id: String,
    pub role_id: String,
}

/// Adds all directly and indirectly implied roles.
pub(crate) fn with_implied(
    all: &[Role],
    implied: &[(String, String)],
    held: &[String],
) -> Vec<Role> {
    let mut ids: Vec<String> = held.to_vec();
    let mut at = 0;
    while at < ids.len() {
        for (prior, next) in implied {
            if *prior == ids[at] && !ids.contains(next) {
                ids.push(next.clone());
            }
        }
        at += 1;
    }
    all.iter()
        .filter(|r| ids.contains(&r.id))
        .cloned()
        .collect()
}

/// Roles of the default policies; they are immutable.
pub(crate) fn is_built_in(name: &str) -> bool {
    ["admin", "manager", "member", "reader", "service"].contains(&name)
}
