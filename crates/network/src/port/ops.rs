//! Ports as the face offers them.

use async_trait::async_trait;
use ipnet::Ipv4Net;
use kernel::{Ctx, Error, Kind, OwnerKey, Result};

use super::model::{mac, next_free, parse_ip};
use super::table;
use crate::access::{may_own, sees};
use crate::face::{NewPort, Port, Ports, Status};
use crate::{NetworkService, network, subnet};

/// How often two servers may choose the same address before we give up.
const TRIES: usize = 64;

#[async_trait]
impl Ports for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewPort) -> Result<Port> {
        may_own(ctx, &new.project_id)?;
        for _ in 0..TRIES {
            match self.try_port(ctx, &new).await {
                Err(e) if e.kind == Kind::AlreadyExists => {
                    if let Some(found) = table::get(&self.db, &new.id).await? {
                        return self.mine(ctx, Some(found), &new.id);
                    }
                    if let Some(ip) = &new.ip {
                        return Err(Error::conflict(format!(
                            "ip_address: {ip} is in use in network {}; choose another, or leave it out",
                            new.network_id
                        )));
                    }
                }
                done => return done,
            }
        }
        Err(Error::unavailable(
            "Too many ports are being made at once; try again.",
        ))
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Port> {
        self.mine(ctx, table::get(&self.db, id).await?, id)
    }

    async fn bind(&self, ctx: &Ctx, id: &str, device_id: &str, owner: OwnerKey) -> Result<Port> {
        let mut tx = self.db.begin().await?;
        let found = self.mine(ctx, table::get_in(&mut tx, id).await?, id)?;
        // Either we see the network ACTIVE, or its reconciler sees our owner.
        network::table::lock(&mut tx, &found.network_id).await?;
        let mut port = self.mine(ctx, table::get_in(&mut tx, id).await?, id)?;
        match &port.device_id {
            Some(other) if other != device_id => {
                return Err(Error::conflict(format!(
                    "port {id} belongs to {other} already; give each server its own port"
                )));
            }
            _ => table::bind(&mut tx, id, device_id, &owner).await?,
        }
        tx.commit().await?;
        port.device_id = Some(device_id.to_owned());
        Ok(port)
    }

    async fn unbind(&self, ctx: &Ctx, id: &str, device_id: &str) -> Result<()> {
        match table::get(&self.db, id).await? {
            Some(p)
                if sees(ctx, &p.project_id) && p.port.device_id.as_deref() == Some(device_id) => {}
            _ => return Ok(()),
        }
        let mut tx = self.db.begin().await?;
        table::unbind(&mut tx, id, device_id).await?;
        tx.commit().await
    }

    async fn of_device(&self, ctx: &Ctx, device_id: &str) -> Result<Vec<Port>> {
        let found = table::of_device(&self.db, device_id).await?;
        Ok(found
            .into_iter()
            .filter(|p| sees(ctx, &p.project_id))
            .map(|p| p.port)
            .collect())
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        let Some(found) = table::get(&self.db, id).await? else {
            return Ok(());
        };
        if !sees(ctx, &found.project_id) {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        table::drop_row(&mut tx, id).await?;
        // A removal of the network or of its subnet may wait for this port.
        db::mark(&mut tx, network::KIND, &found.port.network_id).await?;
        tx.commit().await
    }
}

impl NetworkService {
    fn mine(&self, ctx: &Ctx, found: Option<table::Owned>, id: &str) -> Result<Port> {
        match found {
            Some(p) if sees(ctx, &p.project_id) => Ok(p.port),
            _ => Err(Error::not_found("Port", id)),
        }
    }

    async fn try_port(&self, ctx: &Ctx, new: &NewPort) -> Result<Port> {
        let mut tx = self.db.begin().await?;
        let net = network::table::lock(&mut tx, &new.network_id).await?;
        if !net.external && !sees(ctx, &net.project_id) {
            return Err(Error::not_found("Network", &new.network_id));
        }
        let sub = subnet::table::of_network_in(&mut tx, &net.id).await?;
        let Some(sub) = sub.filter(|s| !s.deleting && net.status != Status::Deleting) else {
            return Err(Error::conflict(format!(
                "network {} has no subnet to take an address from; create one first",
                net.id
            )));
        };
        let cidr: Ipv4Net = sub.cidr.parse().map_err(Error::internal)?;
        let gateway = parse_ip(&cidr, &sub.gateway_ip)?;
        let ip = match &new.ip {
            Some(text) => parse_ip(&cidr, text)?,
            None => {
                let mut taken = table::taken(&mut tx, &net.id).await?;
                taken.push(u32::from(gateway));
                taken.sort_unstable();
                next_free(&cidr, &taken).ok_or_else(|| {
                    Error::conflict(format!(
                        "No more IP addresses available on network {}.",
                        net.id
                    ))
                })?
            }
        };
        if ip == gateway {
            return Err(Error::conflict(format!(
                "ip_address: {ip} is the gateway of network {}; choose another, or leave it out",
                net.id
            )));
        }
        let mac = mac(&new.id);
        table::insert(&mut tx, new, &sub.id, ip, &mac).await?;
        let made = table::get_in(&mut tx, &new.id).await?;
        tx.commit().await?;
        self.mine(ctx, made, &new.id)
    }
}
