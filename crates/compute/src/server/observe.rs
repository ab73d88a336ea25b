//! A launched server follows its container.

use flow::{Lease, Next};
use kernel::{Result, clock};

use super::model::Srv;
use super::plan::{Verdict, judge};
use super::reconcile::Servers;
use super::table;
use crate::face::ServerStatus;

impl Servers {
    pub(super) async fn observe(&self, lease: &Lease, s: &Srv) -> Result<Next> {
        let view = match self.compute.host.inspect(&s.container()).await {
            Ok(Some(view)) => view,
            Ok(None) if s.status == ServerStatus::Error => return Ok(Next::Done),
            Ok(None) => {
                let text = format!(
                    "server {}: its container {} was removed from host {} by somebody else; delete the server",
                    s.name,
                    s.container(),
                    s.host.as_deref().unwrap_or("?")
                );
                return self.fail(lease, s, &text).await;
            }
            // Unknown is not gone. When the host is back the watch lists
            // everything and marks what changed.
            Err(e) if e.is_transient() => return Ok(Next::Done),
            Err(e) => return Err(e),
        };
        let age = clock::now_micros() - s.launched_at.unwrap_or(0);
        match judge(&view, Some(age)) {
            Verdict::Is(status) if status == s.status => Ok(Next::Done),
            // The fault stays until it runs again.
            Verdict::Is(ServerStatus::Shutoff) | Verdict::Failed(_)
                if s.status == ServerStatus::Error =>
            {
                Ok(Next::Done)
            }
            Verdict::Is(status) => {
                let mut tx = self.fenced(lease).await?;
                if table::set_status(&mut tx, &s.id, status).await? {
                    self.mark_owner(&mut tx, s).await?;
                }
                tx.commit().await?;
                Ok(Next::Done)
            }
            Verdict::Failed(why) => self.died(lease, s, &why).await,
        }
    }
}
