//! Resolves `get_resource` and `get_attr` with the resources of a stack.

use lang::hot::Scope;
use serde_json::{Map, Value};

use super::stack_state::StackState;
use crate::api::{Action, Status};
use crate::resource::Role;
use crate::stack::ResourceRow;

impl Scope for StackState {
    fn reference(&self, resource: &str) -> Result<Value, String> {
        match self.parts.current(None, resource) {
            Some(part) => Ok(self.reference_of(part)),
            None => Err(format!("The resource '{resource}' does not exist.")),
        }
    }

    fn attribute(&self, resource: &str, path: &[Value]) -> Result<Value, String> {
        let Some(part) = self.parts.current(None, resource) else {
            return Ok(Value::Null);
        };
        if part.is(Action::Create, Status::InProgress) || part.action == Action::Delete {
            return Ok(Value::Null);
        }
        let Some((first, rest)) = path.split_first() else {
            let mut all = part.attrs.clone();
            all.remove("show");
            return Ok(Value::Object(all));
        };
        let name = first.as_str().unwrap_or_default();
        if matches!(StackState::kind(part).map(|t| t.role), Some(Role::Group)) {
            return Ok(self.group_attribute(part, name, rest));
        }
        Ok(part_attribute(part, name, rest))
    }
}

fn part_attribute(part: &ResourceRow, name: &str, rest: &[Value]) -> Value {
    walk(part.attrs.get(name).cloned().unwrap_or_default(), rest)
}

/// A list is indexed by number only; a missing element is null.
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
    pub(super) fn reference_of(&self, part: &ResourceRow) -> Value {
        let id = part.physical_id.as_deref().unwrap_or_default();
        match Self::kind(part).map(|t| t.role) {
            Some(Role::Local(local)) => local.reference(id, &part.attrs),
            _ => Value::from(id),
        }
    }

    /// The counted members, ordered by index.
    fn members(&self, group: &ResourceRow) -> Vec<&ResourceRow> {
        let members = self.parts.members(&group.id).map(|(_, p)| p);
        let mut members: Vec<&ResourceRow> = members.filter(|p| self.counts(group, p)).collect();
        members.sort_by_cached_key(|p| (p.name.parse::<u64>().unwrap_or(u64::MAX), p.name.clone()));
        members
    }

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
            let member = self.parts.current(Some(&group.id), index);
            let Some(member) = member.filter(|m| self.counts(group, m)) else {
                return Value::Null;
            };
            return match attribute {
                Some(attribute) => part_attribute(member, attribute, rest),
                None => match rest.split_first() {
                    Some((Value::String(attribute), rest)) => {
                        part_attribute(member, attribute, rest)
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
                    Value::Object(map(&|m| part_attribute(m, attribute, rest)))
                }
                _ => Value::Null,
            },
            attribute => members
                .iter()
                .map(|m| part_attribute(m, attribute, rest))
                .collect(),
        }
    }
}
