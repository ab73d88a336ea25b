//! Security groups as the face offers them.

use async_trait::async_trait;
use kernel::{Ctx, Error, Kind, Result};

use super::table;
use crate::NetworkService;
use crate::access::{may_own, sees};
use crate::face::{NewSecurityGroup, SecurityGroup, SecurityGroups};

#[async_trait]
impl SecurityGroups for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewSecurityGroup) -> Result<SecurityGroup> {
        may_own(ctx, &new.project_id)?;
        let mut tx = self.db.begin().await?;
        match table::insert(&mut tx, &new).await {
            Ok(()) => tx.commit().await?,
            Err(e) if e.kind == Kind::AlreadyExists => drop(tx),
            Err(e) => return Err(e),
        }
        SecurityGroups::show(self, ctx, &new.id).await
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<SecurityGroup> {
        match table::get(&self.db, id).await? {
            Some(g) if sees(ctx, &g.project_id) => Ok(g.group),
            _ => Err(Error::not_found("Security group", id)),
        }
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        match table::get(&self.db, id).await? {
            Some(g) if sees(ctx, &g.project_id) => {}
            _ => return Ok(()),
        }
        let mut tx = self.db.begin().await?;
        table::drop_row(&mut tx, id).await?;
        tx.commit().await
    }
}
