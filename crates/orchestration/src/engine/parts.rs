//! The resources of a stack in memory, with the indexes by which the engine
//! finds them. Every lookup costs the same however large the stack is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::face::{Action, Status};
use crate::resource::{self, Role};
use crate::stack::Part;

/// Place of a resource in [`Parts`]: older resources have smaller places, and
/// a place is never used again.
pub(super) type Place = usize;

#[derive(Default)]
pub(super) struct Parts {
    rows: BTreeMap<Place, Part>,
    next: Place,
    by_id: HashMap<String, Place>,
    /// Row id of the group (empty for none), then name, to places in order.
    by_name: HashMap<String, HashMap<String, Vec<Place>>>,
    /// Row id of a group to the places of its members.
    members: HashMap<String, BTreeSet<Place>>,
    /// Row id to how many resources name it in `requires`.
    users: HashMap<String, usize>,
    /// Everything that is IN_PROGRESS, groups apart.
    open: BTreeSet<Place>,
    /// Groups that are IN_PROGRESS.
    open_groups: BTreeSet<Place>,
    /// Traversal and time of each failure that counts for its stack.
    failed: BTreeSet<(i64, i64, Place)>,
    /// Removals that are IN_PROGRESS.
    removals: usize,
}

pub(super) fn is_group(part: &Part) -> bool {
    let kind = resource::find(&part.resource_type);
    matches!(kind.map(|t| t.role), Some(Role::Group))
}

/// Whether a failure of the resource is one of its stack. A group only
/// repeats what its members say, and a replaced resource has had its say.
fn failure_counts(p: &Part) -> bool {
    p.status == Status::Failed && (p.action == Action::Delete || !p.doomed) && !is_group(p)
}

impl Parts {
    /// Takes the resources of a stack, oldest first.
    pub(super) fn new(parts: Vec<Part>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.add(part);
        }
        all
    }

    pub(super) fn add(&mut self, part: Part) -> Place {
        let place = self.next;
        self.next += 1;
        self.by_id.insert(part.id.clone(), place);
        let parent = part.parent.clone().unwrap_or_default();
        if part.parent.is_some() {
            let members = self.members.entry(parent.clone()).or_default();
            members.insert(place);
        }
        let names = self.by_name.entry(parent).or_default();
        names.entry(part.name.clone()).or_default().push(place);
        self.index(place, &part);
        self.rows.insert(place, part);
        place
    }

    /// Changes a resource; its id, name and group stay.
    pub(super) fn change(&mut self, place: Place, change: impl FnOnce(&mut Part)) {
        let Some(mut part) = self.rows.remove(&place) else {
            return;
        };
        self.unindex(place, &part);
        change(&mut part);
        self.index(place, &part);
        self.rows.insert(place, part);
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<Part> {
        let part = self.rows.remove(&place)?;
        self.unindex(place, &part);
        self.by_id.remove(&part.id);
        let parent = part.parent.clone().unwrap_or_default();
        if let Some(members) = self.members.get_mut(&parent) {
            members.remove(&place);
            if members.is_empty() {
                self.members.remove(&parent);
            }
        }
        if let Some(names) = self.by_name.get_mut(&parent) {
            if let Some(places) = names.get_mut(&part.name) {
                places.retain(|p| *p != place);
                if places.is_empty() {
                    names.remove(&part.name);
                }
            }
            if names.is_empty() {
                self.by_name.remove(&parent);
            }
        }
        Some(part)
    }

    fn index(&mut self, place: Place, part: &Part) {
        for id in &part.requires {
            match self.users.get_mut(id) {
                Some(n) => *n += 1,
                None => drop(self.users.insert(id.clone(), 1)),
            }
        }
        if part.status == Status::InProgress {
            if is_group(part) {
                self.open_groups.insert(place);
            } else {
                self.open.insert(place);
            }
            self.removals += usize::from(part.action == Action::Delete);
        }
        if failure_counts(part) {
            let entry = (part.traversal, part.updated_at, place);
            self.failed.insert(entry);
        }
    }

    fn unindex(&mut self, place: Place, part: &Part) {
        for id in &part.requires {
            if let Some(n) = self.users.get_mut(id) {
                *n -= 1;
                if *n == 0 {
                    self.users.remove(id);
                }
            }
        }
        if part.status == Status::InProgress {
            self.open.remove(&place);
            self.open_groups.remove(&place);
            self.removals -= usize::from(part.action == Action::Delete);
        }
        let entry = (part.traversal, part.updated_at, place);
        self.failed.remove(&entry);
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn at(&self, place: Place) -> Option<&Part> {
        self.rows.get(&place)
    }

    pub(super) fn place(&self, id: &str) -> Option<Place> {
        self.by_id.get(id).copied()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Part> {
        self.at(self.place(id)?)
    }

    /// All resources, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &Part)> {
        self.rows.iter().map(|(place, part)| (*place, part))
    }

    /// The resource that now stands for a name: the newest, where a crash has
    /// left two.
    pub(super) fn current(&self, parent: Option<&str>, name: &str) -> Option<&Part> {
        let names = self.by_name.get(parent.unwrap_or_default())?;
        let places = names.get(name)?.iter().rev();
        places
            .filter_map(|p| self.at(*p))
            .find(|p| !p.doomed && p.action != Action::Delete)
    }

    /// The members of a group, oldest first.
    pub(super) fn members(&self, group: &str) -> impl Iterator<Item = (Place, &Part)> {
        let places = self.members.get(group).into_iter().flatten();
        places.filter_map(|p| self.at(*p).map(|part| (*p, part)))
    }

    pub(super) fn has_members(&self, group: &str) -> bool {
        self.members.contains_key(group)
    }

    /// Whether some resource names this one in `requires`.
    pub(super) fn is_required(&self, id: &str) -> bool {
        self.users.contains_key(id)
    }

    /// What is IN_PROGRESS, groups apart, oldest first.
    pub(super) fn open(&self) -> impl ExactSizeIterator<Item = (Place, &Part)> {
        // Every place of the index has its row.
        self.open.iter().map(|p| (*p, &self.rows[p]))
    }

    pub(super) fn open_groups(&self) -> impl Iterator<Item = (Place, &Part)> {
        self.open_groups.iter().map(|p| (*p, &self.rows[p]))
    }

    pub(super) fn removals_under_way(&self) -> bool {
        self.removals > 0
    }

    /// The first failure of a traversal that counts for its stack.
    pub(super) fn first_failure(&self, traversal: i64) -> Option<&Part> {
        let from = (traversal, i64::MIN, 0);
        let to = (traversal, i64::MAX, Place::MAX);
        let first = self.failed.range(from..=to).next()?;
        self.at(first.2)
    }

    /// The first member of a group that failed in a traversal.
    pub(super) fn failed_member(&self, group: &str, traversal: i64) -> Option<&Part> {
        let failed = |p: &&Part| p.status == Status::Failed && p.traversal == traversal;
        self.members(group).map(|(_, p)| p).find(failed)
    }
}
