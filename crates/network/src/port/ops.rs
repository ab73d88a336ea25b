//! The port operations of the interface.

use async_trait::async_trait;
use kernel::{Ctx, Error, Kind, OwnerKey, Result};

use super::model::{mac, next_free, parse_ip};
use super::table;
use crate::access::{check_may_own, is_visible};
use crate::api::{NewPort, Port, Ports, Status};
use crate::{NetworkService, PortId, network, subnet};

/// Kind for generations and tombstones.
const KIND: &str = "port";
/// Number of attempts after another server chose the same address.
const MAX_ATTEMPTS: usize = 64;

#[async_trait]
impl Ports for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewPort) -> Result<Port> {
        check_may_own(ctx, &new.project_id)?;
        for _ in 0..MAX_ATTEMPTS {
            match self.try_port(ctx, &new).await {
                Err(e) if e.kind == Kind::AlreadyExists => {
                    if let Some(found) = table::get(&self.db, &new.id).await? {
                        return self.require_visible(ctx, Some(found), &new.id);
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
            "Too many ports are being created at the same time; try again.",
        ))
    }

    async fn show(&self, ctx: &Ctx, id: &PortId) -> Result<Port> {
        self.require_visible(ctx, table::get(&self.db, id).await?, id)
    }

    async fn bind(&self, ctx: &Ctx, id: &PortId, device_id: &str, owner: OwnerKey) -> Result<Port> {
        db::write!(self.db, |tx| {
            let found = self.require_visible(ctx, table::get_in(tx, id).await?, id)?;
            // Either the network is seen ACTIVE here, or its reconciler sees
            // the new owner.
            network::table::lock(tx, &found.network_id).await?;
            let mut port = self.require_visible(ctx, table::get_in(tx, id).await?, id)?;
            match &port.device_id {
                Some(other) if other != device_id => {
                    return Err(Error::conflict(format!(
                        "port {id} belongs to {other} already; give each server its own port"
                    )));
                }
                _ => table::bind(tx, id, device_id, &owner).await?,
            }
            port.device_id = Some(device_id.to_owned());
            Ok(port)
        })
    }

    async fn unbind(&self, ctx: &Ctx, id: &PortId, device_id: &str) -> Result<()> {
        match table::get(&self.db, id).await? {
            Some(p)
                if is_visible(ctx, &p.project_id)
                    && p.port.device_id.as_deref() == Some(device_id) => {}
            _ => return Ok(()),
        }
        db::write!(self.db, |tx| table::unbind(tx, id, device_id).await)
    }

    async fn of_device(&self, ctx: &Ctx, device_id: &str) -> Result<Vec<Port>> {
        let found = table::of_device(&self.db, device_id).await?;
        Ok(found
            .into_iter()
            .filter(|p| is_visible(ctx, &p.project_id))
            .map(|p| p.port)
            .collect())
    }

    async fn delete(&self, ctx: &Ctx, id: &PortId) -> Result<()> {
        let network = match table::get(&self.db, id).await? {
            Some(found) if is_visible(ctx, &found.project_id) => Some(found.port.network_id),
            None if ctx.generation().is_some() => None,
            _ => return Ok(()),
        };
        db::write!(self.db, |tx| {
            if let Some(network) = &network {
                // A removal of the network or of its subnet may wait for this
                // port.
                db::mark_now(tx, network::KIND, network).await?;
            }
            db::record_tombstone(tx, KIND, id, ctx.generation()).await?;
            // It may have been created after the check.
            if network.is_none()
                && let Some(found) = table::get_in(tx, id).await?
            {
                db::mark_now(tx, network::KIND, &found.port.network_id).await?;
            }
            table::drop_row(tx, id).await
        })
    }
}

impl NetworkService {
    fn require_visible(&self, ctx: &Ctx, found: Option<table::Owned>, id: &PortId) -> Result<Port> {
        match found {
            Some(p) if is_visible(ctx, &p.project_id) => Ok(p.port),
            _ => Err(Error::not_found("Port", id)),
        }
    }

    async fn try_port(&self, ctx: &Ctx, new: &NewPort) -> Result<Port> {
        db::write!(self.db, |tx| {
            db::check_generation(tx, KIND, &new.id, ctx.generation()).await?;
            let net = network::table::lock(tx, &new.network_id).await?;
            if !net.is_external && !is_visible(ctx, &net.project_id) {
                return Err(Error::not_found("Network", &new.network_id));
            }
            let sub = subnet::table::of_network_in(tx, &net.id).await?;
            let Some(sub) = sub.filter(|s| !s.deleting && net.status != Status::Deleting) else {
                return Err(Error::conflict(format!(
                    "network {} has no subnet to take an address from; create one first",
                    net.id
                )));
            };
            let (cidr, gateway) = (sub.cidr, sub.gateway_ip);
            let ip = match &new.ip {
                Some(text) => parse_ip(&cidr, text)?,
                None => {
                    let mut taken = table::taken(tx, &net.id).await?;
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
            table::insert(tx, new, &sub.id, ip, mac(&new.id)).await?;
            let made = table::get_in(tx, &new.id).await?;
            self.require_visible(ctx, made, &new.id)
        })
    }
}
