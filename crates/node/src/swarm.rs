//! Swarm membership: the first manager initialises the swarm, the others join
//! it. Every function first checks what is already done.

use std::net::IpAddr;
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::{JoinTicket, Published, Role, StepStatus, SwarmPlan, Welcome};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::channel::{Channel, is_refusal};
use crate::engine::{Engine, text};
use crate::members;
use crate::report::{Reporter, plain};
use crate::retry::Backoff;

/// The port of swarm traffic between managers and members.
const PORT: u16 = 2377;
const LISTEN: &str = "0.0.0.0:2377";
/// Time limit of a step before the node gives up.
const STEP_TIMEOUT: Duration = Duration::from_secs(180);
/// Interval of engine state checks.
const LOOK: Duration = Duration::from_millis(50);

/// The node's membership.
pub(crate) struct Member {
    pub node_id: String,
    pub manager: bool,
}

/// The membership that the engine reports, if it is a member.
///
/// # Errors
/// Fails if the engine request fails.
pub(crate) async fn membership(engine: &Engine) -> Result<Option<Member>> {
    let info = engine.info().await?;
    Ok((info.state == "active").then_some(Member {
        node_id: info.node_id,
        manager: info.control,
    }))
}

/// Initialises or joins the swarm; returns when this node is a member, and for
/// a manager when the others reach it.
///
/// # Errors
/// The last error, after three minutes of attempts.
pub(crate) async fn become_member(
    engine: &Engine,
    channel: &Channel,
    reporter: &Reporter,
    welcome: &Welcome,
    own: IpAddr,
) -> Result<Member> {
    let (name, manager) = match welcome.role {
        Role::Manager if welcome.first_manager => ("init", true),
        Role::Manager => ("join", true),
        Role::Worker | Role::Balancer => ("join", false),
    };
    reporter
        .run(name, async {
            let until = Instant::now() + STEP_TIMEOUT;
            let mut backoff = Backoff::new(100, 2_000);
            loop {
                let attempt = if welcome.first_manager {
                    let plan = welcome
                        .swarm
                        .as_ref()
                        .ok_or_else(|| Error::internal("the server sent no plan for a swarm"))?;
                    init(engine, own, plan).await
                } else {
                    join(engine, channel, own).await
                };
                let settled = match attempt {
                    Ok(()) => settle(engine, manager, until).await,
                    Err(e) => Err(e),
                };
                match settled {
                    Ok(member) => return Ok(member),
                    Err(e) if is_refusal(&e) || Instant::now() >= until => return Err(e),
                    Err(e) => {
                        reporter.step(name, StepStatus::Retrying, plain(&e));
                        backoff.pause().await;
                    }
                }
            }
        })
        .await
}

async fn init(engine: &Engine, own: IpAddr, plan: &SwarmPlan) -> Result<()> {
    if !outside(engine).await? {
        return Ok(());
    }
    let mut body = json!({ "ListenAddr": LISTEN, "AdvertiseAddr": own.to_string() });
    if !plan.addr_pool.is_empty() {
        body["DefaultAddrPool"] = json!(plan.addr_pool);
        body["SubnetSize"] = json!(plan.subnet_size);
    }
    engine.post("/swarm/init", &body).await.map(|_| ())
}

async fn join(engine: &Engine, channel: &Channel, own: IpAddr) -> Result<()> {
    if !outside(engine).await? {
        return Ok(());
    }
    let ticket = ticket(channel).await?;
    let body = json!({
        "ListenAddr": LISTEN,
        "AdvertiseAddr": own.to_string(),
        "RemoteAddrs": ticket.remote_addrs,
        "JoinToken": ticket.token,
    });
    engine.post("/swarm/join", &body).await.map(|_| ())
}

/// Waits until there is a swarm to join.
async fn ticket(channel: &Channel) -> Result<JoinTicket> {
    let late = |_| Error::timeout("no manager published a swarm to join within three minutes");
    timeout(STEP_TIMEOUT, channel.ticket())
        .await
        .map_err(late)?
}

/// Whether the engine is neither in a swarm nor joining one. Leaves the remains
/// of a failed attempt.
async fn outside(engine: &Engine) -> Result<bool> {
    let info = engine.info().await?;
    match info.state.as_str() {
        "inactive" => Ok(true),
        "active" | "pending" => Ok(false),
        _ => {
            engine
                .post("/swarm/leave?force=true", &serde_json::Value::Null)
                .await?;
            Ok(true)
        }
    }
}

/// Waits until the membership is established.
async fn settle(engine: &Engine, manager: bool, until: Instant) -> Result<Member> {
    loop {
        let info = engine.info().await?;
        let reached = match (info.state.as_str(), manager) {
            ("active", false) => true,
            ("active", true) => info.control && reachable(engine, &info.node_id).await,
            ("pending", _) => false,
            (other, _) => {
                return Err(Error::unavailable(format!(
                    "the engine's swarm state is {other}: {}",
                    info.error
                )));
            }
        };
        if reached {
            return Ok(Member {
                node_id: info.node_id,
                manager: info.control,
            });
        }
        if Instant::now() >= until {
            return Err(Error::timeout(format!(
                "the engine's swarm state stayed {} {}",
                info.state, info.error
            )));
        }
        sleep(LOOK).await;
    }
}

/// A joined manager counts when raft reaches it: removing the old leader
/// earlier would lose the whole swarm.
async fn reachable(engine: &Engine, id: &str) -> bool {
    members::list(engine).await.is_ok_and(|nodes| {
        nodes
            .iter()
            .any(|n| n.id == id && n.reachability.as_deref() == Some("reachable"))
    })
}

/// The data that others need to join through this manager.
///
/// # Errors
/// Fails if the engine request fails.
pub(crate) async fn published(engine: &Engine, own: IpAddr) -> Result<Published> {
    let swarm = engine.get("/swarm").await?;
    Ok(Published {
        remote_addr: std::net::SocketAddr::new(own, PORT).to_string(),
        worker_token: text(&swarm["JoinTokens"]["Worker"]),
        manager_token: text(&swarm["JoinTokens"]["Manager"]),
        ca: None,
    })
}
