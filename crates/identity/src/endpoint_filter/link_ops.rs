//! Associating projects with endpoints and with groups of them.

use db::Tx;
use kernel::{Error, Kind, Result};

use super::{Linked, table};
use crate::errors::{as_conflict, missing};
use crate::state::State;
use crate::{catalog, project};

/// Associates a project with an endpoint or group.
pub(super) async fn create(state: &State, kind: Linked, id: &str, project_id: &str) -> Result<()> {
    let stored = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        check_linked(tx, kind, id).await?;
        // The lock delays a deletion of the project.
        let found = project::table::lock(tx, project_id).await?;
        if found.is_none_or(|p| p.is_domain) {
            return Err(missing("project", project_id));
        }
        table::insert_link(tx, kind, id, project_id).await
    });
    state.cache.clear();
    let noun = match kind {
        Linked::Endpoint => "project_endpoint",
        Linked::Group => "project_endpoint_group",
    };
    stored.map(|_| ()).map_err(|e| {
        let text = format!("Conflict occurred attempting to store {noun} - Duplicate entry.");
        as_conflict(e, text)
    })
}

async fn check_linked(tx: &mut Tx, kind: Linked, id: &str) -> Result<()> {
    let (is_there, noun) = match kind {
        Linked::Endpoint => (
            catalog::table::read_endpoint(tx, id).await?.is_some(),
            "endpoint",
        ),
        Linked::Group => (table::read(tx, id).await?.is_some(), "Endpoint Group"),
    };
    if is_there {
        return Ok(());
    }
    Err(missing(noun, id))
}

/// Removes an association.
pub(super) async fn delete(state: &State, kind: Linked, id: &str, project_id: &str) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if table::delete_link(tx, kind, id, project_id).await? == 0 {
            return Err(no_link(kind, id, project_id));
        }
        Ok(())
    });
    state.cache.clear();
    deleted
}

/// # Errors
/// `NotFound` if the association does not exist.
pub(super) async fn check(state: &State, kind: Linked, id: &str, project_id: &str) -> Result<()> {
    if table::has_link(&state.db, kind, id, project_id).await? {
        return Ok(());
    }
    Err(no_link(kind, id, project_id))
}

fn no_link(kind: Linked, id: &str, project_id: &str) -> Error {
    let text = match kind {
        Linked::Endpoint => format!("Endpoint {id} not found in project {project_id}"),
        Linked::Group => "Endpoint Group Project Association not found".to_owned(),
    };
    Error::new(Kind::NotFound, text)
}
