//! What the simulated host reserves for containers in user namespaces: their ranges of
//! user ids, without the numbers.

use std::time::Duration;

use db::{Tx, values};
use kernel::Result;

use super::container_table::of_row;
use super::fault_injector::CallKind;
use super::simulator::Simulator;
use crate::{Actor, ContainerSpec, Isolation, LABEL_INSTALLATION, unusable};

/// Checks that a container has the range that it needs.
///
/// # Errors
/// [`crate::is_unusable`] if it was released, as the runtime refuses such a start.
pub(super) async fn check_reserved(tx: &mut Tx, spec: &ContainerSpec) -> Result<()> {
    if spec.isolation == Isolation::HostRoot {
        return Ok(());
    }
    let sql = "SELECT container FROM sim_reservation WHERE container = ?";
    match tx.query_opt(sql, values![&spec.name]).await? {
        Some(_) => Ok(()),
        None => Err(unusable(format!(
            "no range of user ids is granted to the container {}",
            spec.name
        ))),
    }
}

impl Simulator {
    /// Reserves a range for the container, unless it has one or needs none. This is a
    /// step before the creation: its process may end in between, or the creation may
    /// fail.
    pub(super) async fn reserve(&self, spec: &ContainerSpec) -> Result<()> {
        if spec.isolation == Isolation::HostRoot {
            return Ok(());
        }
        let installation = spec.labels.get(LABEL_INSTALLATION).cloned();
        let container = spec.name.clone();
        self.perform(
            // A process writes its grant itself, so that no answer can be lost.
            (CallKind::Reserve, &spec.name, None),
            None,
            Duration::ZERO,
            move |engine| async move {
                db::write!(engine.db, |tx| {
                    tx.execute(
                        "INSERT INTO sim_reservation (container, installation) SELECT ?, ? \
                         WHERE NOT EXISTS (SELECT container FROM sim_reservation WHERE container = ?)",
                        values![&container, installation.clone().unwrap_or_default(), &container],
                    )
                    .await
                    .map(|_| ())
                })
            },
        )
        .await
    }

    pub(super) async fn reserved_by(&self, installation: &str) -> Result<Vec<String>> {
        self.apply_read_faults(CallKind::List, "").await?;
        let rows = self
            .db
            .query(
                "SELECT container FROM sim_reservation WHERE installation = ? ORDER BY container",
                values![installation],
            )
            .await?;
        rows.iter().map(|r| r.text("container")).collect()
    }

    /// The names of all containers with a reservation.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn reserved(&self) -> Result<Vec<String>> {
        let sql = "SELECT container FROM sim_reservation ORDER BY container";
        let rows = self.db.query(sql, vec![]).await?;
        rows.iter().map(|r| r.text("container")).collect()
    }

    /// The names of all containers in user namespaces.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn isolated(&self) -> Result<Vec<String>> {
        let sql = "SELECT name, label, state, spec FROM sim_container ORDER BY name";
        let mut names = Vec::new();
        for row in &self.db.query(sql, vec![]).await? {
            let found = of_row(row)?;
            if found.spec.isolation == Isolation::UserNamespace {
                names.push(found.name);
            }
        }
        Ok(names)
    }

    pub(super) async fn release_reservation(&self, name: &str) -> Result<()> {
        let container = name.to_owned();
        self.perform(
            // Any process may repeat it, whatever its epoch.
            (CallKind::Release, name, Some(Actor::Sweep)),
            None,
            Duration::ZERO,
            move |engine| async move {
                db::write!(engine.db, |tx| {
                    tx.execute(
                        "DELETE FROM sim_reservation WHERE container = ? \
                         AND NOT EXISTS (SELECT name FROM sim_container WHERE name = ?)",
                        values![&container, &container],
                    )
                    .await
                    .map(|_| ())
                })
            },
        )
        .await
    }
}
