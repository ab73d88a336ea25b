//! The hierarchy of projects: what is above a project, and what is below it.

use db::Tx;
use kernel::Result;

use super::reader::ProjectReader;
use super::{MAX_DEPTH, Project, table};

/// The domain of a project, if the domain and all projects between them are
/// enabled.
pub(crate) async fn enabled_domain_of(
    projects: &mut ProjectReader<'_>,
    project: &Project,
) -> Result<Option<Project>> {
    let mut parent = project.parent_id.clone();
    for _ in 0..=MAX_DEPTH {
        match parent.filter(|id| **id != *project.domain_id) {
            None => break,
            Some(id) => match projects.by_id(&id).await? {
                Some(above) if above.enabled => parent = above.parent_id,
                _ => return Ok(None),
            },
        }
    }
    let domain = projects.by_id(&project.domain_id).await?;
    Ok(domain.filter(|d| d.enabled))
}

/// Whether one of the projects between a project and its domain is disabled or was
/// deleted. The caller has locked the domain.
pub(crate) async fn is_below_disabled(tx: &mut Tx, project: &Project) -> Result<bool> {
    let mut parent = project.parent_id.clone();
    for _ in 0..=MAX_DEPTH {
        let Some(id) = parent.filter(|id| **id != *project.domain_id) else {
            break;
        };
        match table::read(tx, &id).await? {
            Some(above) if above.enabled => parent = above.parent_id,
            _ => return Ok(true),
        }
    }
    Ok(false)
}
