//! The subnet operations of the interface.

use async_trait::async_trait;
use db::{Json, Table as _};
use ipnet::Ipv4Net;
use kernel::{Ctx, Error, Kind, Result, clock};

use super::model::{SubnetRow, choose, gateway, overlap, parse_cidr};
use super::table;
use crate::access::{check_may_own, is_visible};
use crate::api::{NewSubnet, Status, Subnet, Subnets};
use crate::{NetworkService, SubnetId, network};

/// Kind for generations and tombstones.
const KIND: &str = "subnet";
/// Number of attempts after another server chose the same range.
const MAX_ATTEMPTS: usize = 16;

#[async_trait]
impl Subnets for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewSubnet) -> Result<Subnet> {
        check_may_own(ctx, &new.project_id)?;
        // In a repeated call the own bridge may be among the used ranges.
        if table::get(&self.db, &new.id).await?.is_some() {
            return Subnets::show(self, ctx, &new.id).await;
        }
        let machine = self.machine_ranges().await?;
        let asked = new.cidr.as_deref().map(parse_cidr).transpose()?;
        for skip in 0..MAX_ATTEMPTS {
            match self.try_subnet(ctx, &new, asked, &machine, skip).await {
                // SQLite has a single writer, so the first attempt succeeds.
                Err(e) if e.kind == Kind::AlreadyExists => {
                    if table::get(&self.db, &new.id).await?.is_some() {
                        return Subnets::show(self, ctx, &new.id).await;
                    }
                }
                done => return done,
            }
        }
        Err(Error::unavailable(
            "Too many subnets are being created at the same time; try again.",
        ))
    }

    async fn check_free(&self, _ctx: &Ctx, cidr: &str) -> Result<()> {
        let cidr = parse_cidr(cidr)?;
        // The service allocates the ranges of the pool to all projects, so one project
        // must not choose a range there.
        let mut used = vec![self.config.pool];
        used.extend(table::cidrs(&self.db).await?);
        used.extend(self.machine_ranges().await?);
        check_free(&cidr, &used)
    }

    async fn show(&self, ctx: &Ctx, id: &SubnetId) -> Result<Subnet> {
        match table::get(&self.db, id).await? {
            Some(s) if !s.deleting && is_visible(ctx, &s.project_id) => Ok(s.shown()),
            _ => Err(Error::not_found("Subnet", id)),
        }
    }

    async fn delete(&self, ctx: &Ctx, id: &SubnetId) -> Result<()> {
        let network = match table::get(&self.db, id).await? {
            Some(sub) if is_visible(ctx, &sub.project_id) => Some(sub.network_id),
            None if ctx.generation().is_some() => None,
            _ => return Ok(()),
        };
        db::write!(self.db, |tx| {
            if let Some(network) = &network {
                db::mark_now(tx, network::KIND, network).await?;
            }
            db::record_tombstone(tx, KIND, id, ctx.generation()).await?;
            // It may have been created after the check.
            if let Some(sub) = table::get_in(tx, id).await? {
                if network.is_none() {
                    db::mark_now(tx, network::KIND, &sub.network_id).await?;
                }
                network::table::begin_removal(tx, &sub.network_id, false).await?;
                table::set_deleting(tx, id).await?;
            }
            Ok(())
        })
    }
}

/// Refuses a range that overlaps one in use. That may be another project's, so
/// the error does not name it.
fn check_free(cidr: &Ipv4Net, used: &[Ipv4Net]) -> Result<()> {
    if !used.iter().any(|other| overlap(cidr, other)) {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "cidr: {cidr} overlaps a range that is in use on this machine (bridges of one machine \
         share its routes); choose another, or leave cidr out to get a free one"
    )))
}

impl NetworkService {
    /// The ranges of all networks that the machine has or reaches by a route.
    async fn machine_ranges(&self) -> Result<Vec<Ipv4Net>> {
        self.fabric.used_cidrs().await
    }

    async fn try_subnet(
        &self,
        ctx: &Ctx,
        new: &NewSubnet,
        asked: Option<Ipv4Net>,
        machine: &[Ipv4Net],
        skip: usize,
    ) -> Result<Subnet> {
        db::write!(self.db, |tx| {
            db::mark_for(tx, network::KIND, &new.network_id, &new.project_id).await?;
            db::check_generation(tx, KIND, &new.id, ctx.generation()).await?;
            let net = network::table::lock(tx, &new.network_id).await?;
            if !is_visible(ctx, &net.project_id) {
                return Err(Error::not_found("Network", &new.network_id));
            }
            if net.status == Status::Deleting {
                return Err(Error::conflict(format!(
                    "network {} is being deleted",
                    net.id
                )));
            }
            if let Some(other) = table::of_network_in(tx, &net.id).await? {
                if other.id == new.id {
                    return Ok(other.shown());
                }
                return Err(Error::conflict(format!(
                    "network {} has the subnet {} already; on docker-bridge a network has one",
                    net.id, other.id
                )));
            }
            let mut used = table::cidrs_in(tx).await?;
            used.extend_from_slice(machine);
            let cidr = self.pick(asked, &used, skip)?;
            let sub = SubnetRow {
                id: new.id.clone(),
                project_id: new.project_id.clone(),
                network_id: net.id.clone(),
                name: new.name.clone(),
                cidr,
                gateway_ip: gateway(&cidr, new.gateway_ip.as_deref())?,
                dns: Json(new.dns_nameservers.clone()),
                deleting: false,
                owner_kind: new.owner.as_ref().map(|o| o.kind.clone()),
                owner_id: new.owner.as_ref().map(|o| o.id.clone()),
                created_at: clock::now(),
            };
            sub.insert(tx).await?;
            network::table::begin_build(tx, &net.id).await?;
            Ok(sub.shown())
        })
    }

    fn pick(&self, asked: Option<Ipv4Net>, used: &[Ipv4Net], skip: usize) -> Result<Ipv4Net> {
        let pool = &self.config.pool;
        match asked {
            None => choose(pool, used, skip).ok_or_else(|| {
                Error::conflict(format!(
                    "cidr: no free /24 is left in the pool {pool}; delete networks or configure a larger pool"
                ))
            }),
            Some(cidr) => check_free(&cidr, used).map(|()| cidr),
        }
    }
}
