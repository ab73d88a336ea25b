//! Calls for stacks.

use async_trait::async_trait;
use kernel::{Ctx, Result};
use orchestration::StackId;
use orchestration::api::{
    NewStack, Signal, Stack, StackEvent, StackResource, StackUpdate, Stacks, Unhealthy,
};

use super::DelayedService;

#[async_trait]
impl Stacks for DelayedService<dyn Stacks> {
    async fn create(&self, ctx: &Ctx, new: NewStack) -> Result<Stack> {
        let (own, id) = (ctx.clone(), new.id.clone());
        self.call("stacks.create", &id, ctx, |s| async move {
            s.create(&own, new).await
        })
        .await
    }

    async fn show(&self, ctx: &Ctx, id: &StackId) -> Result<Stack> {
        self.inner.show(ctx, id).await
    }

    async fn update(&self, ctx: &Ctx, id: &StackId, update: StackUpdate) -> Result<Stack> {
        let (own, own_id) = (ctx.clone(), id.clone());
        self.call("stacks.update", id, ctx, |s| async move {
            s.update(&own, &own_id, update).await
        })
        .await
    }

    async fn delete(&self, ctx: &Ctx, id: &StackId) -> Result<()> {
        let (own, own_id) = (ctx.clone(), id.clone());
        self.call("stacks.delete", id, ctx, |s| async move {
            s.delete(&own, &own_id).await
        })
        .await
    }

    async fn mark_unhealthy(
        &self,
        ctx: &Ctx,
        id: &StackId,
        resources: &[Unhealthy],
        reason: &str,
    ) -> Result<()> {
        let (own, own_id, reason) = (ctx.clone(), id.clone(), reason.to_owned());
        let resources = resources.to_vec();
        self.call("stacks.mark_unhealthy", id, ctx, |s| async move {
            s.mark_unhealthy(&own, &own_id, &resources, &reason).await
        })
        .await
    }

    async fn resources(&self, ctx: &Ctx, id: &StackId) -> Result<Vec<StackResource>> {
        self.inner.resources(ctx, id).await
    }

    async fn events(&self, ctx: &Ctx, id: &StackId, limit: u32) -> Result<Vec<StackEvent>> {
        self.inner.events(ctx, id, limit).await
    }

    async fn signal(&self, ctx: &Ctx, id: &StackId, resource: &str, signal: Signal) -> Result<()> {
        let (own, own_id, resource) = (ctx.clone(), id.clone(), resource.to_owned());
        self.call("stacks.signal", id, ctx, |s| async move {
            s.signal(&own, &own_id, &resource, signal).await
        })
        .await
    }
}
