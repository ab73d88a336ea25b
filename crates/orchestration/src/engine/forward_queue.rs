//! The queue of the forward pass. It contains the resources that a step may
//! advance: a resource is queued when its last dependency is settled, and when one
//! of its effects has ended. No other resource is examined.

use std::collections::{BTreeSet, HashMap};

use super::graph::Graph;
use super::group_run::GroupRun;
use super::resource_index::{ResourceIndex, Slot};

/// The number of a resource in the graph, and the number of one of its members: 0
/// is the resource itself, `i + 1` is member `i` of a group.
pub(super) type Step = (usize, usize);

/// Progress of the resources of the template.
#[derive(Default)]
pub(super) struct ForwardQueue {
    /// Number of unsettled dependencies of each resource.
    missing: Vec<usize>,
    /// Whether each resource is complete and does not change any more in this
    /// traversal.
    settled: Vec<bool>,
    /// Number of unsettled resources.
    left: usize,
    queue: BTreeSet<Step>,
    /// Number of performed steps.
    pub steps: usize,
    /// Groups in progress, by number.
    groups: HashMap<usize, GroupRun>,
}

impl ForwardQueue {
    pub(super) fn new(graph: &Graph) -> Self {
        let missing: Vec<usize> = (0..graph.len()).map(|i| graph.needs(i).len()).collect();
        let free = missing.iter().enumerate().filter(|(_, n)| **n == 0);
        Self {
            queue: free.map(|(i, _)| (i, 0)).collect(),
            settled: vec![false; missing.len()],
            left: missing.len(),
            missing,
            steps: 0,
            groups: HashMap::new(),
        }
    }

    /// Takes the next step that is ready, and counts it.
    pub(super) fn next_step(&mut self) -> Option<Step> {
        while let Some((number, member)) = self.queue.pop_first() {
            if !self.settled[number] && self.missing[number] == 0 {
                self.steps += 1;
                return Some((number, member));
            }
        }
        None
    }

    /// Whether all resources are settled.
    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Marks a resource as complete, and queues those that only waited for it.
    pub(super) fn settle(&mut self, graph: &Graph, number: usize) {
        if std::mem::replace(&mut self.settled[number], true) {
            return;
        }
        self.left -= 1;
        for user in graph.users(number) {
            self.missing[*user] -= 1;
            if self.missing[*user] == 0 {
                self.queue.insert((*user, 0));
            }
        }
    }

    /// Queues a resource of the template, or a member of one of its groups.
    pub(super) fn add(&mut self, graph: &Graph, resources: &ResourceIndex, slot: Slot) {
        let Some(resource) = resources.at(slot) else {
            return;
        };
        let step = match resource.parent.as_ref() {
            None => graph.number(&resource.name).map(|n| (n, 0)),
            Some(group) => resources.get(group).and_then(|g| {
                let number = graph.number(&g.name)?;
                Some((number, self.group(number)?.number(&resource.name)? + 1))
            }),
        };
        self.queue.extend(step);
    }

    /// Queues the members of a group.
    pub(super) fn add_group(&mut self, number: usize, run: GroupRun) {
        self.queue.extend((1..=run.len()).map(|i| (number, i)));
        self.groups.insert(number, run);
    }

    pub(super) fn group(&self, number: usize) -> Option<&GroupRun> {
        self.groups.get(&number)
    }

    pub(super) fn group_mut(&mut self, number: usize) -> Option<&mut GroupRun> {
        self.groups.get_mut(&number)
    }
}
