//! The bootstrap protocol without a wire.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use kernel::{Error, Kind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

/// Longest body of an answer, bytes.
const BODY: usize = 1 << 20;

/// One agent's way to the server.
pub(super) struct Channel {
    pub(super) router: Router,
    pub(super) session: String,
}

impl Channel {
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Option<T>> {
        let body = Body::from(serde_json::to_vec(body)?);
        self.call(Method::POST, path, body).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        self.call(Method::GET, path, Body::empty()).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Option<T>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", nodewire::PREFIX))
            .header("authorization", format!("Bearer {}", self.session))
            .header("content-type", "application/json")
            .body(body)
            .map_err(Error::internal)?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), BODY)
            .await
            .map_err(Error::internal)?;
        if status.is_success() {
            if status == StatusCode::NO_CONTENT {
                return Ok(None);
            }
            return Ok(Some(serde_json::from_slice(&bytes)?));
        }
        let why = String::from_utf8_lossy(&bytes).into_owned();
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Unauthenticated,
            _ => Kind::Unavailable { retry_after: 1 },
        };
        Err(Error::new(kind, why))
    }
}
