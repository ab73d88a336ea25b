//! The node that a session belongs to.

use kernel::{Error, Kind, Result};

use crate::cluster::{Cluster, table};
use crate::node::{self, Node, NodeStatus};
use crate::{ClustersDeps, tokens};

/// The authenticated node of a session, and its cluster.
pub(crate) struct NodeSession {
    pub(crate) node: Node,
    pub(crate) cluster: Cluster,
}

pub(crate) fn refused(text: &str) -> Error {
    Error::new(Kind::Unauthenticated, text)
}

/// Authenticates the session of a node.
pub(crate) async fn authenticate_session(
    d: &ClustersDeps,
    session: Option<&str>,
) -> Result<NodeSession> {
    let unknown = || refused("The session is not known.");
    let session = session.ok_or_else(unknown)?;
    let found = node::table::by_session(&d.db, &tokens::digest(session)).await?;
    let node = found
        .filter(|n| n.status != NodeStatus::Removed)
        .ok_or_else(unknown)?;
    let cluster = table::load(&d.db, &node.cluster_id)
        .await?
        .ok_or_else(unknown)?;
    Ok(NodeSession { node, cluster })
}

/// # Errors
/// `Forbidden` if the node is no master.
pub(super) fn require_master(caller: &NodeSession) -> Result<()> {
    if caller.node.is_master {
        Ok(())
    } else {
        Err(Error::forbidden("Only a manager may do this."))
    }
}
