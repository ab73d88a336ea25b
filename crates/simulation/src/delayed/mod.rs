//! Calls from one service to another whose way is slow: the caller sees a
//! timeout, and the call takes place later, as between two processes.

use std::sync::Arc;

use async_trait::async_trait;
use compute::ComputeFace;
use compute::face::{NewServer, Server, Servers};
use kernel::{Ctx, Error, OwnerKey, Result};
use orchestration::OrchestrationFace;
use orchestration::face::{
    NewStack, Signal, Stack, StackEvent, StackResource, StackUpdate, Stacks, Unhealthy,
};

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

struct Slow<T: ?Sized> {
    inner: Arc<T>,
    faults: Faults,
}

impl<T: ?Sized + Send + Sync + 'static> Slow<T> {
    /// Makes the call now, or later and on its own.
    async fn call<R, F, Fut>(&self, what: &str, ctx: &Ctx, make: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Arc<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        let what = match ctx.generation() {
            Some(generation) => format!("{what} of generation {generation}"),
            None => what.to_owned(),
        };
        let Some(delay) = self.faults.delays_call(&what) else {
            let answer = make(self.inner.clone()).await;
            let refused = answer.as_ref().err().map(ToString::to_string);
            self.faults.tell(&what, refused);
            return answer;
        };
        let (inner, faults) = (self.inner.clone(), self.faults.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The answer reaches nobody.
            let refused = make(inner).await.err().map(|e| e.to_string());
            faults.tell(&format!("delayed {what}"), refused);
        });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Err(Error::timeout("The service did not answer in time."))
    }
}

#[async_trait]
impl Stacks for Slow<dyn Stacks> {
    async fn create(&self, ctx: &Ctx, new: NewStack) -> Result<Stack> {
        let own = ctx.clone();
        self.call("stacks.create", ctx, |s| async move {
            s.create(&own, new).await
        })
        .await
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Stack> {
        self.inner.show(ctx, id).await
    }

    async fn update(&self, ctx: &Ctx, id: &str, update: StackUpdate) -> Result<Stack> {
        let (own, id) = (ctx.clone(), id.to_owned());
        self.call("stacks.update", ctx, |s| async move {
            s.update(&own, &id, update).await
        })
        .await
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        let (own, id) = (ctx.clone(), id.to_owned());
        self.call("stacks.delete", ctx, |s| async move {
            s.delete(&own, &id).await
        })
        .await
    }

    async fn mark_unhealthy(
        &self,
        ctx: &Ctx,
        id: &str,
        resources: &[Unhealthy],
        reason: &str,
    ) -> Result<()> {
        let (own, id, reason) = (ctx.clone(), id.to_owned(), reason.to_owned());
        let resources = resources.to_vec();
        self.call("stacks.mark_unhealthy", ctx, |s| async move {
            s.mark_unhealthy(&own, &id, &resources, &reason).await
        })
        .await
    }

    async fn resources(&self, ctx: &Ctx, id: &str) -> Result<Vec<StackResource>> {
        self.inner.resources(ctx, id).await
    }

    async fn events(&self, ctx: &Ctx, id: &str, limit: u32) -> Result<Vec<StackEvent>> {
        self.inner.events(ctx, id, limit).await
    }

    async fn signal(&self, ctx: &Ctx, id: &str, resource: &str, signal: Signal) -> Result<()> {
        let (own, id, resource) = (ctx.clone(), id.to_owned(), resource.to_owned());
        self.call("stacks.signal", ctx, |s| async move {
            s.signal(&own, &id, &resource, signal).await
        })
        .await
    }
}

#[async_trait]
impl Servers for Slow<dyn Servers> {
    async fn create(&self, ctx: &Ctx, new: NewServer) -> Result<Server> {
        let own = ctx.clone();
        self.call("servers.create", ctx, |s| async move {
            s.create(&own, new).await
        })
        .await
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Server> {
        self.inner.show(ctx, id).await
    }

    async fn of_owner(&self, ctx: &Ctx, owner: &OwnerKey) -> Result<Vec<Server>> {
        self.inner.of_owner(ctx, owner).await
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        let (own, id) = (ctx.clone(), id.to_owned());
        self.call("servers.delete", ctx, |s| async move {
            s.delete(&own, &id).await
        })
        .await
    }

    async fn rebuild(&self, ctx: &Ctx, id: &str, user_data: &str) -> Result<Server> {
        let (own, id, data) = (ctx.clone(), id.to_owned(), user_data.to_owned());
        self.call("servers.rebuild", ctx, |s| async move {
            s.rebuild(&own, &id, &data).await
        })
        .await
    }

    async fn console(&self, ctx: &Ctx, id: &str, lines: u32) -> Result<String> {
        self.inner.console(ctx, id, lines).await
    }
}
