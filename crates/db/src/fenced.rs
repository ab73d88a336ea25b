//! Transactions of workers, fenced by a lease.

use std::ops::{Deref, DerefMut};

use kernel::{Error, Result};

use crate::fault::Point;
use crate::{Db, Lease, Tx};

/// A transaction of a worker. It can commit only while the lease is held,
/// because its first statement locks the row of the lease. Writes to columns of
/// workers require this type.
pub struct Fenced {
    tx: Tx,
    lease: Lease,
}

impl Fenced {
    /// Begins a transaction under a lease; use [`crate::fenced!`].
    ///
    /// # Errors
    /// `Conflict` if another worker has taken the key.
    pub async fn begin(db: &Db, lease: &Lease) -> Result<Self> {
        let mut tx = db.begin().await?;
        fence(&mut tx, lease).await?;
        Ok(Self {
            tx,
            lease: lease.clone(),
        })
    }

    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Like [`Tx::commit`].
    ///
    /// # Errors
    /// Same errors as [`Tx::commit`].
    pub async fn commit(self) -> Result<()> {
        let (db, lease) = (self.tx.db().clone(), self.lease);
        self.tx.commit().await?;
        db.point(Point::Fenced {
            kind: &lease.kind,
            id: &lease.id,
            epoch: lease.epoch,
        })
        .await
    }
}

/// Fences a transaction by a lease; fails with `Conflict` if another
/// worker has taken the key.
async fn fence(tx: &mut Tx, lease: &Lease) -> Result<()> {
    if !tx.db().safeguards().fence {
        return Ok(());
    }
    let held = tx
        .lock_opt(
            "SELECT epoch FROM flow_key WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?",
            crate::values![&lease.kind, &lease.id, &lease.owner, lease.epoch],
        )
        .await?;
    if held.is_some() {
        return Ok(());
    }
    lease.validity().end();
    Err(Error::conflict(format!(
        "The lease on {} {} was lost.",
        lease.kind, lease.id
    )))
}

impl Deref for Fenced {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for Fenced {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

/// Like [`crate::write!`], under a lease: `$tx` is a `&mut` [`Fenced`].
#[macro_export]
macro_rules! fenced {
    ($db:expr, $lease:expr, |$tx:ident| $body:expr) => {{
        let database: &$crate::Db = &$db;
        let lease: &$crate::Lease = &$lease;
        let mut attempts = $crate::Attempts::default();
        loop {
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
            match outcome {
                Err(e) if attempts.should_retry(database, &e).await => {}
                done => break done,
            }
        }
    }};
}
