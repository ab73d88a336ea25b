//! Tasks of a Swarm manager: drain, removal, promotion, new certificates and
//! tokens. Drains run in parallel, other tasks one at a time. Each task must be
//! repeatable.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kernel::{Error, Kind, Result};
use nodewire::{ObservedNode, Task, TaskKind};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::channel::{Channel, RunningTask};
use crate::engine::{Engine, text};
use crate::http::query;
use crate::report::{log_line, plain};
use crate::retry::Backoff;
use crate::{identity, members, swarm, tlsproxy};

/// Default deadline of a task, seconds.
const DEADLINE: u32 = 120;
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The context of the tasks of a manager.
pub(crate) struct ManagerTasks<'a> {
    pub engine: &'a Engine,
    pub channel: &'a Channel,
    pub certificates: &'a tlsproxy::Certificates,
    /// Host name and address of this node.
    pub node: &'a str,
    pub own: IpAddr,
    pub identity: &'a Path,
}

impl ManagerTasks<'_> {
    /// Takes tasks until dropped.
    pub(crate) async fn run(&self) {
        let (sender, tasks) = mpsc::unbounded_channel();
        tokio::join!(self.channel.take_tasks(sender), self.work(tasks));
    }

    /// Drains run in parallel, because each waits for its containers to stop;
    /// other tasks run after them.
    async fn work(&self, mut tasks: mpsc::UnboundedReceiver<RunningTask>) {
        let mut drains = FuturesUnordered::new();
        loop {
            let received = tokio::select! {
                received = tasks.recv() => received,
                Some(()) = drains.next() => continue,
            };
            let Some(running) = received else {
                return;
            };
            if matches!(running.task.kind, TaskKind::Drain { .. }) {
                drains.push(self.run_task(running));
            } else {
                while drains.next().await.is_some() {}
                self.run_task(running).await;
            }
        }
    }

    /// Returns when the server has the result, or has cancelled the task.
    async fn run_task(&self, running: RunningTask) {
        let task = &running.task;
        log_line(format_args!("task {}: {:?}", task.id, task.kind));
        let limit = Duration::from_secs(task.deadline.unwrap_or(DEADLINE).into());
        let until = Instant::now() + limit;
        tokio::select! {
            biased;
            () = running.cancelled() => {
                log_line(format_args!("task {}: cancelled", task.id));
                self.channel.forget(&task.id);
            }
            done = self.perform(task, until) => self.channel.answer(&task.id, done).await,
        }
    }

    async fn perform(&self, task: &Task, until: Instant) -> Result<String> {
        match &task.kind {
            TaskKind::Drain { node, .. } => self.drain(&self.current(node).await?, until).await,
            TaskKind::Activate { node } => {
                let id = self.current(node).await?.id;
                self.change(&id, "Availability", "active", until).await?;
                Ok(String::new())
            }
            TaskKind::Remove { node } => self.remove(node, until).await,
            TaskKind::Promote { node } => self.promote(&self.current(node).await?, until).await,
            TaskKind::Demote { node } => self.demote(&self.current(node).await?, until).await,
            TaskKind::ReloadCa => self.reload().await,
            TaskKind::RotateTokens => self.rotate_tokens().await,
            TaskKind::AddMember { .. } | TaskKind::PromoteMember { .. } => Err(Error::new(
                Kind::NotSupported { status: 501 },
                "a swarm has no such task",
            )),
            TaskKind::Unknown => Err(Error::new(
                Kind::NotSupported { status: 501 },
                "this agent does not know that kind of task; rebuild the node image",
            )),
        }
    }

    /// The current entry of a host name. A replaced node is listed twice, so an
    /// entry that is ready is preferred.
    async fn current(&self, hostname: &str) -> Result<ObservedNode> {
        let mut named = self.named(hostname).await?;
        named.sort_by_key(|n| n.state != "ready");
        named
            .into_iter()
            .next()
            .ok_or_else(|| Error::not_found("Swarm node", hostname))
    }

    async fn named(&self, hostname: &str) -> Result<Vec<ObservedNode>> {
        let mut nodes = members::list(self.engine).await?;
        nodes.retain(|n| n.hostname == hostname);
        Ok(nodes)
    }

    async fn drain(&self, node: &ObservedNode, until: Instant) -> Result<String> {
        self.change(&node.id, "Availability", "drain", until)
            .await?;
        loop {
            let now = self.engine.get(&format!("/nodes/{}", node.id)).await?;
            // A node that is down runs nothing that could be waited for.
            if now["Status"]["State"] != "ready" {
                return Ok(format!("{} is {}", node.hostname, now["Status"]["State"]));
            }
            let left = self.running_on(&node.id).await?;
            if left.is_empty() {
                return Ok(String::new());
            }
            if Instant::now() >= until {
                return Err(Error::timeout(format!(
                    "tasks still run on {}: {}",
                    node.hostname,
                    left.join(", ")
                )));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn running_on(&self, id: &str) -> Result<Vec<String>> {
        let filter = query(&json!({ "node": [id] }).to_string());
        let tasks = self.engine.get(&format!("/tasks?filters={filter}")).await?;
        const OVER: [&str; 6] = [
            "complete", "shutdown", "failed", "rejected", "remove", "orphaned",
        ];
        Ok(tasks
            .as_array()
            .into_iter()
            .flatten()
            .filter(|t| !OVER.contains(&t["Status"]["State"].as_str().unwrap_or("")))
            .map(|t| text(&t["ID"]))
            .collect())
    }

    async fn remove(&self, hostname: &str, until: Instant) -> Result<String> {
        let mut log = Vec::new();
        for node in self.named(hostname).await? {
            if node.role == "manager" {
                self.demote(&node, until).await?;
            }
            // Tasks that do not stop in time are stopped by the removal.
            if let Err(e) = self.drain(&node, until).await {
                log.push(plain(&e));
            }
            match self
                .engine
                .delete(&format!("/nodes/{}?force=true", node.id))
                .await
            {
                Err(e) if !e.is_not_found() => return Err(e),
                _ => log.push(format!("removed {}", node.id)),
            }
        }
        Ok(log.join("; "))
    }

    async fn promote(&self, node: &ObservedNode, until: Instant) -> Result<String> {
        self.change(&node.id, "Role", "manager", until).await?;
        self.wait_for(&node.id, "it is not reachable in the raft", until, |n| {
            n.reachability.as_deref() == Some("reachable")
        })
        .await
    }

    async fn demote(&self, node: &ObservedNode, until: Instant) -> Result<String> {
        if node.hostname == self.node {
            return Err(Error::conflict(format!(
                "{} cannot demote itself; ask another manager",
                node.hostname
            )));
        }
        self.change(&node.id, "Role", "worker", until).await?;
        self.wait_for(&node.id, "it is still in the raft", until, |n| {
            n.reachability.is_none()
        })
        .await
    }

    async fn wait_for(
        &self,
        id: &str,
        reason: &str,
        until: Instant,
        condition: impl Fn(&ObservedNode) -> bool,
    ) -> Result<String> {
        loop {
            let nodes = members::list(self.engine).await;
            let node = nodes
                .ok()
                .and_then(|all| all.into_iter().find(|n| n.id == id));
            if node.as_ref().is_some_and(&condition) {
                return Ok(String::new());
            }
            if Instant::now() >= until {
                return Err(Error::timeout(format!("gave up on node {id}: {reason}")));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Sets one field of the specification of a node. If another manager writes
    /// between the read and the write, the engine reports that the version is out
    /// of sequence, and the update is repeated.
    async fn change(&self, id: &str, field: &str, value: &str, until: Instant) -> Result<()> {
        let mut backoff = Backoff::new(50, 1_000);
        loop {
            let node = self.engine.get(&format!("/nodes/{id}")).await?;
            let Some(spec) = changed(&node["Spec"], field, value)? else {
                return Ok(());
            };
            let version = &node["Version"]["Index"];
            let path = format!("/nodes/{id}/update?version={version}");
            match self.engine.post(&path, &spec).await {
                Ok(_) => return Ok(()),
                Err(e) if e.is_transient() && Instant::now() < until => backoff.pause().await,
                Err(e) => return Err(e),
            }
        }
    }

    async fn reload(&self) -> Result<String> {
        let renewed = identity::obtain(self.channel, self.node, self.identity).await?;
        tlsproxy::rotate(self.certificates, tlsproxy::config(&renewed)?);
        Ok(String::new())
    }

    async fn rotate_tokens(&self) -> Result<String> {
        let swarm = self.engine.get("/swarm").await?;
        let version = &swarm["Version"]["Index"];
        let path = format!(
            "/swarm/update?version={version}&rotateWorkerToken=true&rotateManagerToken=true"
        );
        self.engine.post(&path, &swarm["Spec"]).await?;
        let secrets = swarm::join_secrets(self.engine, self.own).await?;
        self.channel.post::<Value>("published", &secrets).await?;
        Ok(String::new())
    }
}

/// A copy of the specification with a changed field; `None` if the field has that
/// value already.
///
/// # Errors
/// Unavailable: the engine sent no specification.
fn changed(spec: &Value, field: &str, value: &str) -> Result<Option<Value>> {
    let Some(fields) = spec.as_object() else {
        return Err(Error::unavailable("the engine sent a node without a Spec"));
    };
    if fields.get(field).is_some_and(|now| now == value) {
        return Ok(None);
    }
    let mut fields = fields.clone();
    fields.insert(field.to_owned(), json!(value));
    Ok(Some(Value::Object(fields)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_of_a_specification_is_changed() {
        let spec = json!({ "Labels": {}, "Role": "worker" });
        let promoted = changed(&spec, "Role", "manager").unwrap();
        assert_eq!(promoted, Some(json!({ "Labels": {}, "Role": "manager" })));
        assert_eq!(changed(&spec, "Role", "worker").unwrap(), None);
        let added = changed(&spec, "Availability", "drain").unwrap().unwrap();
        assert_eq!(added["Availability"], "drain");
        for odd in [Value::Null, json!([]), json!("Spec")] {
            assert!(changed(&odd, "Role", "manager").unwrap_err().is_transient());
        }
    }
}
