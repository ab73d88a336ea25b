//! Revoking tokens.

use kernel::{Kind, Result};

use crate::state::State;
use crate::token::time::{EXPIRED_WINDOW, TokenTime};
use crate::token::{Valid, table};

/// Which tokens a revocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The token and all that were issued from it or from its ancestors.
    Chain,
    /// This token only.
    One,
}

/// Revokes tokens; takes effect on this server at once.
pub(crate) async fn revoke(state: &State, valid: &Valid, extent: Extent) -> Result<()> {
    let now = TokenTime::now();
    let revoked = db::write!(state.db, |tx| {
        table::forget(tx, now - EXPIRED_WINDOW).await?;
        // The first audit id is the token's own, the last one that of the
        // chain's first token, which every token of the chain carries.
        let ids = &valid.payload.audit_ids;
        let revoked = match extent {
            Extent::Chain => ids.last().cloned(),
            Extent::One => ids.first().map(|own| table::single(own)),
        };
        if let Some(id) = revoked {
            table::revoke(tx, &id, valid.payload.expires_at).await?;
        }
        Ok(())
    });
    state.cache.clear();
    match revoked {
        // Another request revokes the same token concurrently.
        Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
        other => other,
    }
}
