//! Authentication of callers, implemented by `identity`.

use async_trait::async_trait;
use http::{HeaderMap, Method};
use kernel::{Ctx, Error, Result};

/// Authenticates a token.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// # Errors
    /// `Unauthenticated` if the token is unknown, expired or revoked.
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx>;

    /// As [`Authenticator::authenticate`], for a route that may change something.
    /// A service whose changes must not rely on an earlier result overrides it.
    ///
    /// # Errors
    /// Same errors as [`Authenticator::authenticate`].
    async fn authenticate_change(&self, token: &str, request_id: &str) -> Result<Ctx> {
        self.authenticate(token, request_id).await
    }
}

/// Authenticates by `X-Auth-Token`, the only header that OpenStack clients use.
pub(crate) async fn caller(
    authenticator: &dyn Authenticator,
    (method, headers): (&Method, &HeaderMap),
    request_id: &str,
) -> Result<Ctx> {
    let token = headers
        .get("x-auth-token")
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .ok_or_else(Error::unauthenticated)?;
    if method.is_safe() {
        authenticator.authenticate(token, request_id).await
    } else {
        authenticator.authenticate_change(token, request_id).await
    }
}
