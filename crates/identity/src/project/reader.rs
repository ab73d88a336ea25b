//! Projects and domains that one request reads.

use db::Db;
use kernel::Result;

use super::{Project, table};

/// Reads each project and domain once: a login refers to the domain of the user
/// and to that of the project, which is mostly the same one. Not to be kept
/// longer than a request.
pub(crate) struct ProjectReader<'a> {
    db: &'a Db,
    seen: Vec<Project>,
}

impl<'a> ProjectReader<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self {
            db,
            seen: Vec::new(),
        }
    }

    /// # Errors
    /// Same errors as [`Db::query`].
    pub(crate) async fn by_id(&mut self, id: &str) -> Result<Option<Project>> {
        if let Some(found) = self.seen.iter().find(|p| p.id == *id) {
            return Ok(Some(found.clone()));
        }
        let found = table::by_id(self.db, id).await?;
        Ok(self.keep(found))
    }

    /// `domain_id` is empty for domains.
    ///
    /// # Errors
    /// Same errors as [`Db::query`].
    pub(crate) async fn by_name(&mut self, domain_id: &str, name: &str) -> Result<Option<Project>> {
        let found = table::by_name(self.db, domain_id, name).await?;
        Ok(self.keep(found))
    }

    fn keep(&mut self, found: Option<Project>) -> Option<Project> {
        self.seen.extend(found.clone());
        found
    }
}
