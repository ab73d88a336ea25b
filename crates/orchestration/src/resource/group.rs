//! `OS::Heat::ResourceGroup`: its schema, and which members it should have.
//! Members are resources of their own, made by the engine.

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
        // Read as it stands: each member evaluates it for itself.
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

/// The resolved properties of a group.
pub(crate) struct GroupProps<'a>(pub &'a Map<String, Value>);

impl GroupProps<'_> {
    fn count(&self) -> usize {
        let count = self.0.get("count").and_then(Value::as_u64).unwrap_or(1);
        usize::try_from(count).unwrap_or(0)
    }

    /// Names, physical ids or indices that are to go.
    fn removals(&self) -> impl Iterator<Item = &str> {
        let policies = self.0.get("removal_policies").and_then(Value::as_array);
        policies
            .into_iter()
            .flatten()
            .filter_map(|p| p.get("resource_list").and_then(Value::as_array))
            .flatten()
            .filter_map(Value::as_str)
    }

    /// The indices that are never used again: those stored, and those that the
    /// policies name now. `meanings`: the members that a word may mean.
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
        for word in self.removals() {
            let members = meanings.get(word).into_iter().flatten();
            out.extend(members.map(|m| (*m).to_owned()));
            // Without its member a word still counts as long as it was taken before.
            if stored.contains(word) {
                out.insert(word.to_owned());
            }
        }
        out
    }

    /// The names of the members: the first so many that are not blacklisted.
    pub(crate) fn names(&self, blacklist: &BTreeSet<String>) -> Vec<String> {
        (0_u64..)
            .map(|i| i.to_string())
            .filter(|n| !blacklist.contains(n))
            .take(self.count())
            .collect()
    }
}
