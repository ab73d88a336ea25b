//! Servers as the face offers them.

use async_trait::async_trait;
use db::Tx;
use kernel::{Ctx, Error, Kind, OwnerKey, Result, ids};
use network::access::{may_own, sees};

use super::model::{Nic, Srv};
use super::{reconcile::KIND, table};
use crate::Compute;
use crate::face::{
    Attach, Flavors, Images, Keypairs, NewServer, Server, ServerStatus, Servers as Face,
};
use crate::host::{Ask, Placement, place};
use crate::image::is_node;
use crate::ledger;

#[async_trait]
impl Face for Compute {
    async fn create(&self, ctx: &Ctx, new: NewServer) -> Result<Server> {
        may_own(ctx, &new.project_id)?;
        if let Some(found) = table::get(&self.db, &new.id).await? {
            return mine(ctx, Some(found), &new.id).map(Srv::shown);
        }
        let server = self.checked(ctx, &new).await?;
        let mut tx = self.db.begin().await?;
        match table::insert(&mut tx, &server, &new.user_id).await {
            Ok(()) => {}
            Err(e) if e.kind == Kind::AlreadyExists => {
                drop(tx);
                return Face::show(self, ctx, &new.id).await;
            }
            Err(e) => return Err(e),
        }
        self.place(&mut tx, &server).await?;
        let made = table::get_in(&mut tx, &new.id).await?;
        tx.commit().await?;
        mine(ctx, made, &new.id).map(Srv::shown)
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Server> {
        mine(ctx, table::get(&self.db, id).await?, id).map(Srv::shown)
    }

    async fn of_owner(&self, ctx: &Ctx, owner: &OwnerKey) -> Result<Vec<Server>> {
        let found = table::of_owner(&self.db, owner).await?;
        let own = |s: &Srv| sees(ctx, &s.project_id);
        Ok(found.into_iter().filter(own).map(Srv::shown).collect())
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        match table::get(&self.db, id).await? {
            Some(s) if sees(ctx, &s.project_id) && s.status != ServerStatus::Deleting => {}
            _ => return Ok(()),
        }
        let mut tx = self.db.begin().await?;
        table::set_deleting(&mut tx, id).await?;
        db::mark(&mut tx, KIND, id).await?;
        tx.commit().await
    }

    async fn rebuild(&self, ctx: &Ctx, id: &str, user_data: &str) -> Result<Server> {
        let s = mine(ctx, table::get(&self.db, id).await?, id)?;
        if s.status == ServerStatus::Build {
            return Ok(s.shown());
        }
        let mut tx = self.db.begin().await?;
        if !table::set_rebuild(&mut tx, id, &self.sealer.seal(user_data)?).await? {
            return Err(Error::conflict(format!(
                "server {} is being removed and cannot be rebuilt",
                s.name
            )));
        }
        db::mark(&mut tx, KIND, id).await?;
        let made = table::get_in(&mut tx, id).await?;
        tx.commit().await?;
        mine(ctx, made, id).map(Srv::shown)
    }

    async fn console(&self, ctx: &Ctx, id: &str, lines: u32) -> Result<String> {
        let s = mine(ctx, table::get(&self.db, id).await?, id)?;
        self.host.logs(&s.container(), lines).await
    }
}

fn mine(ctx: &Ctx, found: Option<Srv>, id: &str) -> Result<Srv> {
    match found {
        Some(s) if sees(ctx, &s.project_id) => Ok(s),
        _ => Err(Error::not_found("Server", id)),
    }
}

impl Compute {
    /// The row of a new server, everything it names looked up.
    async fn checked(&self, ctx: &Ctx, new: &NewServer) -> Result<Srv> {
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
                port_id: ids::uuid(),
                network_id: Some(id.clone()),
            },
        });
        Ok(Srv {
            id: new.id.clone(),
            project_id: new.project_id.clone(),
            name: new.name.clone(),
            status: ServerStatus::Build,
            progress: None,
            fault: None,
            node: is_node(&image),
            flavour: image.flavour()?,
            image_id: image.id,
            reference: image.reference,
            flavor_id: flavor.id,
            ask: Ask {
                vcpus: flavor.vcpus,
                ram: flavor.ram,
            },
            host: None,
            nics: nics.collect(),
            addresses: vec![],
            user_data: new
                .user_data
                .as_deref()
                .map(|text| self.sealer.seal(text))
                .transpose()?,
            metadata: new.metadata.clone(),
            trouble_since: None,
            launched_at: None,
            owner: new.owner.clone(),
        })
    }

    /// Places a server and writes its objects to the ledger, or ends it in
    /// ERROR where no host can take it. Whether it is placed.
    pub(super) async fn place(&self, tx: &mut Tx, s: &Srv) -> Result<bool> {
        let placed = match place(tx, &self.config, s.ask).await? {
            Placement::On(host) => {
                table::set_host(tx, &s.id, &host).await?;
                ledger::table::add(tx, &s.container(), "container", &s.id, &host).await?;
                for volume in s.volumes() {
                    ledger::table::add(tx, &volume, "volume", &s.id, &host).await?;
                }
                true
            }
            // Nothing to claim from: the first run asks the host.
            Placement::NoHost => false,
            Placement::Full(why) => {
                table::set_fault(tx, &s.id, &why).await?;
                if let Some(owner) = &s.owner {
                    db::mark(tx, &owner.kind, &owner.id).await?;
                }
                return Ok(false);
            }
        };
        db::mark(tx, KIND, &s.id).await?;
        Ok(placed)
    }
}
