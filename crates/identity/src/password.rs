//! Argon2id hashes, computed outside of the async threads.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use kernel::{Error, Result};

/// 19 MiB, two passes: OWASP's first recommendation.
fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes a password.
pub(crate) async fn hash(password: String) -> Result<String> {
    let made = tokio::task::spawn_blocking(move || {
        let hash = hasher()?
            .hash_password(password.as_bytes())
            .map_err(Error::internal)?;
        Ok::<_, Error>(hash.to_string())
    });
    made.await.map_err(Error::internal)?
}

/// Checks a password against a hash. Without a hash the same work is done, so
/// that an unknown user takes as long as a wrong password.
pub(crate) async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    let checked = tokio::task::spawn_blocking(move || {
        let Some(hash) = hash else {
            let _ = hasher()?.hash_password(password.as_bytes());
            return Ok(false);
        };
        let parsed = PasswordHash::new(&hash).map_err(Error::internal)?;
        Ok::<_, Error>(
            hasher()?
                .verify_password(password.as_bytes(), &parsed)
                .is_ok(),
        )
    });
    checked.await.map_err(Error::internal)?
}
