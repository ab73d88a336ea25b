//! Waking by event: in process by a watch channel, across servers by
//! LISTEN/NOTIFY on PostgreSQL. MariaDB is woken by the slow scan only.

use std::sync::Arc;

use kernel::{Error, Result};
use sqlx::postgres::PgListener;
use tokio::sync::watch;

use crate::Db;
use crate::connect::Pools;

/// A counter that moves whenever a commit made keys dirty or wrote events.
#[derive(Clone)]
pub struct Wakes(Arc<watch::Sender<u64>>);

impl Default for Wakes {
    fn default() -> Self {
        Self(Arc::new(watch::channel(0).0))
    }
}

impl Wakes {
    /// Moves the counter: everybody who waits looks again.
    pub fn wake(&self) {
        self.0.send_modify(|n| *n += 1);
    }

    /// A receiver whose `changed()` resolves at the next wake.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl Db {
    /// On PostgreSQL, forwards notifications of all servers to [`Wakes`]. The
    /// task ends with the last handle to the database.
    pub(crate) async fn listen(&self) -> Result<()> {
        let Pools::Postgres(pool) = &self.pools else {
            return Ok(());
        };
        let mut listener = PgListener::connect_with(pool)
            .await
            .map_err(Error::internal)?;
        listener.listen("jeroboam").await.map_err(Error::internal)?;
        let weak = Arc::downgrade(&self.wakes.0);
        tokio::spawn(async move {
            // `recv` reconnects by itself; what was missed is found by the scan.
            loop {
                if listener.recv().await.is_err() {
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
                let Some(sender) = weak.upgrade() else { return };
                sender.send_modify(|n| *n += 1);
            }
        });
        Ok(())
    }
}
