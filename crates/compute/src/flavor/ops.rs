//! The flavor operations of the interface.

use async_trait::async_trait;
use kernel::{Ctx, Error, Result};

use super::table;
use crate::Compute;
use crate::api::{Flavor, Flavors};

#[async_trait]
impl Flavors for Compute {
    async fn find(&self, _ctx: &Ctx, id_or_name: &str) -> Result<Flavor> {
        table::find(&self.db, id_or_name)
            .await?
            .ok_or_else(|| Error::not_found("Flavor", id_or_name))
    }

    async fn list(&self, _ctx: &Ctx) -> Result<Vec<Flavor>> {
        table::list(&self.db).await
    }
}
