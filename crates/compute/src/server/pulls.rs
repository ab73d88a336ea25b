//! Image pulls, which take minutes. They run outside of reconciler runs, and
//! one pull serves all servers that wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use db::Db;
use flow::Tasks;
use infra::ContainerHost;
use kernel::{Error, Kind, Result};

use super::model::KIND;
use crate::ServerId;

/// The image pulls of one process; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Pulls {
    state: Arc<Mutex<State>>,
    tasks: Arc<OnceLock<Tasks>>,
}

#[derive(Default)]
struct State {
    /// Waiting servers by image.
    running: BTreeMap<String, BTreeSet<ServerId>>,
    /// Error of the pull that a server waited for, by server.
    failed: BTreeMap<ServerId, Error>,
}

/// State of the image of a server.
pub(super) enum Pull {
    /// The server is marked when the pull has ended.
    Running,
    /// There was no task registry, so the pull has already ended.
    Ended,
}

impl Pulls {
    pub(crate) fn run_in(&self, tasks: &Tasks) {
        let _ = self.tasks.set(tasks.clone());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts pulling an image for a server, or returns the error of an earlier
    /// pull. The task holds no lease: its result is the same for all waiting
    /// servers, and repeating a pull is harmless.
    pub(super) async fn begin(
        &self,
        db: &Db,
        host: &Arc<dyn ContainerHost>,
        image: &str,
        server_id: &ServerId,
    ) -> Result<Pull> {
        {
            let mut state = self.state();
            if let Some(e) = state.failed.remove(server_id) {
                return Err(e);
            }
            if let Some(waiting) = state.running.get_mut(image) {
                waiting.insert(server_id.clone());
                return Ok(Pull::Running);
            }
            if self.tasks.get().is_some() {
                let waiting = BTreeSet::from([server_id.clone()]);
                state.running.insert(image.to_owned(), waiting);
            }
        }
        let Some(tasks) = self.tasks.get() else {
            return pull(host.as_ref(), image).await.map(|()| Pull::Ended);
        };
        let (pulls, db, host) = (self.clone(), db.clone(), host.clone());
        let (image, token) = (image.to_owned(), tasks.token());
        tasks.spawn("pull image", async move {
            let done = tokio::select! {
                biased;
                () = token.cancelled() => return,
                done = pull(host.as_ref(), &image) => done,
            };
            let waiting = pulls.end(&image, done);
            let marked = db::write!(db, |tx| {
                for id in &waiting {
                    db::mark(tx, KIND, id).await?;
                }
                Ok(())
            });
            if let Err(e) = marked {
                tracing::warn!(image, error = %e, "servers that wait for an image were not notified");
            }
        });
        Ok(Pull::Running)
    }

    fn end(&self, image: &str, done: Result<()>) -> BTreeSet<ServerId> {
        let mut state = self.state();
        let waiting = state.running.remove(image).unwrap_or_default();
        if let Err(e) = done {
            tracing::warn!(image, error = %e, "an image was not pulled");
            let failed = waiting.iter().map(|id| (id.clone(), e.clone()));
            state.failed.extend(failed);
        }
        waiting
    }
}

async fn pull(host: &dyn ContainerHost, image: &str) -> Result<()> {
    host.pull(image).await?;
    if host.has_image(image).await? {
        return Ok(());
    }
    Err(Error::new(
        Kind::NotFound,
        format!("image {image} was pulled, but the host has no image of this name"),
    ))
}
