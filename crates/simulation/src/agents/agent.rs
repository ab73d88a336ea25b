//! The lifecycle of one simulated agent.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use infra::ContainerSpec;
use infra::sim::{SimMember, Simulator};
use kernel::{Error, Kind, Result, clock};
use nodewire::{
    AGENT_PROTOCOLS, CsrRequest, CsrResponse, Hello, Observed, ObservedNode, Published, Purpose,
    Ready, Received, Role, Seed, ServerFrame, Step, StepStatus, Steps, TaskKind, TaskResult,
};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::agent_host::AgentHost;
use super::channel::Channel;

/// Time to initialise or join a swarm, as measured.
const JOIN_TIME: Duration = Duration::from_millis(300);
/// Joins within this time are reported in one list.
const JOIN_BATCH_TIME: Duration = Duration::from_millis(200);
/// Interval of repeated reports without an event.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(500);

pub(super) struct Agent {
    simulator: Arc<Simulator>,
    channel: Channel,
    seed: Seed,
    container: String,
    address: String,
    changed: Arc<Notify>,
}

impl Agent {
    /// `None` if the container is not a cluster node.
    pub(super) fn of(agent_host: &AgentHost, spec: &ContainerSpec) -> Option<Self> {
        let file = spec.files.iter().find(|f| f.path == nodewire::SEED_PATH)?;
        let seed: Seed = serde_json::from_slice(&file.content).ok()?;
        Some(Self {
            simulator: agent_host.simulator.clone(),
            channel: Channel {
                router: agent_host.router.clone(),
                // Every process that runs this agent uses the same session.
                session: pki::fingerprint_sha256(format!("session {}", seed.token).as_bytes()),
            },
            container: spec.name.clone(),
            address: spec.endpoints.first()?.ipv4?.to_string(),
            changed: agent_host.members_changed(&seed.cluster),
            seed,
        })
    }

    /// Runs until the node leaves its cluster.
    pub(super) async fn run_agent(self) {
        loop {
            match self.boot().await {
                Ok(()) => break,
                Err(e) if e.kind == Kind::Unauthenticated => return,
                Err(e) => {
                    tracing::debug!(node = self.seed.node, error = %e, "simulated agent");
                    sleep(RETRY).await;
                }
            }
        }
        if self.seed.role == Role::Manager {
            tokio::select! {
                biased;
                () = self.run_tasks() => {}
                () = self.observe() => {}
            }
        }
    }

    async fn boot(&self) -> Result<()> {
        let members = self.simulator.members(&self.seed.cluster).await?;
        if members.iter().any(|m| m.node == self.seed.node) {
            return Ok(());
        }
        let hello = Hello {
            cluster: self.seed.cluster.clone(),
            node: self.seed.node.clone(),
            token: self.seed.token.clone(),
            session: self.channel.session.clone(),
            addresses: vec![self.address.clone()],
            boot: 1,
            protocols: AGENT_PROTOCOLS,
            software: "simulator".into(),
            peers: None,
        };
        let mut session = self.channel.session(&hello).await?;
        let Received::Frame(ServerFrame::Accepted(accepted)) = session.next().await? else {
            return Err(Error::internal(
                "a session that does not begin with its welcome",
            ));
        };
        let welcome = accepted.welcome;
        let manager = self.seed.role == Role::Manager;
        let mut steps = vec![
            done("prepare"),
            done("engine"),
            done("hello"),
            begun(if welcome.first_manager {
                "init"
            } else {
                "join"
            }),
        ];
        self.report(&mut steps).await?;
        if manager {
            self.certificate().await?;
            steps.push(done("certificate"));
        }
        if !welcome.first_manager {
            while !matches!(
                session.next().await?,
                Received::Frame(ServerFrame::Ticket(_))
            ) {}
        }
        sleep(JOIN_TIME).await;
        if manager {
            let published = Published {
                remote_addr: format!("{}:2377", self.address),
                worker_token: format!("SWMTKN-1-{}-worker", self.seed.cluster),
                manager_token: format!("SWMTKN-1-{}-manager", self.seed.cluster),
                ca: None,
            };
            self.channel.post::<Value>("published", &published).await?;
        }
        steps.push(done(if welcome.first_manager {
            "init"
        } else {
            "join"
        }));
        steps.push(done("ready"));
        self.report(&mut steps).await?;
        let ready = Ready {
            node_id: self.seed.node.clone(),
        };
        self.channel.post::<Value>("ready", &ready).await?;
        // The node joins last, because the agent of a node that has joined does not
        // repeat the reports.
        let member = SimMember {
            node: self.seed.node.clone(),
            role: role_word(self.seed.role).into(),
            availability: "active".into(),
            address: self.address.clone(),
            up: true,
        };
        self.simulator
            .join(&self.seed.cluster, &self.container, &member)
            .await?;
        self.changed.notify_one();
        Ok(())
    }

    async fn certificate(&self) -> Result<()> {
        let key = rcgen::KeyPair::generate().map_err(Error::internal)?;
        let csr = rcgen::CertificateParams::default()
            .serialize_request(&key)
            .and_then(|csr| csr.pem())
            .map_err(Error::internal)?;
        self.channel
            .post::<CsrResponse>(
                "csr",
                &CsrRequest {
                    csr,
                    purpose: Purpose::Node,
                },
            )
            .await
            .map(|_| ())
    }

    async fn report(&self, steps: &mut Vec<Step>) -> Result<()> {
        let steps = Steps {
            steps: std::mem::take(steps),
        };
        self.channel
            .post::<Value>("steps", &steps)
            .await
            .map(|_| ())
    }

    /// Reports the state of the cluster whenever it changed.
    async fn observe(&self) {
        let mut last_reported = None;
        loop {
            match self.list().await {
                Ok(now) if last_reported.as_ref() == Some(&now) => {}
                Ok(now) => match self.channel.post::<Value>("observed", &now).await {
                    Ok(_) => last_reported = Some(now),
                    Err(e) if e.kind == Kind::Unauthenticated => return,
                    Err(_) => {}
                },
                Err(e) => tracing::debug!(error = %e, "simulated members"),
            }
            let _ = tokio::time::timeout(REPORT_INTERVAL, self.changed.notified()).await;
            sleep(JOIN_BATCH_TIME).await;
        }
    }

    async fn list(&self) -> Result<Observed> {
        let members = self.simulator.members(&self.seed.cluster).await?;
        let first = members.iter().position(|m| m.role == "manager");
        let nodes = members
            .into_iter()
            .enumerate()
            .map(|(at, m)| ObservedNode {
                id: m.node.clone(),
                hostname: m.node,
                reachability: (m.role == "manager").then(|| "reachable".into()),
                leader: Some(at) == first,
                role: m.role,
                availability: m.availability,
                state: if m.up { "ready" } else { "down" }.into(),
                addr: m.address,
            })
            .collect();
        Ok(Observed {
            nodes,
            ipvs: true,
            version: "simulator".into(),
            problem: None,
            addons: Vec::new(),
        })
    }

    /// Runs tasks until the server does not know the node any more.
    async fn run_tasks(&self) {
        loop {
            match self.tasks().await {
                Err(e) if e.kind == Kind::Unauthenticated => return,
                Err(_) => sleep(RETRY).await,
                Ok(never) => match never {},
            }
        }
    }

    /// Runs tasks until their stream ends.
    async fn tasks(&self) -> Result<Infallible> {
        let mut stream = self.channel.tasks().await?;
        loop {
            let (id, result) = match stream.next().await? {
                Received::Frame(ServerFrame::Task(task)) => {
                    (task.id, self.perform(&task.kind).await)
                }
                Received::UnsupportedTask { id, why } => (id, Err(Error::internal(why))),
                _ => continue,
            };
            let result = TaskResult {
                ok: result.is_ok(),
                unsupported: false,
                log: result.err().map(|e| e.message).unwrap_or_default(),
            };
            self.channel
                .post::<Value>(&format!("tasks/{id}"), &result)
                .await?;
            self.changed.notify_one();
        }
    }

    async fn perform(&self, task: &TaskKind) -> Result<()> {
        let cluster = &self.seed.cluster;
        match task {
            TaskKind::Drain { node, .. } => {
                self.simulator
                    .set_availability(cluster, node, "drain")
                    .await
            }
            TaskKind::Activate { node } => {
                self.simulator
                    .set_availability(cluster, node, "active")
                    .await
            }
            TaskKind::Remove { node } => self.simulator.leave(cluster, node).await,
            TaskKind::ReloadCa => self.certificate().await,
            TaskKind::Promote { .. }
            | TaskKind::Demote { .. }
            | TaskKind::RotateTokens
            | TaskKind::AddMember { .. }
            | TaskKind::PromoteMember { .. } => Ok(()),
            TaskKind::Unknown => Err(Error::internal("unknown kind of task")),
        }
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Manager => "manager",
        Role::Worker => "worker",
        Role::Balancer => "balancer",
    }
}

fn begun(name: &str) -> Step {
    step(name, StepStatus::Start)
}

fn done(name: &str) -> Step {
    step(name, StepStatus::Ok)
}

fn step(name: &str, status: StepStatus) -> Step {
    Step {
        name: name.into(),
        status,
        at_micros: clock::now().as_micros(),
        log: String::new(),
    }
}
