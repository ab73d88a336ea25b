//! The parameters of the stack that follow from its nodes.

use std::collections::BTreeMap;

use kernel::Result;
use pki::Sealer;
use serde_json::{Map, Value};

use crate::cluster::model::Cluster;
use crate::coe::hot::{GroupSize, Sizes};
use crate::node::{Node, NodeStatus};
use crate::nodegroup::Group;
use crate::tokens;

/// Sizes of all groups, with the tokens of their nodes.
pub(super) fn of_groups(sealer: &Sealer, groups: &[Group], nodes: &[Node]) -> Result<Sizes> {
    let mut sizes = Sizes {
        wait_count: nodes
            .iter()
            .filter(|n| n.status.wanted() || n.signal.is_some())
            .count(),
        ..Sizes::default()
    };
    for g in groups {
        let mut size = GroupSize {
            word: g.name_part(),
            ..GroupSize::default()
        };
        for n in nodes.iter().filter(|n| n.nodegroup == g.name) {
            if n.status.wanted() {
                size.count += 1;
                let token = tokens::stack_token(sealer, n)?;
                size.tokens.insert(n.index.to_string(), token);
            } else {
                size.removed.push(n.index.to_string());
            }
        }
        sizes.groups.push(size);
    }
    Ok(sizes)
}

/// Token parameters of the nodes that the stack has. Sizes stay unchanged,
/// because leaving nodes must be drained first.
pub(super) fn tokens(
    sealer: &Sealer,
    c: &Cluster,
    groups: &[Group],
    nodes: &[Node],
) -> Result<BTreeMap<String, Value>> {
    let mut out = BTreeMap::new();
    for g in groups {
        let mut all = Map::new();
        let known = |n: &&Node| {
            n.nodegroup == g.name
                && n.generation <= c.sent_generation
                && n.status != NodeStatus::Removed
        };
        for n in nodes.iter().filter(known) {
            let token = tokens::stack_token(sealer, n)?;
            all.insert(n.index.to_string(), token.into());
        }
        out.insert(format!("{}_tokens", g.name_part()), Value::Object(all));
    }
    if let Some(n) = nodes.iter().find(|n| n.is_balancer) {
        let token = tokens::stack_token(sealer, n)?;
        out.insert("balancer_token".into(), token.into());
    }
    Ok(out)
}
