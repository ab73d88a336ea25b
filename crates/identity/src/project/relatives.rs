//! What is above and below a project, as a part of the answer about the project.

use std::collections::{BTreeMap, HashSet};

use kernel::{ProjectId, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::tree::Tree;
use super::wire::ProjectBody;
use super::{MAX_DEPTH, Project, accessible, table};
use crate::call::{Call, IdentityCall};
use crate::envelope::{One, nouns};

/// How the projects above or below are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    List,
    Ids,
}

/// The projects above or below a project.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Shown {
    Projects(Vec<One<ProjectBody>>),
    /// Null if there are none.
    Ids(Option<Ids>),
}

/// Ids of projects, each with the ids of those above or below it.
#[derive(Debug, Serialize, JsonSchema)]
struct Ids(BTreeMap<String, Option<Ids>>);

/// What is above a project, and what is below it, as far as the caller asked for it.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct Relatives {
    #[serde(skip_serializing_if = "Option::is_none")]
    parents: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtree: Option<Shown>,
}

/// A project with those above and below it.
#[derive(Serialize, JsonSchema)]
pub(super) struct ShownProject {
    #[serde(flatten)]
    project: ProjectBody,
    #[serde(flatten)]
    relatives: Relatives,
}

nouns! { ShownProject = "project", "projects"; }

impl ShownProject {
    pub(super) fn new(mut project: ProjectBody, relatives: Relatives) -> Self {
        // Keystone replaces attributes of these names, too.
        for (name, shown) in [
            ("parents", &relatives.parents),
            ("subtree", &relatives.subtree),
        ] {
            if shown.is_some() {
                project.remove_extra(name);
            }
        }
        Self { project, relatives }
    }
}

pub(super) async fn load(
    call: &Call,
    project: &Project,
    parents: Wanted,
    subtree: Wanted,
) -> Result<Relatives> {
    if (parents, subtree) == (Wanted::Nothing, Wanted::Nothing) {
        return Ok(Relatives::default());
    }
    let db = &call.state.db;
    let domain_id = project.domain();
    let mut near = table::in_domain(db, &domain_id).await?;
    near.extend(table::by_id(db, &domain_id).await?);
    let tree = Tree::new(near);
    // Lists show only what the caller could use, as in Keystone.
    let mut visible = HashSet::new();
    if [parents, subtree].contains(&Wanted::List) {
        let own = accessible::projects(db, &call.ctx()?.user_id).await?;
        visible.extend(own.into_iter().map(|p| p.id));
    }
    let list = |found: Vec<&Project>| {
        let found = found.into_iter().filter(|p| visible.contains(&p.id));
        let bodies = found.map(|p| One(ProjectBody::new(p.clone(), call.base())));
        Shown::Projects(bodies.collect())
    };
    let above = tree.ids_above(&project.id);
    Ok(Relatives {
        parents: match parents {
            Wanted::Nothing => None,
            Wanted::List => Some(list(above.iter().filter_map(|id| tree.get(id)).collect())),
            Wanted::Ids => Some(Shown::Ids(chain(&above))),
        },
        subtree: match subtree {
            Wanted::Nothing => None,
            Wanted::List => Some(list(tree.below(&project.id))),
            Wanted::Ids => Some(Shown::Ids(branches(&tree, &project.id, MAX_DEPTH))),
        },
    })
}

/// The ids of what is above, each inside of the previous one.
fn chain(above: &[ProjectId]) -> Option<Ids> {
    let mut ids = None;
    for id in above.iter().rev() {
        ids = Some(Ids([(id.to_string(), ids)].into_iter().collect()));
    }
    ids
}

/// The ids of what is below, `levels` levels deep.
fn branches(tree: &Tree, id: &str, levels: usize) -> Option<Ids> {
    let below = |p: &Project| match levels {
        0 => None,
        _ => branches(tree, &p.id, levels - 1),
    };
    let children = tree.children(id);
    let ids: BTreeMap<_, _> = children.map(|p| (p.id.to_string(), below(p))).collect();
    (!ids.is_empty()).then_some(Ids(ids))
}
