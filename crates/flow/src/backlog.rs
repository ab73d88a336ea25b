//! Due keys that wait for a free slot, by project. Keys found by one search are
//! not searched for again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use db::Due;

use crate::runs::Key;

/// Capacity for one round of claims.
pub(crate) struct Capacity {
    /// Free slots.
    pub slots: usize,
    /// Free slots of each kind that the driver runs.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Runs of each project.
    pub projects: BTreeMap<String, usize>,
    /// Maximum number of runs per project.
    pub per_project: usize,
}

impl Capacity {
    /// Whether all these keys can be started now, in any project.
    pub(crate) fn fits(&self, keys: &BTreeSet<Key>) -> bool {
        let mut kinds = self.kinds.clone();
        keys.len() <= self.slots
            && keys.iter().all(|(kind, _)| {
                let capacity = kinds.get_mut(kind.as_str()).filter(|n| **n > 0);
                capacity.map(|n| *n -= 1).is_some()
            })
    }
}

/// The keys of each project in order of arrival, without duplicates.
#[derive(Default)]
pub(crate) struct Backlog {
    queues: BTreeMap<Option<String>, VecDeque<Key>>,
    keys: BTreeSet<Key>,
    /// The project that was served last.
    last: Option<Option<String>>,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn put(&mut self, due: Due) {
        let key = (due.kind, due.id);
        if self.keys.insert(key.clone()) {
            self.queues.entry(due.project).or_default().push_back(key);
        }
    }

    /// Takes keys within the capacity, alternating between projects. Keys
    /// without capacity for their kind or project stay.
    pub(crate) fn take(&mut self, capacity: &mut Capacity) -> BTreeSet<Key> {
        let mut taken = BTreeSet::new();
        // Projects that were not served in the last round come first.
        let mut turns: VecDeque<Option<String>> = self.queues.keys().cloned().collect();
        if let Some(last) = &self.last {
            let passed = turns.iter().filter(|t| *t <= last).count();
            turns.rotate_left(passed % turns.len().max(1));
        }
        while capacity.slots > 0
            && let Some(project) = turns.pop_front()
        {
            if let Some(key) = self.next(&project, capacity) {
                capacity.slots -= 1;
                self.keys.remove(&key);
                taken.insert(key);
                self.last = Some(project.clone());
                turns.push_back(project);
            }
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        taken
    }

    /// The first key of the project with capacity.
    fn next(&mut self, project: &Option<String>, capacity: &mut Capacity) -> Option<Key> {
        let runs = project
            .as_ref()
            .map(|t| capacity.projects.entry(t.clone()).or_default());
        if runs
            .as_ref()
            .is_some_and(|runs| **runs >= capacity.per_project)
        {
            return None;
        }
        let queue = self.queues.get_mut(project)?;
        let fits = |key: &Key| capacity.kinds.get(key.0.as_str()).is_some_and(|n| *n > 0);
        let key = queue.remove(queue.iter().position(fits)?)?;
        if let Some(n) = capacity.kinds.get_mut(key.0.as_str()) {
            *n -= 1;
        }
        if let Some(runs) = runs {
            *runs += 1;
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(slots: usize, servers: usize, per_project: usize) -> Capacity {
        Capacity {
            slots,
            kinds: BTreeMap::from([("server", servers), ("stack", 9)]),
            projects: BTreeMap::new(),
            per_project,
        }
    }

    fn backlog(keys: &[(&str, &str, &str)]) -> Backlog {
        let mut backlog = Backlog::default();
        for (kind, id, project) in keys {
            backlog.put(Due {
                kind: (*kind).into(),
                id: (*id).into(),
                project: Some((*project).into()),
            });
        }
        backlog
    }

    fn ids(keys: &BTreeSet<Key>) -> String {
        keys.iter().map(|(_, id)| id.as_str()).collect()
    }

    #[test]
    fn projects_take_turns_also_from_one_round_to_the_next() {
        let mut backlog = backlog(&[
            ("server", "a", "busy"),
            ("server", "b", "busy"),
            ("server", "c", "busy"),
            ("server", "c", "busy"),
            ("server", "z", "other"),
        ]);
        assert_eq!(ids(&backlog.take(&mut capacity(1, 9, 9))), "a");
        assert_eq!(ids(&backlog.take(&mut capacity(1, 9, 9))), "z");
        assert_eq!(ids(&backlog.take(&mut capacity(5, 9, 9))), "bc");
        assert!(backlog.is_empty());
    }

    #[test]
    fn kinds_and_projects_without_capacity_stay_queued() {
        let mut backlog = backlog(&[
            ("server", "a", "p"),
            ("server", "b", "p"),
            ("stack", "s", "p"),
            ("unknown", "u", "q"),
        ]);
        assert_eq!(ids(&backlog.take(&mut capacity(5, 1, 9))), "as");
        assert_eq!(ids(&backlog.take(&mut capacity(5, 9, 0))), "");
        assert_eq!(ids(&backlog.take(&mut capacity(5, 9, 1))), "b");
        assert!(!backlog.is_empty());
    }
}
