//! HTTP on one connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Version};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Connection;
use super::body::{AnswerBody, RequestBody};

/// A PING is sent after this idle time and must be answered in time, so that
/// vanished peers are detected.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of concurrent streams of one connection.
const STREAMS: u32 = 64;

/// An extension of a request whose head is larger than the limit. The router
/// refuses it, because it knows the format of errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LargeHead;

/// Serves HTTP/1.1 until the connection ends. When `stop` is cancelled, a
/// request in process ends first.
pub async fn serve_http1(
    io: impl AsyncRead + AsyncWrite + Unpin,
    connection: Arc<Connection>,
    router: Router,
    stop: CancellationToken,
) {
    let header_bytes = connection.settings().header_bytes;
    connection.await_request(false);
    let service = service_fn(|request| answer(connection.clone(), router.clone(), request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // The timeout of the connection also covers the time between requests.
        .header_read_timeout(None)
        // hyper answers without a body. Only a head of more than twice the limit is
        // left to it.
        .max_header_size(size(header_bytes).saturating_mul(2))
        .serve_connection(TokioIo::new(io), service);
    let mut serving = std::pin::pin!(serving);
    let done = connection.run(async {
        tokio::select! {
            biased;
            done = serving.as_mut() => return done,
            () = stop.cancelled() => {}
        }
        if connection.awaits_head() {
            return Ok(());
        }
        serving.as_mut().graceful_shutdown();
        serving.as_mut().await
    });
    if let Some(Err(e)) = done.await {
        tracing::debug!(error = %e, "connection");
    }
}

/// Serves HTTP/2 until the connection ends.
pub async fn serve_http2(
    io: impl AsyncRead + AsyncWrite + Unpin,
    connection: Arc<Connection>,
    router: Router,
) {
    let header_bytes = connection.settings().header_bytes;
    connection.await_request(true);
    let service = service_fn(|request| answer(connection.clone(), router.clone(), request));
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(header_bytes)
        .serve_connection(TokioIo::new(io), service);
    if let Some(Err(e)) = connection.run(serving).await {
        tracing::debug!(error = %e, "connection");
    }
}

async fn answer(
    connection: Arc<Connection>,
    router: Router,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let exchange = Arc::new(connection.begin(request.body().is_end_stream()));
    let http2 = request.version() == Version::HTTP_2;
    let mut request = request.map(|body| Body::new(RequestBody::new(body, exchange.clone())));
    let large = head_size(&request) > size(connection.settings().header_bytes);
    if large {
        request.extensions_mut().insert(LargeHead);
    }
    let Ok(mut response) = router.oneshot(request).await;
    if (exchange.timed_out() || large) && !http2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    exchange.answered(response.status());
    Ok(response.map(|body| AnswerBody::new(body, exchange)))
}

fn size(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The size of the head of a request as HTTP/1.1 sends it, bytes.
fn head_size<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let authority = uri
        .authority()
        .map_or(0, |a| a.as_str().len() + "https://".len());
    let target = authority + uri.path_and_query().map_or(0, |p| p.as_str().len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() + "\r\n".len()
}
