//! Routers as the face offers them.

use async_trait::async_trait;
use kernel::{Ctx, Error, Kind, Result};

use super::table;
use crate::NetworkService;
use crate::access::{may_own, sees};
use crate::face::{Networks, NewRouter, Router, Routers, Subnets};

impl NetworkService {
    async fn router(&self, ctx: &Ctx, id: &str) -> Result<Router> {
        match table::get(&self.db, id).await? {
            Some(r) if sees(ctx, &r.project_id) => Ok(r.router),
            _ => Err(Error::not_found("Router", id)),
        }
    }
}

#[async_trait]
impl Routers for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewRouter) -> Result<Router> {
        may_own(ctx, &new.project_id)?;
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
        let mut tx = self.db.begin().await?;
        match table::insert(&mut tx, &new, external.as_deref()).await {
            Ok(()) => tx.commit().await?,
            Err(e) if e.kind == Kind::AlreadyExists => drop(tx),
            Err(e) => return Err(e),
        }
        self.router(ctx, &new.id).await
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Router> {
        self.router(ctx, id).await
    }

    async fn add_interface(&self, ctx: &Ctx, router_id: &str, subnet_id: &str) -> Result<()> {
        self.router(ctx, router_id).await?;
        Subnets::show(self, ctx, subnet_id).await?;
        let mut tx = self.db.begin().await?;
        match table::add_interface(&mut tx, router_id, subnet_id).await {
            Ok(()) => tx.commit().await,
            Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn remove_interface(&self, ctx: &Ctx, router_id: &str, subnet_id: &str) -> Result<()> {
        match self.router(ctx, router_id).await {
            Ok(_) => {}
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(e),
        }
        let mut tx = self.db.begin().await?;
        table::remove_interface(&mut tx, router_id, subnet_id).await?;
        tx.commit().await
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        match self.router(ctx, id).await {
            Ok(_) => {}
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(e),
        }
        let mut tx = self.db.begin().await?;
        table::drop_row(&mut tx, id).await?;
        tx.commit().await
    }
}
