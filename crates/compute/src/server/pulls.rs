//! Images that are being pulled: this takes minutes, during which no run of a
//! reconciler is kept waiting. One pull serves all servers that wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use flow::Tasks;
use kernel::{Error, Kind, Result};

use super::reconcile::KIND;
use crate::Compute;

/// The pulls of one process; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Pulls {
    state: Arc<Mutex<State>>,
    tasks: Arc<OnceLock<Tasks>>,
}

#[derive(Default)]
struct State {
    /// By image: the servers that wait.
    running: BTreeMap<String, BTreeSet<String>>,
    /// By server: why the image that it waited for could not be pulled.
    failed: BTreeMap<String, Error>,
}

/// How far the image of a server is.
pub(super) enum Pull {
    /// The server is marked when it has ended.
    Running,
    /// There is no task to run it in, so that it has ended here.
    Ended,
}

impl Pulls {
    pub(crate) fn run_in(&self, tasks: &Tasks) {
        let _ = self.tasks.set(tasks.clone());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the host pull an image for a server, or answers why an earlier pull
    /// for it failed. The task belongs to no lease: it ends the same way for
    /// every server that waits, and a repeated pull changes nothing.
    pub(super) async fn begin(
        &self,
        compute: &Compute,
        image: &str,
        server_id: &str,
    ) -> Result<Pull> {
        {
            let mut state = self.state();
            if let Some(e) = state.failed.remove(server_id) {
                return Err(e);
            }
            if let Some(waiting) = state.running.get_mut(image) {
                waiting.insert(server_id.to_owned());
                return Ok(Pull::Running);
            }
            if self.tasks.get().is_some() {
                let waiting = BTreeSet::from([server_id.to_owned()]);
                state.running.insert(image.to_owned(), waiting);
            }
        }
        let Some(tasks) = self.tasks.get() else {
            return pull(compute, image).await.map(|()| Pull::Ended);
        };
        let (compute, image, token) = (compute.clone(), image.to_owned(), tasks.token());
        tasks.spawn("pull image", async move {
            let done = tokio::select! {
                biased;
                () = token.cancelled() => return,
                done = pull(&compute, &image) => done,
            };
            let waiting = compute.pulls.end(&image, done);
            let marked = db::write!(compute.db, |tx| {
                for id in &waiting {
                    db::mark(tx, KIND, id).await?;
                }
                Ok(())
            });
            if let Err(e) = marked {
                tracing::warn!(image, error = %e, "servers that wait for an image were not woken");
            }
        });
        Ok(Pull::Running)
    }

    fn end(&self, image: &str, done: Result<()>) -> BTreeSet<String> {
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

async fn pull(compute: &Compute, image: &str) -> Result<()> {
    compute.host.pull(image).await?;
    if compute.host.has_image(image).await? {
        return Ok(());
    }
    Err(Error::new(
        Kind::NotFound,
        format!("image {image} was pulled, but the host does not know it by this name"),
    ))
}
