//! The dependencies between files, their strongly connected components and the
//! shortest cycle of a component.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Item and line of the first reference of one file to another.
type Edge = (String, usize);

#[derive(Default)]
pub struct Graph {
    edges: BTreeMap<String, BTreeMap<String, Edge>>,
}

/// One dependency of a cycle.
pub struct Step<'a> {
    pub from: &'a str,
    pub item: &'a str,
    pub line: usize,
}

impl Graph {
    pub fn add(&mut self, from: &str, to: &str, item: &str, line: usize) {
        self.edges
            .entry(from.to_owned())
            .or_default()
            .entry(to.to_owned())
            .or_insert_with(|| (item.to_owned(), line));
    }

    fn successors(&self, file: &str) -> impl Iterator<Item = &str> {
        self.edges
            .get(file)
            .into_iter()
            .flat_map(|to| to.keys().map(String::as_str))
    }

    /// Everything that a file depends on, directly or not.
    fn reachable<'a>(&'a self, from: &'a str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = self.successors(from).collect();
        while let Some(file) = open.pop() {
            if seen.insert(file) {
                open.extend(self.successors(file));
            }
        }
        seen
    }

    /// The sets of files that depend on each other. A crate has so few files
    /// that comparing what each one reaches is fast enough.
    pub fn components(&self) -> Vec<Vec<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> = self
            .edges
            .keys()
            .map(|file| (file.as_str(), self.reachable(file)))
            .collect();
        let mut done = BTreeSet::new();
        let mut found = Vec::new();
        for (file, reaches) in &reached {
            if !reaches.contains(file) || done.contains(file) {
                continue;
            }
            let component: Vec<&str> = reaches
                .iter()
                .copied()
                .filter(|other| reached.get(other).is_some_and(|r| r.contains(file)))
                .collect();
            done.extend(component.iter().copied());
            found.push(component);
        }
        found
    }

    /// The shortest cycle through files of a component, in order.
    pub fn shortest_cycle<'a>(&'a self, component: &[&'a str]) -> Vec<Step<'a>> {
        let files = component
            .iter()
            .filter_map(|file| self.cycle_through(file))
            .min_by_key(Vec::len)
            .unwrap_or_default();
        let next = files.iter().cycle().skip(1);
        files
            .iter()
            .zip(next)
            .filter_map(|(from, to)| {
                let (item, line) = self.edges.get(*from)?.get(*to)?;
                Some(Step {
                    from,
                    item,
                    line: *line,
                })
            })
            .collect()
    }

    /// A breadth-first search from a file back to itself.
    fn cycle_through<'a>(&'a self, start: &'a str) -> Option<Vec<&'a str>> {
        let mut previous: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = VecDeque::from([start]);
        while let Some(file) = open.pop_front() {
            for next in self.successors(file) {
                if next == start {
                    let mut path = vec![file];
                    let mut at = file;
                    while at != start {
                        at = previous.get(at).copied()?;
                        path.push(at);
                    }
                    path.reverse();
                    return Some(path);
                }
                if !previous.contains_key(next) {
                    previous.insert(next, file);
                    open.push_back(next);
                }
            }
        }
        None
    }
}
