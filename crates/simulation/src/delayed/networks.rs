//! Calls for networks and ports.

use async_trait::async_trait;
use kernel::{Ctx, OwnerKey, Result};
use network::api::{Network, Networks, NewNetwork, NewPort, Port, Ports};
use network::{NetworkId, PortId};

use super::DelayedService;

#[async_trait]
impl Networks for DelayedService<dyn Networks> {
    async fn create(&self, ctx: &Ctx, new: NewNetwork) -> Result<Network> {
        let (own, id) = (ctx.clone(), new.id.clone());
        self.call("networks.create", &id, ctx, |n| async move {
            n.create(&own, new).await
        })
        .await
    }

    async fn show(&self, ctx: &Ctx, id: &NetworkId) -> Result<Network> {
        self.inner.show(ctx, id).await
    }

    async fn find(&self, ctx: &Ctx, id_or_name: &str) -> Result<Network> {
        self.inner.find(ctx, id_or_name).await
    }

    async fn delete(&self, ctx: &Ctx, id: &NetworkId) -> Result<()> {
        let (own, own_id) = (ctx.clone(), id.clone());
        self.call("networks.delete", id, ctx, |n| async move {
            n.delete(&own, &own_id).await
        })
        .await
    }
}

#[async_trait]
impl Ports for DelayedService<dyn Ports> {
    async fn create(&self, ctx: &Ctx, new: NewPort) -> Result<Port> {
        let (own, id) = (ctx.clone(), new.id.clone());
        self.call("ports.create", &id, ctx, |p| async move {
            p.create(&own, new).await
        })
        .await
    }

    async fn show(&self, ctx: &Ctx, id: &PortId) -> Result<Port> {
        self.inner.show(ctx, id).await
    }

    async fn bind(&self, ctx: &Ctx, id: &PortId, device_id: &str, owner: OwnerKey) -> Result<Port> {
        let (own, own_id, device) = (ctx.clone(), id.clone(), device_id.to_owned());
        self.call("ports.bind", id, ctx, |p| async move {
            p.bind(&own, &own_id, &device, owner).await
        })
        .await
    }

    async fn unbind(&self, ctx: &Ctx, id: &PortId, device_id: &str) -> Result<()> {
        let (own, own_id, device) = (ctx.clone(), id.clone(), device_id.to_owned());
        self.call("ports.unbind", id, ctx, |p| async move {
            p.unbind(&own, &own_id, &device).await
        })
        .await
    }

    async fn of_device(&self, ctx: &Ctx, device_id: &str) -> Result<Vec<Port>> {
        self.inner.of_device(ctx, device_id).await
    }

    async fn delete(&self, ctx: &Ctx, id: &PortId) -> Result<()> {
        let (own, own_id) = (ctx.clone(), id.clone());
        self.call("ports.delete", id, ctx, |p| async move {
            p.delete(&own, &own_id).await
        })
        .await
    }
}
