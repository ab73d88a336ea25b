//! The way forward: bring each resource of the template to what it should be,
//! as soon as all that it needs is there.

use std::collections::HashSet;

use lang::{Node, Path};
use serde_json::{Map, Value};

use super::world::{Effect, Seed, World};
use crate::face::{Action, Status};
use crate::resource::{self, GroupProps, Role, Type};
use crate::stack::{Part, resolve};

/// A resource as the template wants it.
struct Wish {
    name: String,
    parent: Option<String>,
    resource_type: String,
    properties: Node,
    requires: Vec<String>,
    retain: bool,
}

impl World {
    /// Takes every step that is ready; answers whether all is as wanted.
    pub(super) fn forward(&mut self) -> bool {
        let mut done: HashSet<String> = HashSet::new();
        let order = self.graph.order.clone();
        for name in &order {
            let deps = self.graph.deps.get(name).cloned().unwrap_or_default();
            if !deps.iter().all(|d| done.contains(d)) {
                continue;
            }
            if self.settled.contains(&(None, name.clone())) {
                done.insert(name.clone());
                continue;
            }
            let requires: Vec<String> = deps
                .iter()
                .filter_map(|d| self.current(None, d))
                .map(|p| p.id.clone())
                .collect();
            let Some(def) = self.def(name) else { continue };
            let wish = Wish {
                name: name.clone(),
                parent: None,
                resource_type: def.resource_type.clone(),
                properties: def.properties.clone(),
                requires,
                retain: def.retain,
            };
            if self.step(&wish) {
                self.settled.insert((None, name.clone()));
                done.insert(name.clone());
            }
        }
        done.len() == order.len()
    }

    /// One resource, one step; answers whether it is as wanted.
    fn step(&mut self, wish: &Wish) -> bool {
        let Some(kind) = resource::find(&wish.resource_type) else {
            return false;
        };
        // What has failed now stays so; what is on its way is looked at first.
        if let Some(part) = self.current(wish.parent.as_deref(), &wish.name)
            && part.resource_type == wish.resource_type
        {
            let id = part.id.clone();
            if self.failed_now(part) {
                return false;
            }
            if part.status == Status::InProgress && !matches!(kind.role, Role::Group) {
                self.act(&id, Effect::Check);
                if self.part(&id).is_none_or(|p| p.status != Status::Complete) {
                    return false;
                }
            }
        }
        let props = self
            .bound
            .as_ref()
            .map(|b| resolve(b, kind.schema, &wish.properties, self));
        match props {
            Some(Ok(props)) if matches!(kind.role, Role::Group) => {
                self.step_group(wish, kind, props)
            }
            Some(Ok(props)) => self.step_leaf(wish, kind, props),
            Some(Err(why)) => {
                self.broken(wish, &why);
                false
            }
            None => false,
        }
    }

    /// Properties that cannot be resolved are the failure of the resource.
    fn broken(&mut self, wish: &Wish, why: &str) {
        let existing = self
            .current(wish.parent.as_deref(), &wish.name)
            .map(|p| p.id.clone());
        let update = existing.is_some();
        let id = existing.unwrap_or_else(|| self.add(wish.seed(Map::new(), None)));
        if let Some(part) = self.part(&id) {
            let reason = format!("StackValidationFailed: {}: {why}", self.path(part));
            self.change(&id, |p| {
                if update {
                    p.action = Action::Update;
                } else {
                    // Nothing was made under this id.
                    p.physical_id = None;
                }
                p.status = Status::Failed;
                p.reason = reason;
            });
        }
    }

    fn step_leaf(&mut self, wish: &Wish, kind: Type, props: Map<String, Value>) -> bool {
        let Some(part) = self.current(wish.parent.as_deref(), &wish.name) else {
            let id = self.add(wish.seed(props, None));
            return self.begun(&id, Effect::Create);
        };
        let id = part.id.clone();
        let changed = kind.schema.changes(&part.props, &props);
        let in_place = part.resource_type == wish.resource_type
            && changed.iter().all(|name| kind.schema.can_update(name));
        if !in_place || part.physical_id.is_none() {
            return self.replace(wish, &id, props);
        }
        if part.status == Status::Complete && changed.is_empty() {
            self.relink(wish, &id);
            return true;
        }
        // A resource that failed before is looked at, whatever changed.
        let reviving = part.status == Status::Failed;
        let requires = wish.requires.clone();
        self.change(&id, |p| {
            p.action = Action::Update;
            p.status = Status::InProgress;
            p.reason = "state changed".into();
            p.props = props;
            p.requires = requires;
            p.data.reviving = reviving;
        });
        self.begun(&id, Effect::Check)
    }

    fn begun(&mut self, id: &str, effect: Effect) -> bool {
        self.act(id, effect);
        self.part(id).is_some_and(|p| p.status == Status::Complete)
    }

    /// The new one is made first; the old one goes when all is in place.
    fn replace(&mut self, wish: &Wish, old: &str, props: Map<String, Value>) -> bool {
        self.change(old, |p| p.doomed = true);
        let id = self.add(wish.seed(props, Some(old.to_owned())));
        self.begun(&id, Effect::Create)
    }

    /// Keeps the order of removal true to the present template.
    fn relink(&mut self, wish: &Wish, id: &str) {
        let stale = self
            .part(id)
            .is_some_and(|p| p.requires != wish.requires || p.retain != wish.retain);
        if stale {
            self.change(id, |p| {
                p.requires.clone_from(&wish.requires);
                p.retain = wish.retain;
            });
        }
    }

    fn step_group(&mut self, wish: &Wish, kind: Type, props: Map<String, Value>) -> bool {
        let existing = self.current(None, &wish.name);
        let other_type = existing.is_some_and(|p| p.resource_type != wish.resource_type);
        let id = match existing.map(|p| p.id.clone()) {
            Some(id) if other_type => {
                self.change(&id, |p| p.doomed = true);
                self.add(wish.seed(props.clone(), Some(id)))
            }
            Some(id) => id,
            None => self.add(wish.seed(props.clone(), None)),
        };
        let Some(group) = self.part(&id).cloned() else {
            return false;
        };
        let blacklist = self.blacklist(&group, &props);
        let names = GroupProps(&props).names(&blacklist);
        self.wanted
            .insert(id.clone(), names.iter().cloned().collect());
        let differs = !kind.schema.changes(&group.props, &props).is_empty()
            || group.data.blacklist != blacklist;
        let restart = group.status != Status::InProgress;
        let begin = |world: &mut Self| {
            world.change(&id, |p| {
                if restart {
                    p.action = Action::Update;
                    p.status = Status::InProgress;
                    p.reason = "state changed".into();
                }
                p.props.clone_from(&props);
                p.data.blacklist.clone_from(&blacklist);
                p.requires.clone_from(&wish.requires);
            });
        };
        if differs {
            begin(self);
        }
        let done = self.step_members(wish, &group, &props, &names);
        if !done {
            if restart && !differs {
                begin(self);
            }
            return false;
        }
        if self.part(&id).is_some_and(|p| p.status != Status::Complete) {
            self.change(&id, |p| {
                p.status = Status::Complete;
                p.reason = "state changed".into();
            });
        }
        self.relink(wish, &id);
        true
    }

    /// All members side by side; each evaluates the definition for its index.
    fn step_members(
        &mut self,
        wish: &Wish,
        group: &Part,
        props: &Map<String, Value>,
        names: &[String],
    ) -> bool {
        let index_var = props
            .get("index_var")
            .and_then(Value::as_str)
            .unwrap_or("%index%");
        let Some(def) = wish.properties.get("resource_def") else {
            return names.is_empty();
        };
        let mut all = true;
        for name in names {
            let key = (Some(group.id.clone()), name.clone());
            if self.settled.contains(&key) {
                continue;
            }
            let def = def.replace_text(index_var, name);
            let member = Wish {
                name: name.clone(),
                parent: Some(group.id.clone()),
                resource_type: def
                    .get("type")
                    .and_then(Node::as_text)
                    .unwrap_or_default()
                    .to_owned(),
                properties: def.get("properties").cloned().unwrap_or_default(),
                requires: wish.requires.clone(),
                retain: wish.retain,
            };
            if self.step(&member) {
                self.settled.insert(key);
            } else {
                all = false;
            }
        }
        all
    }

    fn blacklist(
        &self,
        group: &Part,
        props: &Map<String, Value>,
    ) -> std::collections::BTreeSet<String> {
        let members: Vec<&Part> = self
            .parts
            .iter()
            .filter(|p| p.parent.as_deref() == Some(&group.id))
            .collect();
        let means = |member: &str, word: &str| {
            members.iter().filter(|p| p.name == member).any(|p| {
                let named = p.attrs.get("name").or_else(|| p.props.get("name"));
                p.physical_id.as_deref() == Some(word)
                    || named.and_then(Value::as_str) == Some(word)
            })
        };
        let names = members.iter().map(|p| p.name.as_str());
        GroupProps(props).blacklist(&group.data.blacklist, names, means)
    }

    /// Outputs of a finished stack; one that fails is null.
    pub(super) fn outputs(&self) -> std::collections::BTreeMap<String, Value> {
        let Some(bound) = &self.bound else {
            return std::collections::BTreeMap::new();
        };
        let root = Path::root("outputs");
        let outputs = bound.template.outputs.iter();
        outputs
            .map(|(name, output)| {
                let value = bound
                    .shows(name)
                    .then(|| bound.eval(&output.value, &root.key(name), self));
                (
                    name.clone(),
                    value.and_then(Result::ok).flatten().unwrap_or_default(),
                )
            })
            .collect()
    }
}

impl Wish {
    fn seed(&self, props: Map<String, Value>, replaces: Option<String>) -> Seed {
        Seed {
            name: self.name.clone(),
            parent: self.parent.clone(),
            resource_type: self.resource_type.clone(),
            props,
            requires: self.requires.clone(),
            replaces,
            retain: self.retain,
        }
    }
}
