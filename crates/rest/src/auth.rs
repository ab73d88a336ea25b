//! Authentication of callers, implemented by `identity`.

use async_trait::async_trait;
use http::HeaderMap;
use kernel::{Ctx, Error, Result};

/// Authenticates a token.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// # Errors
    /// `Unauthenticated` if the token is unknown, expired or revoked.
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx>;
}

/// Authenticates by `X-Auth-Token`, the only header that OpenStack clients use.
pub(crate) async fn caller(
    authenticator: &dyn Authenticator,
    headers: &HeaderMap,
    request_id: &str,
) -> Result<Ctx> {
    let token = headers
        .get("x-auth-token")
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .ok_or_else(Error::unauthenticated)?;
    authenticator.authenticate(token, request_id).await
}
