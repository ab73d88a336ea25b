//! Creating, changing and deleting regions.

use db::{Table as _, Tx};
use kernel::{Error, Result, ids};

use crate::attributes::{Attributes, merge_extra};
use crate::catalog::wire::RegionFields;
use crate::catalog::{Region, table};
use crate::errors::{as_conflict, missing};
use crate::legacy_policy;
use crate::state::State;

pub(crate) async fn get(state: &State, id: &str) -> Result<Region> {
    let found = table::region(&state.db, id).await?;
    found.ok_or_else(|| missing("region", id))
}

/// Creates a region with the id of the path or of the body, or with a random one.
pub(crate) async fn create(
    state: &State,
    path_id: Option<&str>,
    fields: RegionFields,
) -> Result<Region> {
    let given = fields.id.clone().filter(|id| !id.is_empty());
    if let (Some(path), Some(body)) = (path_id, &given)
        && path != body
    {
        let text = format!("Conflicting region IDs specified: \"{path}\" != \"{body}\"");
        return Err(Error::invalid("id", text));
    }
    let mut region = Region {
        id: path_id
            .map(str::to_owned)
            .or(given)
            .unwrap_or_else(ids::hex),
        description: String::new(),
        parent_region_id: None,
        extra: Attributes::default(),
    };
    apply(&mut region, fields)?;
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        if let Some(parent) = &region.parent_region_id {
            check_parent(tx, &region.id, parent).await?;
        }
        region.insert(tx).await
    })
    .map_err(|e| {
        let text = format!(
            "Conflict occurred attempting to store region - Duplicate ID, {}..",
            region.id
        );
        as_conflict(e, text)
    })?;
    Ok(region)
}

pub(crate) async fn update(state: &State, id: &str, fields: RegionFields) -> Result<Region> {
    db::write!(state.db, |tx| {
        tx.serialize().await?;
        let all = table::read_regions(tx).await?;
        let found = all.into_iter().find(|r| r.id == id);
        let mut region = found.ok_or_else(|| missing("region", id))?;
        apply(&mut region, fields.clone())?;
        if let Some(parent) = &region.parent_region_id {
            check_parent(tx, id, parent).await?;
        }
        table::update_region(tx, &region).await?;
        Ok(region)
    })
}

fn apply(region: &mut Region, fields: RegionFields) -> Result<()> {
    if let Some(text) = fields.description {
        region.description = text.unwrap_or_default();
    }
    if let Some(parent) = fields.parent_region_id {
        region.parent_region_id = parent.filter(|id| !id.is_empty());
    }
    merge_extra(&mut region.extra.0, fields.extra)
}

/// The parent exists, and the region is not above it.
async fn check_parent(tx: &mut Tx, id: &str, parent_id: &str) -> Result<()> {
    let all = table::read_regions(tx).await?;
    if parent_id != id && all.iter().all(|r| r.id != parent_id) {
        return Err(missing("region", parent_id));
    }
    let mut at = Some(parent_id);
    // Bounded, although stored regions have no cycle.
    for _ in 0..=all.len() {
        let Some(above) = at else {
            return Ok(());
        };
        if above == id {
            break;
        }
        let found = all.iter().find(|r| r.id == above);
        at = found.and_then(|r| r.parent_region_id.as_deref());
    }
    Err(Error::invalid(
        "parent_region_id",
        format!(
            "The specified parent region {parent_id} would create a circular region hierarchy."
        ),
    ))
}

/// Deletes a region with the regions below it, if no endpoint is in them.
pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        let all = table::read_regions(tx).await?;
        if all.iter().all(|r| r.id != id) {
            return Err(missing("region", id));
        }
        let mut below = vec![id];
        let mut at = 0;
        while at < below.len() {
            let parent = Some(below[at]);
            for region in &all {
                let is_child = region.parent_region_id.as_deref() == parent;
                if is_child && !below.contains(&region.id.as_str()) {
                    below.push(&region.id);
                }
            }
            at += 1;
        }
        for region in &below {
            if table::has_endpoints(tx, region).await? {
                return Err(Error::forbidden(format!(
                    "Unable to delete region {id} because it or its child regions have associated endpoints."
                )));
            }
        }
        for region in &below {
            legacy_policy::table::delete_links_of_region(tx, region).await?;
            table::delete_region(tx, region).await?;
        }
        Ok(())
    })
}
