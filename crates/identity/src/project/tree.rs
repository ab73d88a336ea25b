//! Projects and domains in memory, with the relations between them.

use std::collections::HashMap;

use kernel::ProjectId;

use super::{MAX_DEPTH, Project};

/// Some projects and domains by their ids.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    projects: HashMap<ProjectId, Project>,
    /// The ids of the projects directly below a project or domain, in the order in which
    /// they were given.
    children: HashMap<ProjectId, Vec<ProjectId>>,
}

impl Tree {
    pub(crate) fn new(projects: Vec<Project>) -> Self {
        let mut tree = Self::default();
        for project in projects {
            if let Some(parent) = parent_of(&project) {
                let siblings = tree.children.entry(parent).or_default();
                siblings.push(project.id.clone());
            }
            tree.projects.insert(project.id.clone(), project);
        }
        tree
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Project> {
        self.projects.get(id)
    }

    /// The ids of what is above a project, nearest first, as far as it is in the tree; the
    /// last one need not be.
    pub(crate) fn ids_above(&self, id: &str) -> Vec<ProjectId> {
        let mut above = Vec::new();
        let mut at = self.get(id);
        // Bounded, because a cycle of parents must not block a request.
        while let Some(parent) = at.and_then(parent_of).filter(|_| above.len() <= MAX_DEPTH) {
            at = self.get(&parent);
            above.push(parent);
        }
        above
    }

    /// Whether a project is below another project or a domain, and not the same.
    pub(crate) fn is_below(&self, id: &str, top: &str) -> bool {
        self.ids_above(id).iter().any(|above| *above == *top)
    }

    /// The projects directly below a project or domain.
    pub(crate) fn children(&self, id: &str) -> impl Iterator<Item = &Project> {
        let children = self.children.get(id).map_or(&[][..], Vec::as_slice);
        children.iter().filter_map(|id| self.get(id))
    }

    /// All projects below a project or domain; a parent is before its children.
    pub(crate) fn below(&self, top: &str) -> Vec<&Project> {
        let mut found: Vec<&Project> = self.children(top).collect();
        let mut level: Vec<&Project> = found.clone();
        for _ in 0..MAX_DEPTH {
            level = level.iter().flat_map(|p| self.children(&p.id)).collect();
            found.extend(&level);
        }
        found
    }
}

/// The parent of a project; projects of databases of early releases have none, and are
/// directly below their domain.
fn parent_of(project: &Project) -> Option<ProjectId> {
    let parent = project.parent_id.clone();
    parent.or_else(|| (!project.is_domain).then(|| project.domain_id.as_str().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str, parent: Option<&str>) -> Project {
        Project {
            id: id.into(),
            name: id.to_owned(),
            domain_id: if id == "d" { "" } else { "d" }.into(),
            parent_id: parent.map(Into::into),
            is_domain: id == "d",
            enabled: true,
            description: String::new(),
            options: crate::attributes::Attributes::default(),
            extra: crate::attributes::Attributes::default(),
            tags: crate::tags::Tags::default(),
            tokens_after: crate::token::time::TokenTime::default(),
        }
    }

    fn ids(projects: &[&Project]) -> Vec<String> {
        projects.iter().map(|p| p.id.to_string()).collect()
    }

    #[test]
    fn relations_follow_the_parents() {
        let tree = Tree::new(vec![
            project("d", None),
            project("a", Some("d")),
            project("b", Some("a")),
            // Of an early release.
            project("c", None),
        ]);
        assert_eq!(tree.ids_above("b"), ["a", "d"]);
        assert_eq!(tree.ids_above("c"), ["d"]);
        assert!(tree.ids_above("d").is_empty() && tree.ids_above("no").is_empty());
        assert_eq!(ids(&tree.below("d")), ["a", "c", "b"]);
        assert_eq!(ids(&tree.below("a")), ["b"]);
        assert!(tree.is_below("b", "d") && tree.is_below("c", "d"));
        assert!(!tree.is_below("a", "a") && !tree.is_below("a", "b"));
    }

    #[test]
    fn a_cycle_ends() {
        let tree = Tree::new(vec![project("a", Some("b")), project("b", Some("a"))]);
        assert!(tree.ids_above("a").len() <= MAX_DEPTH + 1);
        assert!(!tree.is_below("a", "d"));
        assert!(tree.below("a").len() <= MAX_DEPTH + 1);
    }
}
