//! `OS::Heat::ResourceGroup`: its schema and the desired members. Members are
//! separate resources created by the engine.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::schema::{Check, Default, Kind, PLAIN, Property, Schema};

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Heat::ResourceGroup",
    properties: &[
        Property::new("count", Kind::Integer)
            .or(Default::Int(1))
            .updatable()
            .check(Check::Range(0, 10_000)),
        Property::new("index_var", Kind::Text)
            .or(Default::Text("%index%"))
            .check(Check::Length(3, 255)),
        // Stored unevaluated, because each member evaluates it.
        Property::new("resource_def", Kind::Any).updatable(),
        Property::new(
            "removal_policies",
            Kind::List(&Kind::Object(&[Property::new(
                "resource_list",
                Kind::List(&Kind::Text),
            )
            .or(Default::EmptyList)])),
        )
        .or(Default::EmptyList)
        .updatable(),
        Property::new("removal_policies_mode", Kind::Text)
            .or(Default::Text("append"))
            .check(Check::OneOf(&["append", "update"]))
            .updatable(),
    ],
    attributes: None,
    ..PLAIN
};

/// Parses an index in the form of the members' names.
fn index(entry: &str) -> Option<u64> {
    entry.parse().ok().filter(|i: &u64| i.to_string() == entry)
}

/// The resolved properties of a group.
pub(crate) struct GroupProps<'a>(pub &'a Map<String, Value>);

impl GroupProps<'_> {
    fn count(&self) -> usize {
        let count = self.0.get("count").and_then(Value::as_u64).unwrap_or(1);
        usize::try_from(count).unwrap_or(0)
    }

    /// Names, physical ids or indices of members to remove.
    fn removals(&self) -> impl Iterator<Item = &str> {
        let policies = self.0.get("removal_policies").and_then(Value::as_array);
        policies
            .into_iter()
            .flatten()
            .filter_map(|p| p.get("resource_list").and_then(Value::as_array))
            .flatten()
            .filter_map(Value::as_str)
    }

    /// The indices that are never reused: the stored ones and those in the current
    /// removal policies. `meanings` contains the members to which an entry of a
    /// policy may refer.
    ///
    /// Heat ignores an entry that refers to no member. Here an index that the group
    /// would give to a new member is blacklisted even if no member has had it,
    /// because an update may replace another update before that one has created its
    /// members.
    pub(crate) fn blacklist(
        &self,
        stored: &BTreeSet<String>,
        meanings: &HashMap<&str, Vec<&str>>,
    ) -> BTreeSet<String> {
        let append = self.0.get("removal_policies_mode").and_then(Value::as_str) != Some("update");
        let mut out = if append {
            stored.clone()
        } else {
            BTreeSet::new()
        };
        let entries: BTreeSet<&str> = self.removals().collect();
        let reached = (self.count() + out.len() + entries.len()) as u64;
        for entry in entries {
            // An entry without a member counts, too, if it is stored.
            let blocked = index(entry).is_some_and(|i| i < reached) || stored.contains(entry);
            match meanings.get(entry) {
                Some(members) => out.extend(members.iter().map(|m| (*m).to_owned())),
                None if blocked => {
                    out.insert(entry.to_owned());
                }
                None => {}
            }
        }
        out
    }

    /// The names of the members: the first ones that are not blacklisted.
    pub(crate) fn names(&self, blacklist: &BTreeSet<String>) -> Vec<String> {
        (0_u64..)
            .map(|i| i.to_string())
            .filter(|n| !blacklist.contains(n))
            .take(self.count())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blacklist(count: u64, entries: &[&str], stored: &[&str], members: &[&str]) -> String {
        let props = json!({"count": count, "removal_policies": [{"resource_list": entries}]});
        let meanings = members.iter().map(|m| (*m, vec![*m])).collect();
        let stored = stored.iter().map(|s| (*s).to_owned()).collect();
        let out = GroupProps(props.as_object().unwrap()).blacklist(&stored, &meanings);
        out.into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_removed_index_is_not_used_even_if_its_member_never_existed() {
        assert_eq!(
            blacklist(0, &["1", "2", "3"], &["0"], &["1", "2"]),
            "0 1 2 3"
        );
        assert_eq!(blacklist(1, &["1", "2"], &[], &[]), "1 2");
        assert_eq!(blacklist(2, &["0"], &[], &["0", "1"]), "0");
    }

    #[test]
    fn entries_without_a_member_are_ignored() {
        let entries = ["8", "01", "-1", "x", "99999999999999999999"];
        assert_eq!(blacklist(2, &entries, &["0"], &["1", "2"]), "0");
    }
}
