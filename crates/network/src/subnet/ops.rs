//! Subnets as the face offers them.

use async_trait::async_trait;
use ipnet::Ipv4Net;
use kernel::{Ctx, Error, Kind, Result};

use super::model::{Sub, choose, gateway, overlap, parse_cidr};
use super::table;
use crate::access::{may_own, sees};
use crate::face::{NewSubnet, Status, Subnet, Subnets};
use crate::{NetworkService, network};

/// How often two servers may choose the same block before we give up.
const TRIES: usize = 16;

#[async_trait]
impl Subnets for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewSubnet) -> Result<Subnet> {
        may_own(ctx, &new.project_id)?;
        let asked = new.cidr.as_deref().map(parse_cidr).transpose()?;
        let machine: Vec<Ipv4Net> = match table::get(&self.db, &new.id).await? {
            // Repeated: its own bridge may be among what the machine uses.
            Some(_) => return Subnets::show(self, ctx, &new.id).await,
            None => self.plane.used_cidrs().await?,
        }
        .iter()
        .filter_map(|c| c.parse().ok())
        .collect();
        for skip in 0..TRIES {
            match self.try_subnet(ctx, &new, asked, &machine, skip).await {
                // On SQLite there is one writer and the first try wins.
                Err(e) if e.kind == Kind::AlreadyExists => {
                    if table::get(&self.db, &new.id).await?.is_some() {
                        return Subnets::show(self, ctx, &new.id).await;
                    }
                }
                done => return done,
            }
        }
        Err(Error::unavailable(
            "Too many subnets are being made at once; try again.",
        ))
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Subnet> {
        match table::get(&self.db, id).await? {
            Some(s) if !s.deleting && sees(ctx, &s.project_id) => Ok(s.shown()),
            _ => Err(Error::not_found("Subnet", id)),
        }
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        let Some(sub) = table::get(&self.db, id).await? else {
            return Ok(());
        };
        if !sees(ctx, &sub.project_id) {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        table::set_deleting(&mut tx, id).await?;
        db::mark(&mut tx, network::KIND, &sub.network_id).await?;
        tx.commit().await
    }
}

impl NetworkService {
    async fn try_subnet(
        &self,
        ctx: &Ctx,
        new: &NewSubnet,
        asked: Option<Ipv4Net>,
        machine: &[Ipv4Net],
        skip: usize,
    ) -> Result<Subnet> {
        let mut tx = self.db.begin().await?;
        let net = network::table::lock(&mut tx, &new.network_id).await?;
        if !sees(ctx, &net.project_id) {
            return Err(Error::not_found("Network", &new.network_id));
        }
        if net.status == Status::Deleting {
            return Err(Error::conflict(format!(
                "network {} is being deleted",
                net.id
            )));
        }
        if let Some(other) = table::of_network_in(&mut tx, &net.id).await? {
            if other.id == new.id {
                return Ok(other.shown());
            }
            return Err(Error::conflict(format!(
                "network {} has the subnet {} already; on docker-bridge a network has one",
                net.id, other.id
            )));
        }
        let mut used = table::cidrs(&mut tx).await?;
        used.extend_from_slice(machine);
        let cidr = self.pick(asked, &used, skip)?;
        let sub = Sub {
            id: new.id.clone(),
            project_id: new.project_id.clone(),
            network_id: net.id.clone(),
            name: new.name.clone(),
            cidr: cidr.to_string(),
            gateway_ip: gateway(&cidr, new.gateway_ip.as_deref())?.to_string(),
            dns: new.dns_nameservers.clone(),
            deleting: false,
            owner: new.owner.clone(),
        };
        table::insert(&mut tx, &sub).await?;
        network::table::set_status(&mut tx, &net.id, Status::Build, None).await?;
        db::mark(&mut tx, network::KIND, &net.id).await?;
        tx.commit().await?;
        Ok(sub.shown())
    }

    fn pick(&self, asked: Option<Ipv4Net>, used: &[Ipv4Net], skip: usize) -> Result<Ipv4Net> {
        let pool = &self.config.pool;
        match asked {
            None => choose(pool, used, skip).ok_or_else(|| {
                Error::conflict(format!(
                    "cidr: no free /24 is left in the pool {pool}; delete networks or configure a larger pool"
                ))
            }),
            Some(cidr) => match overlap(&cidr, used) {
                None => Ok(cidr),
                Some(other) => Err(Error::conflict(format!(
                    "cidr: {cidr} overlaps {other}, which is in use on this machine (bridges of one machine \
                     share its routes); choose another, or leave cidr out to get a free one"
                ))),
            },
        }
    }
}
