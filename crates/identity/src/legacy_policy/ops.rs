//! Creating, changing and deleting policies.

use db::Table as _;
use kernel::Result;

use super::wire::PolicyFields;
use super::{LegacyPolicy, table};
use crate::attributes::{Attributes, merge_extra};
use crate::errors::missing;
use crate::ids::PolicyId;
use crate::state::State;

pub(crate) async fn get(state: &State, id: &str) -> Result<LegacyPolicy> {
    let found = table::by_id(&state.db, id).await?;
    found.ok_or_else(|| missing("policy", id))
}

pub(crate) async fn create(state: &State, fields: PolicyFields) -> Result<LegacyPolicy> {
    let mut policy = LegacyPolicy {
        id: PolicyId::random(),
        kind: String::new(),
        blob: String::new(),
        extra: Attributes::default(),
    };
    apply(&mut policy, fields)?;
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        policy.insert(tx).await
    })?;
    Ok(policy)
}

pub(crate) async fn update(state: &State, id: &str, fields: PolicyFields) -> Result<LegacyPolicy> {
    db::write!(state.db, |tx| {
        let found = table::lock(tx, id).await?;
        let mut policy = found.ok_or_else(|| missing("policy", id))?;
        apply(&mut policy, fields.clone())?;
        table::update(tx, &policy).await?;
        Ok(policy)
    })
}

fn apply(policy: &mut LegacyPolicy, fields: PolicyFields) -> Result<()> {
    if let Some(kind) = fields.kind {
        policy.kind = kind;
    }
    if let Some(blob) = fields.blob {
        policy.blob = blob;
    }
    merge_extra(&mut policy.extra.0, fields.extra)
}

/// Deletes a policy with its links.
pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        if table::delete(tx, id).await? == 0 {
            return Err(missing("policy", id));
        }
        Ok(())
    })
}
