//! The agents inside simulated nodes. They send the same requests as real ones,
//! with the tokens of their seeds, to the same routes; only TLS is omitted.
//! Each process runs the agents of the containers that it started, and those of
//! processes that died.

mod agent;
mod agent_host;
mod channel;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use flow::Tasks;
use infra::ContainerSpec;
use infra::sim::Simulator;

use agent::Agent;
use agent_host::AgentHost;

/// Interval of heartbeats and of the search for agents of dead processes.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Runs agents until the tasks stop.
pub fn start(simulator: Arc<Simulator>, router: Router, tasks: &Tasks) {
    let agent_host = Arc::new(AgentHost {
        simulator: simulator.clone(),
        router,
        changed: Arc::default(),
    });
    // The agent host and its router refer to the simulator, so a strong reference
    // from the simulator to the host would be a cycle, which is never freed.
    let (inner, weak_host) = (tasks.clone(), Arc::downgrade(&agent_host));
    simulator.on_start(Arc::new(move |spec| {
        if let Some(agent_host) = weak_host.upgrade() {
            start_agent(&agent_host, spec, &inner);
        }
    }));
    let (inner, token) = (tasks.clone(), tasks.token());
    tasks.spawn("simulated agents", async move {
        let mut beat = tokio::time::interval(HEARTBEAT_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                _ = beat.tick() => {}
            }
            let orphans = async {
                agent_host.simulator.heartbeat().await?;
                agent_host.simulator.adopt().await
            };
            match orphans.await {
                Ok(specs) => specs
                    .iter()
                    .for_each(|spec| start_agent(&agent_host, spec, &inner)),
                Err(e) => tracing::warn!(error = %e, "simulated agents"),
            }
        }
    });
}

/// Starts the agent of a container, if the container is a cluster node.
fn start_agent(agent_host: &AgentHost, spec: &ContainerSpec, tasks: &Tasks) {
    let Some(agent) = Agent::of(agent_host, spec) else {
        return;
    };
    let token = tasks.token();
    tasks.spawn("simulated agent", async move {
        tokio::select! {
            biased;
            () = token.cancelled() => {}
            () = agent.run_agent() => {}
        }
    });
}
