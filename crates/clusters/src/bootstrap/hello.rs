//! The `hello` call: identifies the agent, negotiates the protocol version, and
//! returns the role of the node.

use db::Dialect;
use kernel::{Error, Kind, Result, clock};
use nodewire::{Accepted, Hello, Protocols, SERVER_PROTOCOLS, SwarmPlan, Welcome};

use super::caller::{NodeSession, refused};
use super::kube;
use super::ops::{fail, signal_wait_condition};
use crate::cluster::{Cluster, KIND, table};
use crate::coe::Coe;
use crate::node::{self, Node, NodeBrief, NodeEvent, NodeStatus, brief};
use crate::{ClusterId, ClustersDeps, NodeId, tokens};

/// Exchanges a one-time token for a session. The same session may repeat the
/// call. `spoken` is the range of protocol versions of the route that the agent
/// called.
///
/// # Errors
/// NotSupported 426: there is no common protocol version; the node is marked as
/// failed.
pub(crate) async fn hello(
    d: &ClustersDeps,
    hello: &Hello,
    spoken: Protocols,
) -> Result<(Accepted, NodeSession)> {
    let unknown = || refused("The token is not valid for this node.");
    if hello.session.len() < 32 {
        return Err(Error::invalid(
            "session",
            "session: at least 16 random bytes in hex.",
        ));
    }
    let Some(cluster) = table::load(&d.db, &ClusterId::from(&hello.cluster)).await? else {
        return Err(unknown());
    };
    let coe = cluster.engine()?;
    let nodes = brief::masters_and(&d.db, &cluster.uuid, &hello.node).await?;
    let masters = || {
        let there = |n: &&NodeBrief| n.is_master && n.status != NodeStatus::Removed;
        nodes.iter().filter(there)
    };
    let first = masters().map(|n| n.index).min();
    let count = masters().count();
    let Some(found) = nodes.iter().find(|n| n.name == hello.node) else {
        return Err(unknown());
    };
    if found.token_hash != tokens::digest(&hello.token) {
        return Err(unknown());
    }
    let session = tokens::digest(&hello.session);
    let again = found.session_hash.as_deref() == Some(session.as_str());
    if !again && found.token_expires < clock::now() {
        return Err(refused("The token has expired."));
    }
    if found.status == NodeStatus::Removed {
        return Err(unknown());
    }
    let Some(protocol) = hello.protocols.common(spoken) else {
        return Err(refuse_protocol(d, &cluster, &found.id, hello.protocols).await?);
    };
    let addresses: Vec<String> = hello.addresses.iter().take(16).cloned().collect();
    // A reconnect writes nothing, because after a restart of the server all
    // agents reconnect at the same time.
    let known = again && addresses == found.addresses && found.status != NodeStatus::Waiting;
    let n = if known {
        let n = node::table::by_session(&d.db, &session).await?;
        n.ok_or_else(unknown)?
    } else {
        bind(d, &cluster, found, addresses, &session).await?
    };
    let (swarm, kubernetes) = match coe {
        Coe::Swarm => (Some(swarm_plan()), None),
        Coe::Kubernetes => (None, Some(kube::plan(d, &cluster, &n, count).await?)),
    };
    let welcome = Welcome {
        role: kube::role(n.is_master, n.is_balancer),
        first_manager: n.is_master && Some(n.index) == first,
        swarm,
        kubernetes,
    };
    let accepted = Accepted {
        protocol,
        software: env!("CARGO_PKG_VERSION").into(),
        welcome,
    };
    Ok((accepted, NodeSession { node: n, cluster }))
}

/// Binds the token to the session, and stores the address of the node.
async fn bind(
    d: &ClustersDeps,
    cluster: &Cluster,
    found: &NodeBrief,
    addresses: Vec<String>,
    session: &str,
) -> Result<Node> {
    let kubernetes = cluster.engine()? == Coe::Kubernetes;
    db::write!(d.db, |tx| {
        if kubernetes {
            // Other nodes wait for this address: a new etcd member requests
            // votes soon, and on MariaDB other servers only see marks.
            tx.wake(KIND, &cluster.uuid);
            if (found.is_master && found.is_fresh) || tx.dialect() == Dialect::Mysql {
                db::mark(tx, KIND, &cluster.uuid).await?;
            }
        }
        let Some(mut n) = node::table::load_tx(tx, &found.id).await? else {
            return Err(refused("The token is not valid for this node."));
        };
        n.addresses = addresses.clone();
        n.status = n.status.after(NodeEvent::Registered);
        if !node::table::bind(tx, &n, session).await? {
            return Err(refused("The token was used by another session."));
        }
        n.session_hash = Some(session.to_owned());
        Ok(n)
    })
}

/// Marks the node as failed, so that the status of the cluster shows the
/// reason; returns the error for the agent.
async fn refuse_protocol(
    d: &ClustersDeps,
    cluster: &Cluster,
    node: &NodeId,
    theirs: Protocols,
) -> Result<Error> {
    let why = nodewire::no_common_protocol(theirs, SERVER_PROTOCOLS);
    let failed = db::write!(d.db, |tx| {
        db::mark(tx, KIND, &cluster.uuid).await?;
        let Some(mut n) = node::table::load_tx(tx, node).await? else {
            return Ok(None);
        };
        n.report("hello", "failed", clock::now(), &why);
        let failed = fail(&mut n);
        node::table::save(tx, &n).await?;
        Ok(failed.then_some(n))
    })?;
    if let Some(n) = failed {
        signal_wait_condition(d, cluster, &n).await;
    }
    Ok(Error::new(Kind::NotSupported { status: 426 }, why))
}

fn swarm_plan() -> SwarmPlan {
    SwarmPlan {
        addr_pool: vec!["10.32.0.0/11".into()],
        subnet_size: 24,
    }
}
