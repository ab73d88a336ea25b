//! The image operations of the interface. All images are public and registered
//! by operators.

use async_trait::async_trait;
use kernel::{Ctx, Error, Result};

use super::table;
use crate::Compute;
use crate::api::{Image, Images, NewImage};

#[async_trait]
impl Images for Compute {
    async fn find(&self, _ctx: &Ctx, id_or_name: &str) -> Result<Image> {
        let mut found = table::find(&self.db, id_or_name).await?;
        match (found.len(), found.pop()) {
            (1, Some(image)) => Ok(image),
            (0, _) | (_, None) => Err(Error::not_found("Image", id_or_name)),
            // Names are unique, but an id may equal the name of another image.
            (_, Some(_)) => Err(Error::conflict(format!(
                "image: '{id_or_name}' is the id of one image and the name of another; rename the latter"
            ))),
        }
    }

    async fn list(&self, _ctx: &Ctx) -> Result<Vec<Image>> {
        table::list(&self.db).await
    }

    async fn register(&self, ctx: &Ctx, new: NewImage) -> Result<Image> {
        if !ctx.is_admin() {
            return Err(Error::forbidden(
                "Only an administrator may register images.",
            ));
        }
        for (field, value) in [("name", &new.name), ("reference", &new.reference)] {
            if value.is_empty() || value.len() > 255 {
                return Err(Error::invalid(
                    field,
                    format!("{field}: must have 1 to 255 characters"),
                ));
            }
        }
        new.flavour()?;
        db::write!(self.db, |tx| table::put(tx, &new).await)?;
        Images::find(self, ctx, &new.name).await
    }
}
