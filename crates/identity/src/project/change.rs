//! Changes that projects and domains have in common.

use db::Tx;
use kernel::{Error, Result};

use super::wire::CommonFields;
use super::{Project, table};
use crate::attributes::merge_extra;
use crate::errors::immutable;
use crate::options;
use crate::token::time::TokenTime;

/// Applies the attributes of a request to a new or stored project or domain, of
/// which `kind` is the noun; returns whether its name is another one.
///
/// # Errors
/// `Forbidden` if it is immutable, `Invalid`.
pub(crate) fn apply(project: &mut Project, fields: CommonFields, kind: &str) -> Result<bool> {
    let was_immutable = options::is_set(&project.options.0, options::IMMUTABLE);
    if let Some(change) = fields.options {
        options::apply(options::Kind::Resource, &mut project.options.0, change)?;
    }
    if was_immutable && options::is_set(&project.options.0, options::IMMUTABLE) {
        return Err(immutable("update", kind, &project.id));
    }
    let mut renamed = false;
    if let Some(name) = fields.name {
        renamed = name != project.name;
        project.name = name;
    }
    if let Some(text) = fields.description {
        project.description = text.unwrap_or_default();
    }
    if let Some(enabled) = fields.enabled {
        if project.enabled && !enabled {
            // Enabling it again must not revive the tokens of the present second.
            project.tokens_after = TokenTime::now().next();
        }
        project.enabled = enabled;
    }
    if let Some(tags) = fields.tags {
        project.tags = tags;
    }
    merge_extra(&mut project.extra.0, fields.extra)?;
    Ok(renamed)
}

/// Names that differ in case only are refused, because they cannot be
/// distinguished on databases that ignore case.
pub(crate) async fn refuse_similar(tx: &mut Tx, project: &Project) -> Result<()> {
    if table::has_similar(tx, project).await? {
        return Err(Error::exists("A similar name exists."));
    }
    Ok(())
}
