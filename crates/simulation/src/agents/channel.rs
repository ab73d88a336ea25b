//! The bootstrap protocol without a network.

use std::collections::VecDeque;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use kernel::{Error, Kind, Result};
use nodewire::{Hello, Lines, Received};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

/// Maximum size of an answer, bytes.
const BODY: usize = 1 << 20;

/// The connection of one agent to the server.
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

    /// Opens the session; the first frame accepts it.
    pub(super) async fn session(&self, hello: &Hello) -> Result<Frames> {
        let body = Body::from(serde_json::to_vec(hello)?);
        let answer = self.send(Method::POST, "session", body).await?;
        Ok(Frames::of(answer.into_body()))
    }

    /// Opens the stream of tasks.
    pub(super) async fn tasks(&self) -> Result<Frames> {
        let answer = self.send(Method::GET, "tasks", Body::empty()).await?;
        Ok(Frames::of(answer.into_body()))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Option<T>> {
        let answer = self.send(method, path, body).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let bytes = axum::body::to_bytes(answer.into_body(), BODY)
            .await
            .map_err(Error::internal)?;
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// # Errors
    /// The error in the answer of the server.
    async fn send(&self, method: Method, path: &str, body: Body) -> Result<Response> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", nodewire::SESSION_PREFIX))
            .header("authorization", format!("Bearer {}", self.session))
            .header("content-type", "application/json")
            .body(body)
            .map_err(Error::internal)?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = axum::body::to_bytes(response.into_body(), BODY)
            .await
            .map_err(Error::internal)?;
        let why = String::from_utf8_lossy(&bytes).into_owned();
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Unauthenticated,
            _ => Kind::Unavailable { retry_after: 1 },
        };
        Err(Error::new(kind, why))
    }
}

/// The frames of an endless body.
pub(super) struct Frames {
    body: Body,
    lines: Lines,
    ready: VecDeque<Received>,
}

impl Frames {
    fn of(body: Body) -> Self {
        Self {
            body,
            lines: Lines::default(),
            ready: VecDeque::new(),
        }
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    /// Unavailable: the server has ended the stream.
    pub(super) async fn next(&mut self) -> Result<Received> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(frame);
            }
            let ended = || Error::unavailable("the stream has ended");
            let part = self.body.frame().await.ok_or_else(ended)?;
            let part = part.map_err(|_| ended())?;
            if let Some(bytes) = part.data_ref() {
                let lines = self.lines.add(bytes).map_err(|_| ended())?;
                self.ready.extend(lines.iter().map(|l| Received::read(l)));
            }
        }
    }
}
