//! Loading the users of a token.

use db::Db;
use kernel::Result;

use crate::errors::unauthenticated;
use crate::project::Project;
use crate::project::reader::ProjectReader;
use crate::user::{self, User};

/// An enabled user of an enabled domain, with the domain.
pub(super) async fn user_and_domain(
    db: &Db,
    projects: &mut ProjectReader<'_>,
    id: &str,
) -> Result<(User, Project)> {
    let user = user::table::by_id(db, id).await?;
    let user = user
        .filter(|u| u.enabled)
        .ok_or_else(|| unauthenticated("user was deleted or is disabled"))?;
    let domain = projects.by_id(&user.domain_id).await?;
    let domain = domain
        .filter(|d| d.enabled)
        .ok_or_else(|| unauthenticated("domain was deleted or is disabled"))?;
    Ok((user, domain))
}
