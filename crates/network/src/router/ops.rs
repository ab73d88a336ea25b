//! The router operations of the interface.

use async_trait::async_trait;
use kernel::{Ctx, Error, Kind, Result};

use super::table;
use crate::access::{check_may_own, is_visible};
use crate::api::{Networks, NewRouter, Router, Routers, Subnets};
use crate::{NetworkService, RouterId, SubnetId};

/// Kind for generations and tombstones.
const KIND: &str = "router";
/// Kind for generations only, because a subnet may be added again after its
/// removal.
const INTERFACE: &str = "router_interface";

fn interface(router_id: &RouterId, subnet_id: &SubnetId) -> String {
    format!("{router_id}/{subnet_id}")
}

impl NetworkService {
    async fn router(&self, ctx: &Ctx, id: &RouterId) -> Result<Router> {
        match table::get(&self.db, id).await? {
            Some(r) if is_visible(ctx, &r.project_id) => Ok(r.shown()),
            _ => Err(Error::not_found("Router", id)),
        }
    }
}

#[async_trait]
impl Routers for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewRouter) -> Result<Router> {
        check_may_own(ctx, &new.project_id)?;
        let external = match &new.external_network {
            None => None,
            Some(name) => {
                let net = Networks::find(self, ctx, name).await?;
                if !net.external {
                    return Err(Error::invalid(
                        "external_gateway_info",
                        format!(
                            "external_gateway_info: network {name} is not external; `public` is"
                        ),
                    ));
                }
                Some(net.id)
            }
        };
        let made = db::write!(self.db, |tx| {
            db::check_generation(tx, KIND, &new.id, ctx.generation()).await?;
            table::insert(tx, &new, external.clone()).await
        });
        match made {
            Err(e) if e.kind != Kind::AlreadyExists => Err(e),
            _ => self.router(ctx, &new.id).await,
        }
    }

    async fn show(&self, ctx: &Ctx, id: &RouterId) -> Result<Router> {
        self.router(ctx, id).await
    }

    async fn add_interface(
        &self,
        ctx: &Ctx,
        router_id: &RouterId,
        subnet_id: &SubnetId,
    ) -> Result<()> {
        self.router(ctx, router_id).await?;
        Subnets::show(self, ctx, subnet_id).await?;
        let id = interface(router_id, subnet_id);
        let added = db::write!(self.db, |tx| {
            db::check_generation(tx, INTERFACE, &id, ctx.generation()).await?;
            table::add_interface(tx, router_id, subnet_id).await
        });
        match added {
            Err(e) if e.kind != Kind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }

    async fn remove_interface(
        &self,
        ctx: &Ctx,
        router_id: &RouterId,
        subnet_id: &SubnetId,
    ) -> Result<()> {
        match self.router(ctx, router_id).await {
            Err(e) if !e.is_not_found() => return Err(e),
            Err(_) if ctx.generation().is_none() => return Ok(()),
            _ => {}
        }
        let id = interface(router_id, subnet_id);
        db::write!(self.db, |tx| {
            db::check_generation(tx, INTERFACE, &id, ctx.generation()).await?;
            table::remove_interface(tx, router_id, subnet_id).await
        })
    }

    async fn delete(&self, ctx: &Ctx, id: &RouterId) -> Result<()> {
        match table::get(&self.db, id).await? {
            Some(found) if is_visible(ctx, &found.project_id) => {}
            None if ctx.generation().is_some() => {}
            _ => return Ok(()),
        }
        db::write!(self.db, |tx| {
            db::record_tombstone(tx, KIND, id, ctx.generation()).await?;
            table::drop_row(tx, id).await
        })
    }
}
