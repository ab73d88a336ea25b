//! The resources of a stack in memory with their indexes. The cost of a lookup
//! does not depend on the size of the stack.

use kernel::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ResourceId;
use crate::api::{Action, Status};
use crate::resource::{self, Role};
use crate::stack::ResourceRow;

/// Position of a resource in [`ResourceIndex`]: older resources have smaller positions,
/// and a position is never reused.
pub(super) type Slot = usize;

#[derive(Default)]
pub(super) struct ResourceIndex {
    rows: BTreeMap<Slot, ResourceRow>,
    next: Slot,
    by_id: HashMap<ResourceId, Slot>,
    /// Row id of the group (empty for none), then name, to positions in order.
    by_name: HashMap<ResourceId, HashMap<String, Vec<Slot>>>,
    /// Row id of a group to the positions of its members.
    members: HashMap<ResourceId, BTreeSet<Slot>>,
    /// Row id to the number of resources that name it in `requires`.
    users: HashMap<ResourceId, usize>,
    /// Everything that is IN_PROGRESS, except groups.
    open: BTreeSet<Slot>,
    /// Groups that are IN_PROGRESS.
    open_groups: BTreeSet<Slot>,
    /// Traversal and time of each failure that counts for the stack.
    failed: BTreeSet<(i64, Timestamp, Slot)>,
    /// Removals that are IN_PROGRESS.
    removals: usize,
}

pub(super) fn is_group(resource: &ResourceRow) -> bool {
    let kind = resource::find(&resource.resource_type);
    matches!(kind.map(|t| t.role), Some(Role::Group))
}

/// Whether a failure of the resource counts for its stack. A group only repeats
/// the failures of its members, and replaced resources are ignored.
fn failure_counts(p: &ResourceRow) -> bool {
    p.status == Status::Failed && (p.action == Action::Delete || !p.to_remove) && !is_group(p)
}

impl ResourceIndex {
    /// Indexes the resources of a stack, oldest first.
    pub(super) fn new(resources: Vec<ResourceRow>) -> Self {
        let mut all = Self::default();
        for resource in resources {
            all.add(resource);
        }
        all
    }

    pub(super) fn add(&mut self, resource: ResourceRow) -> Slot {
        let slot = self.next;
        self.next += 1;
        self.by_id.insert(resource.id.clone(), slot);
        let parent = resource.parent.clone().unwrap_or_default();
        if resource.parent.is_some() {
            let members = self.members.entry(parent.clone()).or_default();
            members.insert(slot);
        }
        let names = self.by_name.entry(parent).or_default();
        names.entry(resource.name.clone()).or_default().push(slot);
        self.index(slot, &resource);
        self.rows.insert(slot, resource);
        slot
    }

    /// Changes a resource; its id, name and group stay.
    pub(super) fn change(&mut self, slot: Slot, change: impl FnOnce(&mut ResourceRow)) {
        let Some(mut resource) = self.rows.remove(&slot) else {
            return;
        };
        self.unindex(slot, &resource);
        change(&mut resource);
        self.index(slot, &resource);
        self.rows.insert(slot, resource);
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<ResourceRow> {
        let resource = self.rows.remove(&slot)?;
        self.unindex(slot, &resource);
        self.by_id.remove(&resource.id);
        let parent = resource.parent.clone().unwrap_or_default();
        if let Some(members) = self.members.get_mut(&parent) {
            members.remove(&slot);
            if members.is_empty() {
                self.members.remove(&parent);
            }
        }
        if let Some(names) = self.by_name.get_mut(&parent) {
            if let Some(slots) = names.get_mut(&resource.name) {
                slots.retain(|p| *p != slot);
                if slots.is_empty() {
                    names.remove(&resource.name);
                }
            }
            if names.is_empty() {
                self.by_name.remove(&parent);
            }
        }
        Some(resource)
    }

    fn index(&mut self, slot: Slot, resource: &ResourceRow) {
        for id in &resource.requires {
            match self.users.get_mut(id) {
                Some(n) => *n += 1,
                None => drop(self.users.insert(id.clone(), 1)),
            }
        }
        if resource.status == Status::InProgress {
            if is_group(resource) {
                self.open_groups.insert(slot);
            } else {
                self.open.insert(slot);
            }
            self.removals += usize::from(resource.action == Action::Delete);
        }
        if failure_counts(resource) {
            let entry = (resource.traversal, resource.updated_at, slot);
            self.failed.insert(entry);
        }
    }

    fn unindex(&mut self, slot: Slot, resource: &ResourceRow) {
        for id in &resource.requires {
            if let Some(n) = self.users.get_mut(id) {
                *n -= 1;
                if *n == 0 {
                    self.users.remove(id);
                }
            }
        }
        if resource.status == Status::InProgress {
            self.open.remove(&slot);
            self.open_groups.remove(&slot);
            self.removals -= usize::from(resource.action == Action::Delete);
        }
        let entry = (resource.traversal, resource.updated_at, slot);
        self.failed.remove(&entry);
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&ResourceRow> {
        self.rows.get(&slot)
    }

    pub(super) fn slot(&self, id: &ResourceId) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    pub(super) fn get(&self, id: &ResourceId) -> Option<&ResourceRow> {
        self.at(self.slot(id)?)
    }

    /// All resources, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &ResourceRow)> {
        self.rows.iter().map(|(slot, resource)| (*slot, resource))
    }

    /// The current resource of a name. If there are two after a crash, it is the
    /// newer one.
    pub(super) fn current(&self, parent: Option<&ResourceId>, name: &str) -> Option<&ResourceRow> {
        let names = self.by_name.get(parent.map_or("", |id| id.as_str()))?;
        let slots = names.get(name)?.iter().rev();
        slots
            .filter_map(|p| self.at(*p))
            .find(|p| !p.to_remove && p.action != Action::Delete)
    }

    /// The members of a group, oldest first.
    pub(super) fn members(&self, group: &ResourceId) -> impl Iterator<Item = (Slot, &ResourceRow)> {
        let slots = self.members.get(group).into_iter().flatten();
        slots.filter_map(|p| self.at(*p).map(|resource| (*p, resource)))
    }

    pub(super) fn has_members(&self, group: &ResourceId) -> bool {
        self.members.contains_key(group)
    }

    /// Whether another resource names this one in `requires`.
    pub(super) fn is_required(&self, id: &ResourceId) -> bool {
        self.users.contains_key(id)
    }

    /// Everything that is IN_PROGRESS, except groups, oldest first.
    pub(super) fn open(&self) -> impl ExactSizeIterator<Item = (Slot, &ResourceRow)> {
        // Every position in the index has its row.
        self.open.iter().map(|p| (*p, &self.rows[p]))
    }

    pub(super) fn open_groups(&self) -> impl Iterator<Item = (Slot, &ResourceRow)> {
        self.open_groups.iter().map(|p| (*p, &self.rows[p]))
    }

    pub(super) fn removals_under_way(&self) -> bool {
        self.removals > 0
    }

    /// The first failure of a traversal that counts for its stack.
    pub(super) fn first_failure(&self, traversal: i64) -> Option<&ResourceRow> {
        let from = (traversal, Timestamp::EPOCH, 0);
        let to = (traversal, Timestamp::MAX, Slot::MAX);
        let first = self.failed.range(from..=to).next()?;
        self.at(first.2)
    }

    /// The first member of a group that failed in a traversal.
    pub(super) fn failed_member(&self, group: &ResourceId, traversal: i64) -> Option<&ResourceRow> {
        let failed = |p: &&ResourceRow| p.status == Status::Failed && p.traversal == traversal;
        self.members(group).map(|(_, p)| p).find(failed)
    }
}
