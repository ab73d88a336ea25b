//! A stack in memory while one run works on it. Pure: it decides what to
//! launch and collects what to write, `run` does both.

use std::collections::{BTreeSet, HashMap, HashSet};

use kernel::{Ctx, OwnerKey, ids};
use lang::hot::{Bound, ResourceDef};
use serde_json::{Map, Value};

use super::graph::Graph;
use crate::face::{Action, Status};
use crate::resource::{self, Job, Role, Type};
use crate::stack::{EventRow, Part, SignalRow, StackRow};

/// What is to be written in the next transaction.
#[derive(Debug)]
pub(super) enum Write {
    Insert(Box<Part>),
    Update(Box<Part>),
    Remove(String),
    Event(EventRow),
}

/// An effect that may start once its intent is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Create,
    /// Also repeats an update: no remote type changes anything in place.
    Check,
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    pub part: String,
    pub effect: Effect,
}

/// What a resource waits for.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub reason: String,
    pub poll: bool,
    pub until: Option<i64>,
}

pub(super) struct World {
    pub stack: StackRow,
    /// `None` while everything is to go.
    pub bound: Option<Bound>,
    pub graph: Graph,
    pub parts: Vec<Part>,
    pub signals: Vec<SignalRow>,
    /// Row ids that were acted on in this run: once per run is enough.
    pub tried: HashSet<String>,
    /// Group row id (or none) and name of what was found as wanted in this
    /// run: nothing that it depends on changes before the run ends.
    pub settled: HashSet<(Option<String>, String)>,
    /// Row ids whose effect has not come back.
    pub flying: HashSet<String>,
    pub waits: HashMap<String, Waiting>,
    /// Names of the members that each group (row id) should have.
    pub wanted: HashMap<String, BTreeSet<String>>,
    pub writes: Vec<Write>,
    pub launches: Vec<Launch>,
    pub now: i64,
}

impl World {
    pub(super) fn new(
        stack: StackRow,
        bound: Option<Bound>,
        graph: Graph,
        parts: Vec<Part>,
        signals: Vec<SignalRow>,
        now: i64,
    ) -> Self {
        Self {
            stack,
            bound,
            graph,
            parts,
            signals,
            tried: HashSet::new(),
            settled: HashSet::new(),
            flying: HashSet::new(),
            waits: HashMap::new(),
            wanted: HashMap::new(),
            writes: Vec::new(),
            launches: Vec::new(),
            now,
        }
    }

    pub(super) fn def(&self, name: &str) -> Option<&ResourceDef> {
        self.bound
            .as_ref()
            .and_then(|b| b.template.resources.get(name))
    }

    pub(super) fn part(&self, id: &str) -> Option<&Part> {
        self.parts.iter().find(|p| p.id == id)
    }

    pub(super) fn kind(part: &Part) -> Option<Type> {
        resource::find(&part.resource_type)
    }

    /// The resource that now stands for a name.
    pub(super) fn current(&self, parent: Option<&str>, name: &str) -> Option<&Part> {
        let own = |p: &&Part| {
            p.name == name
                && p.parent.as_deref() == parent
                && !p.doomed
                && p.action != Action::Delete
        };
        // The newest, where a crash of the past left two.
        self.parts.iter().rev().find(own)
    }

    /// `resources.group.resources.0`, as Heat's texts have it.
    pub(super) fn path(&self, part: &Part) -> String {
        match part.parent.as_deref().and_then(|id| self.part(id)) {
            Some(group) => format!("resources.{}.resources.{}", group.name, part.name),
            None => format!("resources.{}", part.name),
        }
    }

    /// Changes a part, stamps it and has it written; a change of its status
    /// is also told as an event.
    pub(super) fn change(&mut self, id: &str, change: impl FnOnce(&mut Part)) {
        let (now, traversal) = (self.now, self.stack.traversal);
        let Some(part) = self.parts.iter_mut().find(|p| p.id == id) else {
            return;
        };
        let before = (part.action, part.status);
        change(part);
        part.updated_at = now;
        if before != (part.action, part.status) {
            part.traversal = traversal;
            if before.0 != part.action || part.status == Status::InProgress {
                part.started_at = now;
            }
            let event = part.event(&part.reason);
            self.writes.push(Write::Event(event));
        }
        self.writes.push(Write::Update(Box::new(part.clone())));
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(at) = self.parts.iter().position(|p| p.id == id) else {
            return;
        };
        let mut part = self.parts.remove(at);
        part.action = Action::Delete;
        part.status = Status::Complete;
        self.writes.push(Write::Event(part.event("state changed")));
        self.writes.push(Write::Remove(part.id));
        self.waits.remove(id);
    }

    /// Adds a resource that is to be created; answers its row id.
    pub(super) fn add(&mut self, seed: Seed) -> String {
        let part = Part {
            id: ids::uuid(),
            name: seed.name,
            parent: seed.parent,
            resource_type: seed.resource_type,
            physical_id: Some(ids::uuid()),
            action: Action::Create,
            status: Status::InProgress,
            reason: "state changed".into(),
            props: seed.props,
            attrs: Map::new(),
            data: crate::stack::Data::default(),
            requires: seed.requires,
            replaces: seed.replaces,
            doomed: false,
            retain: seed.retain,
            traversal: self.stack.traversal,
            started_at: self.now,
            updated_at: self.now,
        };
        let id = part.id.clone();
        self.writes.push(Write::Event(part.event("state changed")));
        self.writes.push(Write::Insert(Box::new(part.clone())));
        self.parts.push(part);
        id
    }

    /// Starts an effect of a part, or runs it at once where it is local.
    /// Once per run.
    pub(super) fn act(&mut self, id: &str, effect: Effect) {
        if self.flying.contains(id) || !self.tried.insert(id.to_owned()) {
            return;
        }
        let Some(part) = self.part(id) else { return };
        match Self::kind(part).map(|t| t.role) {
            Some(Role::Local(local)) if effect != Effect::Delete => {
                let result = local.run(&self.job(part), &self.signals);
                self.progressed(id, result);
            }
            Some(Role::Remote) => {
                self.flying.insert(id.to_owned());
                self.launches.push(Launch {
                    part: id.to_owned(),
                    effect,
                });
            }
            _ => {}
        }
    }

    pub(super) fn job(&self, part: &Part) -> Job {
        let physical_id = part.physical_id.clone().unwrap_or_default();
        let tail: String = part
            .id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(12)
            .collect();
        let group = part.parent.as_deref().and_then(|id| self.part(id));
        let inner = group.map_or_else(
            || part.name.clone(),
            |g| format!("{}-{}", g.name, part.name),
        );
        Job {
            ctx: Ctx::for_project(format!("req-{}", self.stack.id), &self.stack.project_id),
            project_id: self.stack.project_id.clone(),
            user_id: self.stack.user_id.clone(),
            owner: OwnerKey::new(crate::KIND, &self.stack.id),
            physical_name: format!("{}-{inner}-{tail}", self.stack.name),
            physical_id,
            props: part.props.clone(),
            action: part.action,
            since: part.started_at,
            stack_since: self.stack.started_at,
            now: self.now,
        }
    }

    /// Failed in what the stack does now.
    pub(super) fn failed_now(&self, part: &Part) -> bool {
        part.status == Status::Failed && part.traversal == self.stack.traversal
    }
}

/// What a new resource starts with.
pub(super) struct Seed {
    pub name: String,
    pub parent: Option<String>,
    pub resource_type: String,
    pub props: Map<String, Value>,
    pub requires: Vec<String>,
    pub replaces: Option<String>,
    pub retain: bool,
}
