//! Argon2id hashes, computed outside of the async threads, as many at the same
//! time as there are cores.

use std::sync::LazyLock;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use kernel::{Error, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A caller that waits longer than this for a core is refused.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Each hash takes 19 MiB and one core.
static CORES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, Into::into)));

/// Waits until a core is free. The blocking task holds the permit, because it
/// continues when its caller is gone.
async fn permit() -> Result<SemaphorePermit<'static>> {
    match tokio::time::timeout(MAX_WAIT, CORES.acquire()).await {
        Ok(permit) => permit.map_err(Error::internal),
        Err(_) => Err(Error::unavailable(
            "Too many passwords are being checked; try again in a few seconds.",
        )),
    }
}

/// 19 MiB, two passes: OWASP's first recommendation.
fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes a password.
pub(crate) async fn hash(password: String) -> Result<String> {
    let permit = permit().await?;
    let made = tokio::task::spawn_blocking(move || {
        let _permit = permit;
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
    let permit = permit().await?;
    let checked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_password_that_waits_too_long_for_a_core_is_refused() {
        let all = u32::try_from(CORES.available_permits()).unwrap();
        let busy = CORES.acquire_many(all).await.unwrap();
        let e = verify("secret".into(), None).await.unwrap_err();
        assert!(matches!(e.kind, kernel::Kind::Unavailable { .. }), "{e}");
        drop(busy);
        assert!(!verify("secret".into(), None).await.unwrap());
        assert_eq!(CORES.available_permits(), usize::try_from(all).unwrap());
    }
}
