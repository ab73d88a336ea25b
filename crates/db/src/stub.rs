//! Stand-in for the storage API that the trunk brings; goes with the merge.

use std::ops::{Deref, DerefMut};

use kernel::{Error, Result};

use crate::{Db, Lease, Tx, mark, values};

pub struct Fenced(Tx);

impl Fenced {
    pub async fn begin(db: &Db, lease: &Lease) -> Result<Self> {
        let mut tx = db.begin().await?;
        tx.fence(lease).await?;
        Ok(Self(tx))
    }

    pub async fn commit(self) -> Result<()> {
        self.0.commit().await
    }
}

impl Deref for Fenced {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.0
    }
}

impl DerefMut for Fenced {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.0
    }
}

pub struct Safeguards {
    pub sweep: bool,
}

impl Db {
    pub fn safeguards(&self) -> Safeguards {
        Safeguards { sweep: true }
    }
}

pub async fn mark_now(tx: &mut Tx, kind: &str, id: &str) -> Result<()> {
    mark(tx, kind, id).await
}

pub async fn mark_for(tx: &mut Tx, kind: &str, id: &str, _project: &str) -> Result<()> {
    mark(tx, kind, id).await
}

async fn seen(tx: &mut Tx, kind: &str, id: &str, generation: Option<i64>) -> Result<bool> {
    let row = tx
        .lock_opt(
            "SELECT generation, gone FROM seen_generation WHERE kind = ? AND id = ?",
            values![kind, id],
        )
        .await?;
    let Some(row) = row else {
        tx.execute(
            "INSERT INTO seen_generation (kind, id, generation, gone) VALUES (?, ?, ?, ?)",
            values![kind, id, generation.unwrap_or(0), false],
        )
        .await?;
        return Ok(false);
    };
    if let Some(g) = generation {
        if g < row.int("generation")? {
            return Err(Error::conflict(format!(
                "{kind} {id}: a newer call was answered"
            )));
        }
        tx.execute(
            "UPDATE seen_generation SET generation = ? WHERE kind = ? AND id = ?",
            values![g, kind, id],
        )
        .await?;
    }
    row.flag("gone")
}

pub async fn admit(tx: &mut Tx, kind: &str, id: &str, generation: Option<i64>) -> Result<()> {
    if seen(tx, kind, id, generation).await? {
        return Err(Error::conflict(format!("{kind} {id} was deleted")));
    }
    Ok(())
}

pub async fn bury(tx: &mut Tx, kind: &str, id: &str, generation: Option<i64>) -> Result<()> {
    seen(tx, kind, id, generation).await?;
    tx.execute(
        "UPDATE seen_generation SET gone = ? WHERE kind = ? AND id = ?",
        values![true, kind, id],
    )
    .await
    .map(|_| ())
}

#[macro_export]
macro_rules! write {
    ($db:expr, |$tx:ident| $body:expr) => {{
        let database: &$crate::Db = &$db;
        let outcome: ::kernel::Result<_> = async {
            let mut transaction = database.begin().await?;
            let value: ::kernel::Result<_> = {
                let $tx: &mut $crate::Tx = &mut transaction;
                async { $body }.await
            };
            let value = value?;
            transaction.commit().await?;
            Ok(value)
        }
        .await;
        outcome
    }};
}

#[macro_export]
macro_rules! fenced {
    ($db:expr, $lease:expr, |$tx:ident| $body:expr) => {{
        let database: &$crate::Db = &$db;
        let lease: &$crate::Lease = &$lease;
        let outcome: ::kernel::Result<_> = async {
            let mut transaction = $crate::Fenced::begin(database, lease).await?;
            let value: ::kernel::Result<_> = {
                let $tx: &mut $crate::Fenced = &mut transaction;
                async { $body }.await
            };
            let value = value?;
            transaction.commit().await?;
            Ok(value)
        }
        .await;
        outcome
    }};
}
