//! One-time tokens of nodes, and the purposes under which secrets are sealed.

use kernel::{Result, clock, ids};
use pki::Sealer;

use crate::cluster::Cluster;
use crate::coe::hot::BALANCER;
use crate::node::Node;
use crate::nodegroup::Group;
use crate::{ClusterId, NodeId};

pub(crate) fn ca_purpose(cluster: &ClusterId) -> String {
    format!("cluster/{cluster}/ca-key")
}

pub(crate) fn token_purpose(node: &NodeId) -> String {
    format!("node/{node}/token")
}

pub(crate) fn join_purpose(cluster: &ClusterId) -> String {
    format!("cluster/{cluster}/join")
}

/// SHA-256 of a secret, hex.
pub(crate) fn digest(secret: &str) -> String {
    pki::fingerprint_sha256(secret.as_bytes())
        .chars()
        .filter(|c| *c != ':')
        .collect::<String>()
        .to_lowercase()
}

/// Creates a node in the group with the next index and a new token.
pub(crate) fn new_node(sealer: &Sealer, cluster: &Cluster, group: &mut Group) -> Result<Node> {
    let index = group.next_index;
    group.next_index += 1;
    let name = format!("{}-{}-{index}", cluster.prefix(), group.name_part());
    Ok(Node {
        nodegroup: group.name.clone(),
        index,
        is_master: group.is_master(),
        ..new_node_row(sealer, cluster, name)?
    })
}

/// Creates the balancer, which belongs to no group.
pub(crate) fn new_balancer(sealer: &Sealer, cluster: &Cluster) -> Result<Node> {
    Ok(Node {
        nodegroup: BALANCER.into(),
        is_balancer: true,
        ..new_node_row(sealer, cluster, format!("{}-{BALANCER}", cluster.prefix()))?
    })
}

/// The token of a node in the parameters of its stack.
pub(crate) fn stack_token(sealer: &Sealer, n: &Node) -> Result<String> {
    let token = sealer.unseal_text(&token_purpose(&n.id), &n.token_sealed)?;
    Ok(token.to_string())
}

/// Generates a token for a rebuilt server of an existing node.
pub(crate) fn replace_token(sealer: &Sealer, cluster: &Cluster, n: &mut Node) -> Result<()> {
    let token = ids::secret_hex(32);
    n.token_sealed = sealer.seal(&token_purpose(&n.id), token.as_bytes())?;
    n.fresh_sealed = Some(n.token_sealed.clone());
    n.token_hash = digest(&token);
    n.token_expires = clock::now() + cluster.token_lifetime();
    n.session_hash = None;
    Ok(())
}

fn new_node_row(sealer: &Sealer, cluster: &Cluster, name: String) -> Result<Node> {
    let now = clock::now();
    let id = NodeId::random();
    let token = ids::secret_hex(32);
    Ok(Node {
        cluster_id: cluster.uuid.clone(),
        name,
        token_sealed: sealer.seal(&token_purpose(&id), token.as_bytes())?,
        token_hash: digest(&token),
        token_expires: now + cluster.token_lifetime(),
        generation: cluster.generation,
        created_at: now,
        id,
        ..Node::default()
    })
}
