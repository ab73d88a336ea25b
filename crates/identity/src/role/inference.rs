//! Which roles imply which. Cycles are permitted, as in Keystone; the effective roles
//! are computed without being caught in them.

use kernel::{Error, Kind, Result};

use super::{Role, table};
use crate::errors::{as_conflict, missing};
use crate::state::State;

/// Roles that no role may imply: Keystone's `prohibited_implied_role`.
const PROHIBITED: &[&str] = &["admin"];

/// # Errors
/// `NotFound` if a role does not imply the other directly.
pub(super) async fn check(state: &State, prior: &str, implied: &str) -> Result<()> {
    let (_, pairs) = table::list_with_implied(&state.db).await?;
    if pairs.iter().any(|(p, i)| *p == prior && *i == implied) {
        return Ok(());
    }
    Err(absent(prior, implied))
}

pub(super) async fn create(state: &State, prior: &str, implied: &str) -> Result<()> {
    let created = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        // Both are locked, by their ids, so that neither is deleted meanwhile.
        let mut ids = [prior, implied];
        ids.sort_unstable();
        let mut roles = Vec::<Role>::new();
        for id in ids {
            let role = table::lock(tx, id).await?;
            roles.push(role.ok_or_else(|| missing("role", id))?);
        }
        let is_global = |id: &str| roles.iter().any(|r| r.id == *id && r.domain_id.is_none());
        let is_prohibited = |r: &Role| r.id == *implied && PROHIBITED.contains(&r.name.as_str());
        // All tokens with a global role would depend on one domain.
        let depends_on_domain = is_global(prior) && !is_global(implied);
        if depends_on_domain || roles.iter().any(is_prohibited) {
            return Err(Error::forbidden(format!(
                "{implied} cannot be an implied roles."
            )));
        }
        table::imply(tx, prior, implied).await
    });
    state.cache.clear();
    created.map_err(|e| {
        let text = "Conflict occurred attempting to store implied_role - Duplicate entry.";
        as_conflict(e, text.to_owned())
    })
}

pub(super) async fn delete(state: &State, prior: &str, implied: &str) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if table::imply_no_longer(tx, prior, implied).await? == 0 {
            return Err(absent(prior, implied));
        }
        Ok(())
    });
    state.cache.clear();
    deleted
}

fn absent(prior: &str, implied: &str) -> Error {
    Error::new(Kind::NotFound, format!("{prior} does not imply {implied}."))
}
