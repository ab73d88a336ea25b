//! One-time tokens of nodes, and the purposes under which secrets are sealed.

use kernel::{Result, clock, ids};
use pki::Sealer;

use crate::cluster::Cluster;
use crate::coe::hot::BALANCER;
use crate::node::Node;
use crate::nodegroup::Group;

/// An unused token is void after the create timeout, and at the latest so
/// many seconds after it was drawn.
const LONGEST: i64 = 24 * 3600;

pub(crate) fn ca_purpose(cluster: &str) -> String {
    format!("cluster/{cluster}/ca-key")
}

pub(crate) fn token_purpose(node: &str) -> String {
    format!("node/{node}/token")
}

pub(crate) fn join_purpose(cluster: &str) -> String {
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

/// A node of the group with the next index and a token of its own.
pub(crate) fn new_node(sealer: &Sealer, cluster: &Cluster, group: &mut Group) -> Result<Node> {
    let index = group.next_index;
    group.next_index += 1;
    let name = format!("{}-{}-{index}", cluster.prefix(), group.word());
    Ok(Node {
        nodegroup: group.name.clone(),
        index,
        is_master: group.is_master(),
        ..drawn(sealer, cluster, name)?
    })
}

/// The balancer before the masters; it is in no group.
pub(crate) fn new_balancer(sealer: &Sealer, cluster: &Cluster) -> Result<Node> {
    Ok(Node {
        nodegroup: BALANCER.into(),
        is_balancer: true,
        ..drawn(sealer, cluster, format!("{}-{BALANCER}", cluster.prefix()))?
    })
}

/// The token of a node that the parameters of its stack name.
pub(crate) fn of_stack(sealer: &Sealer, n: &Node) -> Result<String> {
    let token = sealer.unseal_text(&token_purpose(&n.id), &n.token_sealed)?;
    Ok(token.to_string())
}

/// Draws a token for a new server of a node that there was before.
pub(crate) fn rearm(sealer: &Sealer, cluster: &Cluster, n: &mut Node) -> Result<()> {
    let token = ids::secret_hex(32);
    n.token_sealed = sealer.seal(&token_purpose(&n.id), token.as_bytes())?;
    n.fresh_sealed = Some(n.token_sealed.clone());
    n.token_hash = digest(&token);
    n.token_expires = clock::now_micros() + patience(cluster) * 1_000_000;
    n.session_hash = None;
    Ok(())
}

/// Seconds that a node gets from its making until it has called.
pub(crate) fn patience(cluster: &Cluster) -> i64 {
    let minutes = if cluster.create_timeout > 0 {
        cluster.create_timeout
    } else {
        60
    };
    minutes.saturating_mul(60).min(LONGEST)
}

fn drawn(sealer: &Sealer, cluster: &Cluster, name: String) -> Result<Node> {
    let now = clock::now_micros();
    let id = ids::uuid();
    let token = ids::secret_hex(32);
    let seconds = patience(cluster);
    Ok(Node {
        cluster_id: cluster.uuid.clone(),
        name,
        token_sealed: sealer.seal(&token_purpose(&id), token.as_bytes())?,
        token_hash: digest(&token),
        token_expires: now + seconds * 1_000_000,
        generation: cluster.generation,
        created_at: now,
        id,
        ..Node::default()
    })
}
