//! The masters of the cluster, as the server reports them.

use kernel::{Error, Result};
use nodewire::{Peers, Role};

use super::node::Node;
use super::plan::Member;

impl Node<'_> {
    /// Waits until `wanted` masters have registered and `condition` holds.
    pub(super) async fn all_masters(
        &self,
        wanted: u32,
        condition: fn(&Peers) -> bool,
    ) -> Result<Vec<Member>> {
        let mut peers = self.peers.subscribe();
        let enough = |p: &Peers| masters(p).len() >= wanted as usize && condition(p);
        let known = peers
            .wait_for(|p| p.as_ref().is_some_and(enough))
            .await
            .map_err(|_| Error::internal("the peer updates have ended"))?;
        Ok(known.as_ref().map(masters).unwrap_or_default())
    }
}

/// All masters, ordered by name.
pub(super) fn masters(peers: &Peers) -> Vec<Member> {
    let mut all: Vec<Member> = peers
        .nodes
        .iter()
        .filter(|p| p.role == Role::Manager)
        .map(|p| Member {
            name: p.node.clone(),
            address: p.address.clone(),
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}
