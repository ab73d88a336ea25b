//! Takes everything of a server away, then its row.

use std::time::Duration;

use flow::{Lease, Next};
use kernel::{Kind, Result};

use super::model::Srv;
use super::reconcile::{RETRY, Servers};
use super::table;
use crate::{host, ledger};

/// Where the engine is still busy removing it.
const BUSY: Duration = Duration::from_millis(200);

impl Servers {
    pub(super) async fn remove(&self, lease: &Lease, s: &Srv) -> Result<Next> {
        // A server that was never placed has nothing on any host.
        if s.host.is_some() {
            let done = self.compute.host.remove(&s.container(), &s.volumes()).await;
            if let Err(e) = done {
                let text = format!(
                    "the removal of container {} waits: {}",
                    s.container(),
                    e.message
                );
                self.say(lease, s, &text, None).await?;
                return Ok(Next::After(if e.kind == Kind::Conflict {
                    BUSY
                } else {
                    RETRY
                }));
            }
        }
        let (ctx, ports) = (Self::ctx(s), &self.compute.network.ports);
        for nic in &s.nics {
            match nic.network_id {
                Some(_) => ports.delete(&ctx, &nic.port_id).await?,
                None => ports.unbind(&ctx, &nic.port_id, &s.id).await?,
            }
        }
        let mut tx = self.fenced(lease).await?;
        ledger::table::drop_of(&mut tx, &s.id).await?;
        if let Some(name) = &s.host {
            host::release(&mut tx, name, s.ask).await?;
        }
        table::drop_row(&mut tx, &s.id).await?;
        self.mark_owner(&mut tx, s).await?;
        tx.commit().await?;
        Ok(Next::Gone)
    }
}
