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
    async fn call<R, F, Fut>(&self, what: &str, make: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Arc<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        let Some(delay) = self.faults.delays_call(what) else {
            return make(self.inner.clone()).await;
        };
        let inner = self.inner.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The answer reaches nobody.
            let _ = make(inner).await;
        });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Err(Error::timeout("The service did not answer in time."))
    }
}

#[async_trait]
impl Stacks for Slow<dyn Stacks> {
    async fn create(&self, ctx: &Ctx, new: NewStack) -> Result<Stack> {
        let ctx = ctx.clone();
        self.call(
            "stacks.create",
            |s| async move { s.create(&ctx, new).await },
        )
        .await
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Stack> {
        self.inner.show(ctx, id).await
    }

    async fn update(&self, ctx: &Ctx, id: &str, update: StackUpdate) -> Result<Stack> {
        let (ctx, id) = (ctx.clone(), id.to_owned());
        self.call("stacks.update", |s| async move {
            s.update(&ctx, &id, update).await
        })
        .await
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        let (ctx, id) = (ctx.clone(), id.to_owned());
        self.call(
            "stacks.delete",
            |s| async move { s.delete(&ctx, &id).await },
        )
        .await
    }

    async fn mark_unhealthy(
        &self,
        ctx: &Ctx,
        id: &str,
        resources: &[Unhealthy],
        reason: &str,
    ) -> Result<()> {
        let (ctx, id, reason) = (ctx.clone(), id.to_owned(), reason.to_owned());
        let resources = resources.to_vec();
        self.call("stacks.mark_unhealthy", |s| async move {
            s.mark_unhealthy(&ctx, &id, &resources, &reason).await
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
        let (ctx, id, resource) = (ctx.clone(), id.to_owned(), resource.to_owned());
        self.call("stacks.signal", |s| async move {
            s.signal(&ctx, &id, &resource, signal).await
        })
        .await
    }
}

#[async_trait]
impl Servers for Slow<dyn Servers> {
    async fn create(&self, ctx: &Ctx, new: NewServer) -> Result<Server> {
        let ctx = ctx.clone();
        self.call(
            "servers.create",
            |s| async move { s.create(&ctx, new).await },
        )
        .await
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Server> {
        self.inner.show(ctx, id).await
    }

    async fn of_owner(&self, ctx: &Ctx, owner: &OwnerKey) -> Result<Vec<Server>> {
        self.inner.of_owner(ctx, owner).await
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        let (ctx, id) = (ctx.clone(), id.to_owned());
        self.call(
            "servers.delete",
            |s| async move { s.delete(&ctx, &id).await },
        )
        .await
    }

    async fn rebuild(&self, ctx: &Ctx, id: &str, user_data: &str) -> Result<Server> {
        let (ctx, id, data) = (ctx.clone(), id.to_owned(), user_data.to_owned());
        self.call("servers.rebuild", |s| async move {
            s.rebuild(&ctx, &id, &data).await
        })
        .await
    }

    async fn console(&self, ctx: &Ctx, id: &str, lines: u32) -> Result<String> {
        self.inner.console(ctx, id, lines).await
    }
}
