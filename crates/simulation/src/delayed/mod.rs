//! Calls from one service to another whose way is slow: the caller sees a
//! timeout, and the call takes place later, as between two processes.

mod networks;
mod servers;
mod stacks;

use std::sync::Arc;

use compute::ComputeFace;
use kernel::{Ctx, Error, Result};
use network::NetworkFace;
use orchestration::OrchestrationFace;

use crate::faults::Faults;

/// Compute as a service that may be slow to reach.
pub fn compute(mut face: ComputeFace, faults: &Faults) -> ComputeFace {
    face.servers = Arc::new(Slow {
        inner: face.servers,
        faults: faults.clone(),
    });
    face
}

/// Orchestration as a service that may be slow to reach.
pub fn orchestration(mut face: OrchestrationFace, faults: &Faults) -> OrchestrationFace {
    face.stacks = Arc::new(Slow {
        inner: face.stacks,
        faults: faults.clone(),
    });
    face
}

/// Network as a service that may be slow to reach.
pub fn network(mut face: NetworkFace, faults: &Faults) -> NetworkFace {
    face.networks = Arc::new(Slow {
        inner: face.networks,
        faults: faults.clone(),
    });
    face.ports = Arc::new(Slow {
        inner: face.ports,
        faults: faults.clone(),
    });
    face
}

/// Calls that change an object each time. A late creation is answered with the
/// object that is there, a late removal or signal with what was done before.
const CHANGES: [&str; 3] = ["stacks.update", "stacks.mark_unhealthy", "servers.rebuild"];

struct Slow<T: ?Sized> {
    inner: Arc<T>,
    faults: Faults,
}

impl<T: ?Sized + Send + Sync + 'static> Slow<T> {
    /// Makes a call for this object now, or later and on its own.
    async fn call<R, F, Fut>(&self, what: &str, id: &str, ctx: &Ctx, make: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Arc<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        let call = Call {
            what: match ctx.generation() {
                Some(generation) => format!("{what} of generation {generation}"),
                None => what.to_owned(),
            },
            id: id.to_owned(),
            generation: ctx.generation().filter(|_| CHANGES.contains(&what)),
        };
        let Some(delay) = self.faults.delays_call(&call.what) else {
            return call.observed(&self.faults, make(self.inner.clone())).await;
        };
        let (inner, faults) = (self.inner.clone(), self.faults.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The answer reaches nobody.
            let late = Call {
                what: format!("delayed {}", call.what),
                ..call
            };
            let _ = late.observed(&faults, make(inner)).await;
        });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Err(Error::timeout("The service did not answer in time."))
    }
}

/// A call that is on its way.
struct Call {
    what: String,
    /// Of the object that it creates, changes or removes.
    id: String,
    /// Of a call that changes the object.
    generation: Option<i64>,
}

impl Call {
    /// Makes the call and tells the observer what it came to.
    async fn observed<R>(
        &self,
        faults: &Faults,
        make: impl Future<Output = Result<R>>,
    ) -> Result<R> {
        let newest = faults.newest_call(&self.id);
        let answer = make.await;
        let refused = answer.as_ref().err().map(ToString::to_string);
        if let (None, Some(generation)) = (&refused, self.generation) {
            faults.called(&self.what, &self.id, generation, newest);
        }
        faults.tell(&self.what, refused);
        answer
    }
}
