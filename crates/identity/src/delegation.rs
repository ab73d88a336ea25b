//! Tokens of a delegation, such as those of an application credential: they have a part
//! of the user's rights, and must not reach secrets that give all of them.

use kernel::{Error, Result};

use crate::call::Call;
use crate::errors::forbidden_action;
use crate::token::ops::validate::validate;

/// Whether the token of the caller is that of a delegation. What a token was issued for
/// never changes, so a cached one is sufficient.
pub(crate) async fn is_delegated<B>(call: &Call<B>) -> Result<bool> {
    let token = call.header("x-auth-token");
    let token = token.ok_or_else(Error::unauthenticated)?;
    Ok(validate(&call.state, token).await?.is_delegated())
}

/// # Errors
/// `Forbidden` with Keystone's text for the token of a delegation.
pub(crate) async fn refuse_delegated<B>(call: &Call<B>) -> Result<()> {
    if is_delegated(call).await? {
        return Err(forbidden_action(
            "Delegated tokens cannot access credentials directly",
        ));
    }
    Ok(())
}
