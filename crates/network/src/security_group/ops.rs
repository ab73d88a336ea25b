//! The security group operations of the interface.

use async_trait::async_trait;
use kernel::{Ctx, Error, Kind, Result};

use super::table;
use crate::access::{check_may_own, is_visible};
use crate::api::{NewSecurityGroup, SecurityGroup, SecurityGroups};
use crate::{NetworkService, SecurityGroupId};

/// Kind for generations and tombstones.
const KIND: &str = "security_group";

#[async_trait]
impl SecurityGroups for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewSecurityGroup) -> Result<SecurityGroup> {
        check_may_own(ctx, &new.project_id)?;
        let made = db::write!(self.db, |tx| {
            db::check_generation(tx, KIND, &new.id, ctx.generation()).await?;
            table::insert(tx, &new).await
        });
        match made {
            Err(e) if e.kind != Kind::AlreadyExists => Err(e),
            _ => SecurityGroups::show(self, ctx, &new.id).await,
        }
    }

    async fn show(&self, ctx: &Ctx, id: &SecurityGroupId) -> Result<SecurityGroup> {
        match table::get(&self.db, id).await? {
            Some(g) if is_visible(ctx, &g.project_id) => Ok(g.shown()),
            _ => Err(Error::not_found("Security group", id)),
        }
    }

    async fn delete(&self, ctx: &Ctx, id: &SecurityGroupId) -> Result<()> {
        match table::get(&self.db, id).await? {
            Some(g) if is_visible(ctx, &g.project_id) => {}
            None if ctx.generation().is_some() => {}
            _ => return Ok(()),
        }
        db::write!(self.db, |tx| {
            db::record_tombstone(tx, KIND, id, ctx.generation()).await?;
            table::drop_row(tx, id).await
        })
    }
}
