//! Updates the status of a launched server from its container.

use flow::{Lease, Next};
use infra::backoff;
use kernel::{Error, Result, clock, ids};

use super::model::ServerRow;
use super::plan::{Assessment, assess};
use super::table;
use super::worker::{RETRY, Servers};
use crate::api::ServerStatus;

impl Servers {
    pub(super) async fn observe(&self, lease: &Lease, s: &ServerRow) -> Result<Next> {
        let seen = match self.compute.confirm_engine().await {
            Ok(()) => self.compute.host.inspect(&s.container()).await,
            Err(e) => Err(e),
        };
        let view = match seen {
            Ok(view) => view.filter(|v| s.is_of_build(&v.labels)),
            // An unknown state is neither absent nor running: check again until
            // it is known.
            Err(e) if e.is_transient() => return self.handle_unreachable_host(lease, s, &e).await,
            Err(e) => return Err(e),
        };
        let Some(view) = view else {
            if s.status == ServerStatus::Error {
                return self.clear_unreachable(lease, s).await;
            }
            let text = format!(
                "server {}: its container {} was removed from host {} by another program; delete the server",
                s.name,
                s.container(),
                s.host.as_deref().unwrap_or("?")
            );
            return self.fail(lease, s, &text).await;
        };
        let age = clock::now().since(s.launched_at.unwrap_or_default());
        match assess(&view, Some(age)) {
            Assessment::Is(status) if status == s.status => self.clear_unreachable(lease, s).await,
            // The fault is kept until the container runs again.
            Assessment::Is(ServerStatus::Shutoff) | Assessment::Failed(_)
                if s.status == ServerStatus::Error =>
            {
                self.clear_unreachable(lease, s).await
            }
            Assessment::Is(status) => {
                db::fenced!(self.compute.db, lease, |tx| {
                    if table::set_status(tx, &s.id, status).await? {
                        self.mark_owner(tx, s).await?;
                    }
                    Ok(())
                })?;
                Ok(Next::Done)
            }
            Assessment::Failed(why) => self.handle_startup_exit(lease, s, &view, &why).await,
        }
    }

    async fn handle_unreachable_host(
        &self,
        lease: &Lease,
        s: &ServerRow,
        e: &Error,
    ) -> Result<Next> {
        let now = clock::now();
        let since = s.trouble_since.unwrap_or(now);
        let text = format!("the state of the server is not known: {}", e.message);
        self.report(lease, s, &text, Some(since)).await?;
        Ok(Next::After(backoff(now.since(since), RETRY, ids::jitter())))
    }

    /// Nothing has changed; clears the mark of an unreachable host.
    async fn clear_unreachable(&self, lease: &Lease, s: &ServerRow) -> Result<Next> {
        if s.trouble_since.is_some() {
            db::fenced!(self.compute.db, lease, |tx| {
                table::set_progress(tx, &s.id, None, None).await
            })?;
        }
        Ok(Next::Done)
    }
}
