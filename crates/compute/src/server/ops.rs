//! The server operations of the interface.

use async_trait::async_trait;
use db::{Json, Table as _, Tx};
use kernel::{Ctx, Error, Kind, OwnerKey, Result, clock};
use network::PortId;
use network::access::{check_may_own, is_visible};

use super::model::{KIND, Nic, ServerRow};
use super::table;
use crate::api::{
    Attach, Flavors, Images, Keypairs, NewServer, Server, ServerStatus, Servers as ServersApi,
};
use crate::host::{Placement, place};
use crate::image::is_node;
use crate::ledger;
use crate::{Compute, ServerId};

#[async_trait]
impl ServersApi for Compute {
    async fn create(&self, ctx: &Ctx, new: NewServer) -> Result<Server> {
        check_may_own(ctx, &new.project_id)?;
        if let Some(found) = table::get(&self.db, &new.id).await? {
            return require_visible(ctx, Some(found), &new.id).map(ServerRow::shown);
        }
        let server = self.validated(ctx, &new).await?;
        let _turn = self.placing.acquire().await.map_err(Error::internal)?;
        let made = db::write!(self.db, |tx| {
            db::mark_for(tx, KIND, &new.id, &new.project_id).await?;
            db::check_generation(tx, KIND, &new.id, ctx.generation()).await?;
            server.insert(tx).await?;
            self.place(tx, &server).await?;
            table::get_in(tx, &new.id).await
        });
        match made {
            Err(e) if e.kind == Kind::AlreadyExists => ServersApi::show(self, ctx, &new.id).await,
            made => require_visible(ctx, made?, &new.id).map(ServerRow::shown),
        }
    }

    async fn show(&self, ctx: &Ctx, id: &ServerId) -> Result<Server> {
        require_visible(ctx, table::get(&self.db, id).await?, id).map(ServerRow::shown)
    }

    async fn of_owner(&self, ctx: &Ctx, owner: &OwnerKey) -> Result<Vec<Server>> {
        let found = table::of_owner(&self.db, owner).await?;
        let own = |s: &ServerRow| is_visible(ctx, &s.project_id);
        Ok(found
            .into_iter()
            .filter(own)
            .map(ServerRow::shown)
            .collect())
    }

    async fn delete(&self, ctx: &Ctx, id: &ServerId) -> Result<()> {
        match table::get(&self.db, id).await? {
            Some(s) if is_visible(ctx, &s.project_id) && s.status != ServerStatus::Deleting => {}
            // A delayed create must not create it afterwards.
            None if ctx.generation().is_some() => {}
            _ => return Ok(()),
        }
        db::write!(self.db, |tx| {
            db::mark_now(tx, KIND, id).await?;
            db::record_tombstone(tx, KIND, id, ctx.generation()).await?;
            table::set_deleting(tx, id).await
        })
    }

    async fn rebuild(&self, ctx: &Ctx, id: &ServerId, user_data: &str) -> Result<Server> {
        require_visible(ctx, table::get(&self.db, id).await?, id)?;
        let sealed = self.sealer.seal(user_data)?;
        let made = db::write!(self.db, |tx| {
            db::mark_now(tx, KIND, id).await?;
            db::check_generation(tx, KIND, id, ctx.generation()).await?;
            let s = require_visible(ctx, table::get_in(tx, id).await?, id)?;
            let repeated = ctx.generation().is_some() && s.rebuilt_generation == ctx.generation();
            match s.status {
                _ if repeated => return Ok(Some(s)),
                ServerStatus::Build => return Ok(Some(s)),
                ServerStatus::Deleting => {
                    return Err(Error::conflict(format!(
                        "server {} is being removed and cannot be rebuilt",
                        s.name
                    )));
                }
                ServerStatus::Active
                | ServerStatus::Shutoff
                | ServerStatus::Paused
                | ServerStatus::Error => {}
            }
            table::set_rebuild(tx, id, &sealed, ctx.generation()).await?;
            self.record_next(tx, &s).await?;
            table::get_in(tx, id).await
        })?;
        require_visible(ctx, made, id).map(ServerRow::shown)
    }

    async fn console(&self, ctx: &Ctx, id: &ServerId, lines: u32) -> Result<String> {
        let s = require_visible(ctx, table::get(&self.db, id).await?, id)?;
        self.host.logs(&s.container(), lines).await
    }
}

fn require_visible(ctx: &Ctx, found: Option<ServerRow>, id: &ServerId) -> Result<ServerRow> {
    match found {
        Some(s) if is_visible(ctx, &s.project_id) => Ok(s),
        _ => Err(Error::not_found("Server", id)),
    }
}

impl Compute {
    /// Builds the row of a new server, resolving all references.
    async fn validated(&self, ctx: &Ctx, new: &NewServer) -> Result<ServerRow> {
        if new.name.is_empty() || new.name.len() > 255 {
            return Err(Error::invalid(
                "name",
                "name: must have 1 to 255 characters",
            ));
        }
        if new.networks.is_empty() {
            return Err(Error::invalid(
                "networks",
                "networks: a server needs at least one port or network",
            ));
        }
        let image = Images::find(self, ctx, &new.image).await.map_err(|e| {
            if e.is_not_found() {
                Error::new(
                    Kind::NotFound,
                    format!(
                        "Image {0} could not be found; run `jeroboam image build {0}`.",
                        new.image
                    ),
                )
            } else {
                e
            }
        })?;
        let flavor = Flavors::find(self, ctx, &new.flavor).await?;
        if let Some(key) = &new.key_name {
            Keypairs::find(self, ctx, key).await?;
        }
        let nics = new.networks.iter().map(|n| match n {
            Attach::Port(id) => Nic {
                port_id: id.clone(),
                network_id: None,
            },
            Attach::Network(id) => Nic {
                port_id: PortId::random(),
                network_id: Some(id.clone()),
            },
        });
        Ok(ServerRow {
            id: new.id.clone(),
            project_id: new.project_id.clone(),
            user_id: new.user_id.clone(),
            name: new.name.clone(),
            status: ServerStatus::Build,
            progress: None,
            fault_code: None,
            fault: None,
            is_node: is_node(&image),
            flavour: image.flavour()?,
            image_id: image.id,
            reference: image.reference,
            flavor_id: flavor.id,
            vcpus: flavor.vcpus,
            ram: flavor.ram,
            host: None,
            networks: Json(nics.collect()),
            addresses: Json(vec![]),
            user_data: new
                .user_data
                .as_deref()
                .map(|text| self.sealer.seal(text))
                .transpose()?,
            metadata: Json(new.metadata.clone()),
            trouble_since: None,
            launched_at: None,
            owner_kind: new.owner.as_ref().map(|o| o.kind.clone()),
            owner_id: new.owner.as_ref().map(|o| o.id.clone()),
            created_at: clock::now(),
            build: 1,
            rebuilt_generation: None,
            isolation: new.isolation,
        })
    }

    /// Places a server and writes its objects to the ledger, or sets it to
    /// ERROR if no host has capacity. Returns whether it was placed.
    pub(super) async fn place(&self, tx: &mut Tx, s: &ServerRow) -> Result<bool> {
        match place(tx, &self.config, s.resource_request()).await? {
            Placement::On(host) => {
                table::set_host(tx, &s.id, &host).await?;
                self.record(tx, s, &host).await?;
                Ok(true)
            }
            // Without a host nothing can be claimed; the first run queries the
            // host.
            Placement::NoHost => Ok(false),
            Placement::Full(why) => {
                table::set_unplaced(tx, &s.id, &why).await?;
                if let Some(owner) = s.owner() {
                    db::mark(tx, &owner.kind, &owner.id).await?;
                }
                Ok(false)
            }
        }
    }

    /// Writes the objects of the next build of a server to the ledger.
    pub(super) async fn record_next(&self, tx: &mut Tx, s: &ServerRow) -> Result<()> {
        let Some(host) = &s.host else {
            return Ok(());
        };
        let next = ServerRow {
            build: s.build + 1,
            ..s.clone()
        };
        self.record(tx, &next, host).await
    }

    /// Writes the objects of a build to the ledger.
    async fn record(&self, tx: &mut Tx, s: &ServerRow, host: &str) -> Result<()> {
        let (container, volumes) = (s.container(), s.volumes());
        ledger::table::add(tx, (&s.id, s.build), host, &container, &volumes).await
    }
}
