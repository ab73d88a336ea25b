//! The hierarchy of projects: what is above a project, and what is below it.

use db::Db;
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

/// The projects directly below a project.
pub(crate) async fn children(db: &Db, id: &str) -> Result<Vec<Project>> {
    let all = table::list(db).await?;
    Ok(all
        .into_iter()
        .filter(|p| p.parent_id.as_deref() == Some(id))
        .collect())
}
