//! The keypair operations of the interface.

use async_trait::async_trait;
use kernel::{Ctx, Error, ProjectId, Result};

use super::table;
use crate::Compute;
use crate::api::{Keypair, Keypairs};

#[async_trait]
impl Keypairs for Compute {
    async fn find(&self, ctx: &Ctx, name: &str) -> Result<Keypair> {
        let shared = ProjectId::default();
        table::find(&self.db, ctx.project_id().unwrap_or(&shared), name)
            .await?
            .ok_or_else(|| Error::not_found("Keypair", name))
    }
}
