//! Resolves `get_resource` and `get_attr` with the resources of a stack.

use lang::hot::Scope;
use serde_json::{Map, Value};

use super::stack_state::StackState;
use crate::api::{Action, Status};
use crate::resource::Role;
use crate::stack::ResourceRow;

impl Scope for StackState {
    fn reference(&self, resource: &str) -> Result<Value, String> {
        match self.resources.current(None, resource) {
            Some(resource) => Ok(self.reference_of(resource)),
            None => Err(format!("The resource '{resource}' does not exist.")),
        }
    }

    fn attribute(&self, resource: &str, path: &[Value]) -> Result<Value, String> {
        let Some(resource) = self.resources.current(None, resource) else {
            return Ok(Value::Null);
        };
        if resource.is(Action::Create, Status::InProgress) || resource.action == Action::Delete {
            return Ok(Value::Null);
        }
        let Some((first, rest)) = path.split_first() else {
            let mut all = resource.attrs.clone();
            all.remove("show");
            return Ok(Value::Object(all));
        };
        let name = first.as_str().unwrap_or_default();
        if matches!(
            StackState::kind(resource).map(|t| t.role),
            Some(Role::Group)
        ) {
            return Ok(self.group_attribute(resource, name, rest));
        }
        Ok(resource_attribute(resource, name, rest))
    }
}

fn resource_attribute(resource: &ResourceRow, name: &str, rest: &[Value]) -> Value {
    walk(resource.attrs.get(name).cloned().unwrap_or_default(), rest)
}

/// Follows a path in a value. A list is indexed by number only; a missing element is
/// null.
fn walk(mut at: Value, path: &[Value]) -> Value {
    for key in path {
        at = match (&mut at, key) {
            (Value::Array(list), Value::Number(n)) => {
                let i = n.as_i64().unwrap_or(-1);
                let len = i64::try_from(list.len()).unwrap_or(0);
                let i = if i < 0 { i + len } else { i };
                usize::try_from(i)
                    .ok()
                    .and_then(|i| list.get_mut(i))
                    .map_or(Value::Null, Value::take)
            }
            (Value::Object(map), Value::String(key)) => map.remove(key).unwrap_or_default(),
            (Value::Object(map), Value::Number(n)) => {
                map.remove(&n.to_string()).unwrap_or_default()
            }
            _ => return Value::Null,
        };
    }
    at
}

impl StackState {
    pub(super) fn reference_of(&self, resource: &ResourceRow) -> Value {
        let id = resource.physical_id.as_deref().unwrap_or_default();
        match Self::kind(resource).map(|t| t.role) {
            Some(Role::Local(local)) => local.reference(id, &resource.attrs),
            _ => Value::from(id),
        }
    }

    /// The members that attributes contain, ordered by index.
    fn members(&self, group: &ResourceRow) -> Vec<&ResourceRow> {
        let members = self.resources.members(&group.id).map(|(_, p)| p);
        let mut members: Vec<&ResourceRow> = members.filter(|p| self.counts(group, p)).collect();
        members.sort_by_cached_key(|p| (p.name.parse::<u64>().unwrap_or(u64::MAX), p.name.clone()));
        members
    }

    /// Whether the group should have the member, and it is not being removed.
    fn counts(&self, group: &ResourceRow, member: &ResourceRow) -> bool {
        !member.to_remove
            && member.action != Action::Delete
            && self.wants_member(group, &member.name) != Some(false)
    }

    fn group_attribute(&self, group: &ResourceRow, name: &str, rest: &[Value]) -> Value {
        if let Some(inner) = name.strip_prefix("resource.") {
            let (index, attribute) = match inner.split_once('.') {
                Some((index, attribute)) => (index, Some(attribute)),
                None => (inner, None),
            };
            let member = self.resources.current(Some(&group.id), index);
            let Some(member) = member.filter(|m| self.counts(group, m)) else {
                return Value::Null;
            };
            return match attribute {
                Some(attribute) => resource_attribute(member, attribute, rest),
                None => match rest.split_first() {
                    Some((Value::String(attribute), rest)) => {
                        resource_attribute(member, attribute, rest)
                    }
                    _ => self.reference_of(member),
                },
            };
        }
        let members = self.members(group);
        let map = |f: &dyn Fn(&ResourceRow) -> Value| -> Map<String, Value> {
            members.iter().map(|m| (m.name.clone(), f(m))).collect()
        };
        match name {
            "refs" => walk(members.iter().map(|m| self.reference_of(m)).collect(), rest),
            "refs_map" => walk(Value::Object(map(&|m| self.reference_of(m))), rest),
            "removed_rsrc_list" => group
                .data
                .blacklist
                .iter()
                .map(|n| Value::from(n.as_str()))
                .collect(),
            "attributes" => match rest.split_first() {
                Some((Value::String(attribute), rest)) => {
                    Value::Object(map(&|m| resource_attribute(m, attribute, rest)))
                }
                _ => Value::Null,
            },
            attribute => members
                .iter()
                .map(|m| resource_attribute(m, attribute, rest))
                .collect(),
        }
    }
}
