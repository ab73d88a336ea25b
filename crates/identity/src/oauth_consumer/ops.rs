//! Creating, changing and deleting consumers.

use db::Table as _;
use kernel::{Error, Kind, Result};

use super::wire::ConsumerFields;
use super::{Consumer, PURPOSE, table};
use crate::attributes::{Attributes, merge_extra};
use crate::ids::ConsumerId;
use crate::state::State;

/// 404 with Keystone's text, which does not contain the id.
fn not_found() -> Error {
    Error::new(Kind::NotFound, "Consumer not found")
}

pub(crate) async fn get(state: &State, id: &str) -> Result<Consumer> {
    let found = table::by_id(&state.db, id).await?;
    found.ok_or_else(not_found)
}

/// Creates a consumer; returns its secret, which no later answer contains.
pub(crate) async fn create(state: &State, fields: ConsumerFields) -> Result<(Consumer, String)> {
    let id = ConsumerId::random();
    let secret = kernel::ids::hex();
    let purpose = PURPOSE.replace("{}", &id);
    let mut consumer = Consumer {
        id,
        description: None,
        secret_sealed: state.sealer.seal(&purpose, secret.as_bytes())?,
        extra: Attributes::default(),
    };
    apply(&mut consumer, fields)?;
    db::write!(state.db, |tx| {
        // The secret cannot be read later.
        tx.write_receipt().await?;
        consumer.insert(tx).await
    })?;
    Ok((consumer, secret))
}

pub(crate) async fn update(state: &State, id: &str, fields: ConsumerFields) -> Result<Consumer> {
    db::write!(state.db, |tx| {
        let found = table::lock(tx, id).await?;
        let mut consumer = found.ok_or_else(not_found)?;
        apply(&mut consumer, fields.clone())?;
        table::update(tx, &consumer).await?;
        Ok(consumer)
    })
}

fn apply(consumer: &mut Consumer, fields: ConsumerFields) -> Result<()> {
    if let Some(text) = fields.description {
        consumer.description = text;
    }
    merge_extra(&mut consumer.extra.0, fields.extra)
}

pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if table::delete(tx, id).await? == 0 {
            return Err(not_found());
        }
        Ok(())
    })
}
