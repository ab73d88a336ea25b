//! The agents inside of simulated nodes. They say what real ones say, with
//! the tokens of their seeds, to the same routes; only the TLS in between is
//! left out. Each process plays the agents of the containers that it started,
//! and those of processes that died.

mod agent;
mod channel;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use flow::Tasks;
use infra::ContainerSpec;
use infra::sim::Simulator;
use tokio::sync::Notify;

use agent::Agent;

/// How often a process says that it lives, and looks for orphans.
const BEAT: Duration = Duration::from_secs(1);

/// What the agents of one process share.
struct Stage {
    simulator: Arc<Simulator>,
    router: Router,
    /// By cluster: wakes its manager to look at the list of members.
    changed: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
}

impl Stage {
    fn members(&self, cluster: &str) -> Arc<Notify> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.len().is_power_of_two() {
            changed.retain(|_, notify| Arc::strong_count(notify) > 1);
        }
        changed.entry(cluster.to_owned()).or_default().clone()
    }
}

/// Plays agents until the tasks stop.
pub fn start(simulator: Arc<Simulator>, router: Router, tasks: &Tasks) {
    let stage = Arc::new(Stage {
        simulator: simulator.clone(),
        router,
        changed: Arc::default(),
    });
    // Both the stage and its router hold the simulator: held by it in turn,
    // they would never be dropped.
    let (inner, own) = (tasks.clone(), Arc::downgrade(&stage));
    simulator.on_start(Arc::new(move |spec| {
        if let Some(stage) = own.upgrade() {
            play(&stage, spec, &inner);
        }
    }));
    let (inner, token) = (tasks.clone(), tasks.token());
    tasks.spawn("simulated agents", async move {
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                _ = beat.tick() => {}
            }
            let orphans = async {
                stage.simulator.beat().await?;
                stage.simulator.adopt().await
            };
            match orphans.await {
                Ok(specs) => specs.iter().for_each(|spec| play(&stage, spec, &inner)),
                Err(e) => tracing::warn!(error = %e, "simulated agents"),
            }
        }
    });
}

fn play(stage: &Stage, spec: &ContainerSpec, tasks: &Tasks) {
    let Some(agent) = Agent::of(stage, spec) else {
        return;
    };
    let token = tasks.token();
    tasks.spawn("simulated agent", async move {
        tokio::select! {
            biased;
            () = token.cancelled() => {}
            () = agent.live() => {}
        }
    });
}
