//! The port of authentication.

use async_trait::async_trait;
use kernel::{Ctx, Result};

/// Turns a token into the caller; implemented by `identity`.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// # Errors
    /// `Unauthenticated` where the token is unknown, expired or revoked.
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx>;
}
