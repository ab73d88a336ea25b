//! Slow calls between services. As between two processes, the caller sees a timeout
//! and the call takes effect later.

mod networks;
mod servers;
mod stacks;

use std::sync::Arc;

use compute::ComputeApi;
use kernel::{Ctx, Error, Result};
use network::NetworkApi;
use orchestration::OrchestrationApi;

use crate::faults::Faults;

/// Compute with delayed calls.
pub fn compute(mut api: ComputeApi, faults: &Faults) -> ComputeApi {
    api.servers = Arc::new(DelayedService {
        inner: api.servers,
        faults: faults.clone(),
    });
    api
}

/// Orchestration with delayed calls.
pub fn orchestration(mut api: OrchestrationApi, faults: &Faults) -> OrchestrationApi {
    api.stacks = Arc::new(DelayedService {
        inner: api.stacks,
        faults: faults.clone(),
    });
    api
}

/// Network with delayed calls.
pub fn network(mut api: NetworkApi, faults: &Faults) -> NetworkApi {
    api.networks = Arc::new(DelayedService {
        inner: api.networks,
        faults: faults.clone(),
    });
    api.ports = Arc::new(DelayedService {
        inner: api.ports,
        faults: faults.clone(),
    });
    api
}

/// The calls that change an object, so that an outdated one must be refused. Other
/// calls may be late: a creation then returns the existing object, and a removal or
/// a signal has no further effect.
const CHANGES: [&str; 3] = ["stacks.update", "stacks.mark_unhealthy", "servers.rebuild"];

/// A service whose mutating calls may be delayed.
struct DelayedService<T: ?Sized> {
    inner: Arc<T>,
    faults: Faults,
}

impl<T: ?Sized + Send + Sync + 'static> DelayedService<T> {
    /// Executes a call for this object now, or later in a separate task.
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
        #[expect(
            clippy::disallowed_methods,
            reason = "a call to another service takes effect after its caller timed out"
        )]
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The answer is discarded.
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

/// A call in progress.
struct Call {
    what: String,
    /// Id of the object that it creates, changes or removes.
    id: String,
    /// Generation of a call that changes the object.
    generation: Option<i64>,
}

impl Call {
    /// Executes the call and records its result.
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
        faults.record_answer(&self.what, refused);
        answer
    }
}
