//! The listener.

use axum::Router;
use kernel::{Error, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until `token` is cancelled, then lets running requests end.
///
/// # Errors
/// `Internal` if the listener fails.
pub async fn serve(listener: TcpListener, router: Router, token: CancellationToken) -> Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(token.cancelled_owned())
        .await
        .map_err(Error::internal)
}
