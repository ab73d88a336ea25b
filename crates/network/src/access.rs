//! Visibility of rows for a caller: pure.

use kernel::{Ctx, Error, ProjectId, Result, Scope};

/// Whether rows of this project are visible to the caller. Roles do not matter,
/// because service contexts of a project also have the admin role.
#[must_use]
pub fn is_visible(ctx: &Ctx, project_id: &ProjectId) -> bool {
    match &ctx.scope {
        Scope::System => true,
        Scope::Project { id, .. } => id == project_id,
        Scope::Domain { .. } | Scope::Unscoped => false,
    }
}

/// Checks whether the caller may create a row for this project.
///
/// # Errors
/// `Forbidden` for another project.
pub fn check_may_own(ctx: &Ctx, project_id: &ProjectId) -> Result<()> {
    if is_visible(ctx, project_id) {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "project_id: '{project_id}' is not the project of the token"
    )))
}
