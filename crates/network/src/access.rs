//! Whose rows a caller sees: pure.

use kernel::{Ctx, Error, Result, Scope};

/// Whether rows of this project exist for the caller. Roles do not matter:
/// what acts inside one project carries the admin role, too.
#[must_use]
pub fn sees(ctx: &Ctx, project_id: &str) -> bool {
    match &ctx.scope {
        Scope::System => true,
        Scope::Project { id, .. } => id == project_id,
        Scope::Domain { .. } | Scope::Unscoped => false,
    }
}

/// Whether the caller may make a row for this project.
///
/// # Errors
/// `Forbidden` where it is another's.
pub fn may_own(ctx: &Ctx, project_id: &str) -> Result<()> {
    if sees(ctx, project_id) {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "project_id: '{project_id}' is not the project of the token"
    )))
}
