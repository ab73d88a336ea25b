//! Rows of simulated containers.

use db::{Row, Tx, values};
use kernel::{Error, Result};

use crate::{ContainerSpec, ContainerState, ContainerView, LABEL};

/// Selects the columns that [`view`] reads.
pub(super) const SELECT_CONTAINER: &str =
    "SELECT name, id, state, exit_code, oom, spec FROM sim_container";

/// The parts of a container that effects need.
pub(super) struct Found {
    pub name: String,
    pub label: String,
    pub state: String,
    pub spec: ContainerSpec,
}

/// Inserts a container with its endpoints and volumes.
pub(super) async fn insert(tx: &mut Tx, spec: &ContainerSpec, id: &str) -> Result<()> {
    for end in &spec.endpoints {
        let known = tx
            .query_opt(
                "SELECT name FROM sim_network WHERE name = ?",
                values![&end.network],
            )
            .await?;
        if known.is_none() {
            return Err(Error::not_found("Network", &end.network));
        }
        tx.execute(
            "INSERT INTO sim_endpoint (container, network) VALUES (?, ?)",
            values![&spec.name, &end.network],
        )
        .await?;
    }
    let label = spec.labels.get(LABEL).cloned().unwrap_or_default();
    tx.execute(
        "INSERT INTO sim_container (name, id, label, state, exit_code, oom, spec) \
         VALUES (?, ?, ?, 'created', NULL, ?, ?)",
        values![&spec.name, id, label, false, serde_json::to_string(spec)?],
    )
    .await?;
    for volume in &spec.volumes {
        tx.execute(
            "INSERT INTO sim_volume (name, labels) SELECT ?, ? \
             WHERE NOT EXISTS (SELECT name FROM sim_volume WHERE name = ?)",
            values![
                &volume.name,
                serde_json::to_string(&spec.labels)?,
                &volume.name
            ],
        )
        .await?;
        tx.execute(
            "INSERT INTO sim_mount (container, volume) VALUES (?, ?)",
            values![&spec.name, &volume.name],
        )
        .await?;
    }
    Ok(())
}

/// The container with an id.
pub(super) async fn find(tx: &mut Tx, id: &str) -> Result<Option<Found>> {
    let row = tx
        .query_opt(
            "SELECT name, label, state, spec FROM sim_container WHERE id = ?",
            values![id],
        )
        .await?;
    row.as_ref().map(of_row).transpose()
}

/// Like [`find`], for a container that must exist.
///
/// # Errors
/// `NotFound` if no container has this id.
pub(super) async fn by_id(tx: &mut Tx, id: &str) -> Result<Found> {
    find(tx, id)
        .await?
        .ok_or_else(|| Error::not_found("Container", id))
}

/// Sets the state. A container that exits gets the exit code 0.
pub(super) async fn set_state(tx: &mut Tx, id: &str, state: &str) -> Result<()> {
    tx.execute(
        "UPDATE sim_container SET state = ?, exit_code = CASE WHEN ? = 'exited' THEN 0 ELSE NULL END \
         WHERE id = ?",
        values![state, state, id],
    )
    .await
    .map(|_| ())
}

pub(super) fn of_row(row: &Row) -> Result<Found> {
    Ok(Found {
        name: row.text("name")?,
        label: row.text("label")?,
        state: row.text("state")?,
        spec: serde_json::from_str(&row.text("spec")?)?,
    })
}

/// The label of a container.
pub(super) async fn label_of(tx: &mut Tx, name: &str) -> Result<String> {
    let row = tx
        .query_opt(
            "SELECT label FROM sim_container WHERE name = ?",
            values![name],
        )
        .await?;
    Ok(row
        .map(|r| r.text("label"))
        .transpose()?
        .unwrap_or_default())
}

/// The container as the port shows it.
pub(super) fn view(row: &Row) -> Result<ContainerView> {
    let spec: ContainerSpec = serde_json::from_str(&row.text("spec")?)?;
    let state = match row.text("state")?.as_str() {
        "created" => ContainerState::Created,
        "running" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        _ => ContainerState::Exited,
    };
    Ok(ContainerView {
        id: row.text("id")?,
        name: spec.name,
        state,
        exit_code: row.opt_int("exit_code")?,
        oom_killed: row.flag("oom")?,
        error: None,
        labels: spec.labels,
        addresses: spec
            .endpoints
            .into_iter()
            .filter_map(|e| Some((e.network, e.ipv4?)))
            .collect(),
        restarts: 0,
        isolation: Some(spec.isolation),
    })
}
