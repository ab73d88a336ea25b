//! Records which process runs the agents of simulated nodes, and the members of
//! their clusters. The records are in the simulator's database, so that another
//! process continues the agents of a process that has died.

use std::time::Duration;

use db::{Tx, values};
use kernel::{Result, clock};

use super::simulator::Simulator;
use crate::ContainerSpec;

/// A process without a heartbeat for this time is considered dead.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);

/// A member of a simulated cluster, with the values of Docker Swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimMember {
    pub node: String,
    /// `manager`, `worker`.
    pub role: String,
    /// `active`, `drain`.
    pub availability: String,
    pub address: String,
    /// Whether its container runs.
    pub up: bool,
}

impl Simulator {
    /// Records a heartbeat of this process.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn heartbeat(&self) -> Result<()> {
        let until = clock::now() + HEARTBEAT_TIMEOUT;
        db::write!(self.db, |tx| {
            let n = tx
                .execute(
                    "UPDATE sim_process SET alive_until = ? WHERE id = ?",
                    values![until, &*self.process],
                )
                .await?;
            if n == 0 {
                tx.execute(
                    "INSERT INTO sim_process (id, alive_until) VALUES (?, ?)",
                    values![&*self.process, until],
                )
                .await?;
            }
            Ok(())
        })
    }

    /// Takes over running containers whose agents no process runs, and returns
    /// them.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn adopt(&self) -> Result<Vec<ContainerSpec>> {
        let now = clock::now();
        let orphans = "SELECT c.name, c.spec FROM sim_container c \
             LEFT JOIN sim_agent a ON a.container = c.name \
             LEFT JOIN sim_process p ON p.id = a.process AND p.alive_until >= ? \
             WHERE c.state = 'running' AND p.id IS NULL";
        if self.db.query_opt(orphans, values![now]).await?.is_none() {
            return Ok(Vec::new());
        }
        db::write!(self.db, |tx| {
            let rows = tx.query(orphans, values![now]).await?;
            let mut adopted = Vec::with_capacity(rows.len());
            for row in rows {
                let name = row.text("name")?;
                self.record_agent(tx, &name).await?;
                adopted.push(serde_json::from_str::<ContainerSpec>(&row.text("spec")?)?);
            }
            tx.execute(
                "DELETE FROM sim_process WHERE alive_until < ?",
                values![now],
            )
            .await?;
            Ok(adopted)
        })
    }

    /// Records that this process runs the agent of a container.
    pub(super) async fn record_agent(&self, tx: &mut Tx, container: &str) -> Result<()> {
        tx.execute(
            "DELETE FROM sim_agent WHERE container = ?",
            values![container],
        )
        .await?;
        tx.execute(
            "INSERT INTO sim_agent (container, process) VALUES (?, ?)",
            values![container, &*self.process],
        )
        .await
        .map(|_| ())
    }

    /// Records that the node in `container` is a member of its cluster.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn join(&self, cluster: &str, container: &str, member: &SimMember) -> Result<()> {
        db::write!(self.db, |tx| {
            tx.execute(
                "DELETE FROM sim_member WHERE cluster = ? AND node = ?",
                values![cluster, &member.node],
            )
            .await?;
            tx.execute(
                "INSERT INTO sim_member (cluster, node, container, role, availability, address) \
             VALUES (?, ?, ?, ?, ?, ?)",
                values![
                    cluster,
                    &member.node,
                    container,
                    &member.role,
                    &member.availability,
                    &member.address
                ],
            )
            .await?;
            Ok(())
        })
    }

    /// Sets the availability of a member: `drain` or `active`.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn set_availability(&self, cluster: &str, node: &str, word: &str) -> Result<()> {
        db::write!(self.db, |tx| {
            tx.execute(
                "UPDATE sim_member SET availability = ? WHERE cluster = ? AND node = ?",
                values![word, cluster, node],
            )
            .await?;
            Ok(())
        })
    }

    /// Removes a member from the list.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn leave(&self, cluster: &str, node: &str) -> Result<()> {
        db::write!(self.db, |tx| {
            tx.execute(
                "DELETE FROM sim_member WHERE cluster = ? AND node = ?",
                values![cluster, node],
            )
            .await?;
            Ok(())
        })
    }

    /// The members of a cluster, by name.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn members(&self, cluster: &str) -> Result<Vec<SimMember>> {
        self.db
            .query(
                "SELECT m.node, m.role, m.availability, m.address, c.state FROM sim_member m \
                 LEFT JOIN sim_container c ON c.name = m.container WHERE m.cluster = ? ORDER BY m.node",
                values![cluster],
            )
            .await?
            .iter()
            .map(|r| {
                Ok(SimMember {
                    node: r.text("node")?,
                    role: r.text("role")?,
                    availability: r.text("availability")?,
                    address: r.text("address")?,
                    up: r.opt_text("state")?.as_deref() == Some("running"),
                })
            })
            .collect()
    }
}
