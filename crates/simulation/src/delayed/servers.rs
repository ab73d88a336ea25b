//! Calls for servers.

use async_trait::async_trait;
use compute::ServerId;
use compute::api::{NewServer, Server, Servers};
use kernel::{Ctx, OwnerKey, Result};

use super::DelayedService;

#[async_trait]
impl Servers for DelayedService<dyn Servers> {
    async fn create(&self, ctx: &Ctx, new: NewServer) -> Result<Server> {
        let (own, id) = (ctx.clone(), new.id.clone());
        self.call("servers.create", &id, ctx, |s| async move {
            s.create(&own, new).await
        })
        .await
    }

    async fn show(&self, ctx: &Ctx, id: &ServerId) -> Result<Server> {
        self.inner.show(ctx, id).await
    }

    async fn of_owner(&self, ctx: &Ctx, owner: &OwnerKey) -> Result<Vec<Server>> {
        self.inner.of_owner(ctx, owner).await
    }

    async fn delete(&self, ctx: &Ctx, id: &ServerId) -> Result<()> {
        let (own, own_id) = (ctx.clone(), id.clone());
        self.call("servers.delete", id, ctx, |s| async move {
            s.delete(&own, &own_id).await
        })
        .await
    }

    async fn rebuild(&self, ctx: &Ctx, id: &ServerId, user_data: &str) -> Result<Server> {
        let (own, own_id, data) = (ctx.clone(), id.clone(), user_data.to_owned());
        self.call("servers.rebuild", id, ctx, |s| async move {
            s.rebuild(&own, &own_id, &data).await
        })
        .await
    }

    async fn console(&self, ctx: &Ctx, id: &ServerId, lines: u32) -> Result<String> {
        self.inner.console(ctx, id, lines).await
    }
}
