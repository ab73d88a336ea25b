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

/// The port on which managers accept other nodes.
const PORT: u16 = 2377;
const LISTEN: &str = "0.0.0.0:2377";
/// Time limit of a step before the node gives up.
const STEP_TIMEOUT: Duration = Duration::from_secs(180);
/// Interval of engine state checks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The membership of this node in the swarm.
pub(crate) struct Membership {
    /// The id of the node in the swarm.
    pub node_id: String,
    pub manager: bool,
}

/// The membership of this node, if its engine is part of a swarm.
///
/// # Errors
/// Fails if the engine request fails.
pub(crate) async fn membership(engine: &Engine) -> Result<Option<Membership>> {
    let info = engine.info().await?;
    Ok((info.state == "active").then_some(Membership {
        node_id: info.node_id,
        manager: info.control,
    }))
}

/// Initialises or joins the swarm. Returns when this node is part of the swarm and,
/// if it is a manager, when the other managers reach it.
///
/// # Errors
/// The last error, after three minutes of attempts.
pub(crate) async fn init_or_join(
    engine: &Engine,
    channel: &Channel,
    reporter: &Reporter,
    welcome: &Welcome,
    own: IpAddr,
) -> Result<Membership> {
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
                let joined = match attempt {
                    Ok(()) => wait_for_membership(engine, manager, until).await,
                    Err(e) => Err(e),
                };
                match joined {
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
    if !is_outside(engine).await? {
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
    if !is_outside(engine).await? {
        return Ok(());
    }
    let ticket = wait_for_ticket(channel).await?;
    let body = json!({
        "ListenAddr": LISTEN,
        "AdvertiseAddr": own.to_string(),
        "RemoteAddrs": ticket.remote_addrs,
        "JoinToken": ticket.token,
    });
    engine.post("/swarm/join", &body).await.map(|_| ())
}

/// Waits until a manager has published the secrets for joining.
async fn wait_for_ticket(channel: &Channel) -> Result<JoinTicket> {
    let late = |_| Error::timeout("no manager published a swarm to join within three minutes");
    timeout(STEP_TIMEOUT, channel.ticket())
        .await
        .map_err(late)?
}

/// Whether the engine is neither in a swarm nor joining one. If an attempt has
/// failed, makes the engine leave that swarm.
async fn is_outside(engine: &Engine) -> Result<bool> {
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
async fn wait_for_membership(engine: &Engine, manager: bool, until: Instant) -> Result<Membership> {
    loop {
        let info = engine.info().await?;
        let reached = match (info.state.as_str(), manager) {
            ("active", false) => true,
            ("active", true) => info.control && is_reachable(engine, &info.node_id).await,
            ("pending", _) => false,
            (other, _) => {
                return Err(Error::unavailable(format!(
                    "the engine's swarm state is {other}: {}",
                    info.error
                )));
            }
        };
        if reached {
            return Ok(Membership {
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
        sleep(POLL_INTERVAL).await;
    }
}

/// Whether the other managers reach this one through raft. Before that, the swarm
/// would be lost if its old leader were removed.
async fn is_reachable(engine: &Engine, id: &str) -> bool {
    members::list(engine).await.is_ok_and(|nodes| {
        nodes
            .iter()
            .any(|n| n.id == id && n.reachability.as_deref() == Some("reachable"))
    })
}

/// The address and the tokens with which other nodes join through this manager.
///
/// # Errors
/// Fails if the engine request fails.
pub(crate) async fn join_secrets(engine: &Engine, own: IpAddr) -> Result<Published> {
    let swarm = engine.get("/swarm").await?;
    Ok(Published {
        remote_addr: std::net::SocketAddr::new(own, PORT).to_string(),
        worker_token: text(&swarm["JoinTokens"]["Worker"]),
        manager_token: text(&swarm["JoinTokens"]["Manager"]),
        ca: None,
    })
}
