//! Creating, changing and deleting credentials of users.

use db::{Table as _, Tx};
use kernel::{Error, Kind, Result, UserId};

use super::wire::UserCredentialFields;
use super::{PURPOSE, UserCredential, blob, is_ec2, table};
use crate::attributes::{Attributes, merge_extra};
use crate::errors::{as_conflict, missing};
use crate::role::effective;
use crate::state::State;
use crate::{project, user};

/// Maximum number of credentials of a user, so that no user can fill the database;
/// Keystone has the option `user_limit` for it.
const USER_LIMIT: i64 = 100;

/// Which projects a new credential can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Projects {
    /// All projects.
    Any,
    /// Those on which the user has a role, because users must not learn which other
    /// projects exist.
    OfUser,
}

pub(crate) async fn get(state: &State, id: &str) -> Result<UserCredential> {
    let found = table::by_id(&state.db, id).await?;
    found.ok_or_else(|| missing("credential", id))
}

/// The unsealed blob of a credential.
///
/// # Errors
/// `Internal` if the key that sealed it is missing.
pub(crate) fn unseal(state: &State, c: &UserCredential) -> Result<String> {
    let blob = state.sealer.unseal_text(&purpose(&c.id), &c.blob_sealed)?;
    Ok(blob.to_string())
}

fn seal(state: &State, id: &str, blob: &str) -> Result<String> {
    state.sealer.seal(&purpose(id), blob.as_bytes())
}

fn purpose(id: &str) -> String {
    PURPOSE.replace("{}", id)
}

/// Creates a credential of an existing user.
pub(crate) async fn create(
    state: &State,
    user_id: &UserId,
    fields: UserCredentialFields,
    projects: Projects,
) -> Result<UserCredential> {
    let id = if is_ec2(&fields.kind) {
        if fields.project_id.is_none() {
            let text = "'project_id' is a required property";
            return Err(Error::invalid("project_id", text));
        }
        blob::id_of(&blob::access(&fields.blob)?)
    } else {
        kernel::ids::hex()
    };
    let mut credential = UserCredential {
        blob_sealed: seal(state, &id, &fields.blob)?,
        id,
        user_id: user_id.clone(),
        project_id: fields.project_id.map(Into::into),
        kind: fields.kind,
        extra: Attributes::default(),
    };
    merge_extra(&mut credential.extra.0, fields.extra)?;
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        lock_references(tx, &credential, projects).await?;
        refuse_beyond_limit(tx, user_id).await?;
        credential.insert(tx).await
    })
    .map_err(|e| {
        let text = format!(
            "Conflict occurred attempting to store credential - Duplicate entry found with ID {}.",
            credential.id
        );
        as_conflict(e, text)
    })?;
    Ok(credential)
}

/// Locks the project and the user, so that neither is deleted before the credential is
/// stored.
async fn lock_references(tx: &mut Tx, c: &UserCredential, projects: Projects) -> Result<()> {
    if let Some(id) = &c.project_id {
        let found = project::table::lock(tx, id).await?;
        let mut is_known = found.is_some_and(|p| !p.is_domain);
        if projects == Projects::OfUser {
            let held = effective::read_on_target(tx, &c.user_id, "project", id).await?;
            is_known &= !held.is_empty();
        }
        if !is_known {
            return Err(missing("project", id));
        }
    }
    let found = user::table::lock(tx, &c.user_id).await?;
    found.map(|_| ()).ok_or_else(|| missing("user", &c.user_id))
}

/// The user is locked, because requests that count at the same time would exceed the
/// limit together.
async fn refuse_beyond_limit(tx: &mut Tx, user_id: &UserId) -> Result<()> {
    if table::count_of_user(tx, user_id).await? >= USER_LIMIT {
        return Err(Error::new(
            Kind::Forbidden,
            format!(
                "Unable to create additional credentials, maximum of {USER_LIMIT} already exceeded for user."
            ),
        ));
    }
    Ok(())
}

/// Replaces the blob; the id of a key pair of EC2 stays, as in Keystone.
pub(crate) async fn update(state: &State, id: &str, new: &str) -> Result<UserCredential> {
    let sealed = seal(state, id, new)?;
    db::write!(state.db, |tx| {
        // The old blob cannot be restored.
        tx.write_receipt().await?;
        let found = table::lock(tx, id).await?;
        let mut credential = found.ok_or_else(|| missing("credential", id))?;
        if credential.is_ec2() {
            blob::check_change(&unseal(state, &credential)?, new)?;
        }
        table::set_blob(tx, id, &sealed).await?;
        credential.blob_sealed.clone_from(&sealed);
        Ok(credential)
    })
}

pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if table::delete(tx, id).await? == 0 {
            return Err(missing("credential", id));
        }
        Ok(())
    })
}
