//! Progress of one group of the template: which of its members are as desired.

use std::collections::HashMap;

use super::resource_index::Slot;

/// A group whose members are being reconciled.
pub(super) struct GroupRun {
    pub slot: Slot,
    pub index_var: String,
    /// Whether the group itself has been set IN_PROGRESS.
    pub begun: bool,
    names: Vec<String>,
    numbers: HashMap<String, usize>,
    settled: Vec<bool>,
    left: usize,
}

impl GroupRun {
    pub(super) fn new(slot: Slot, names: Vec<String>, index_var: String, begun: bool) -> Self {
        Self {
            slot,
            index_var,
            begun,
            numbers: names.iter().cloned().zip(0..).collect(),
            settled: vec![false; names.len()],
            left: names.len(),
            names,
        }
    }

    /// Number of desired members.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of a member.
    pub(super) fn name(&self, member: usize) -> &str {
        &self.names[member]
    }

    /// The number of a member; `None` if the group should not have such a member.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    pub(super) fn is_settled(&self, member: usize) -> bool {
        self.settled[member]
    }

    /// Marks a member that is not settled yet as settled.
    pub(super) fn settle(&mut self, member: usize) {
        self.settled[member] = true;
        self.left -= 1;
    }

    /// Whether all members are settled.
    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }
}
