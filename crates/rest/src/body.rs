//! Reading JSON bodies.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use kernel::{Error, Kind, Result};
use serde_json::Value;

/// Bodies of the OpenStack APIs are small; templates are the largest ones.
pub const LIMIT: usize = 2 * 1024 * 1024;

/// Reads a whole body.
///
/// # Errors
/// `Invalid` if it is longer than `limit` bytes or incomplete.
pub async fn bytes(body: Body, limit: usize) -> Result<bytes::Bytes> {
    axum::body::to_bytes(body, limit).await.map_err(|e| {
        Error::invalid(
            "body",
            format!("The request body could not be read (at most {limit} bytes)."),
        )
        .context(e)
    })
}

/// Parses a JSON body. A missing media type and `application/octet-stream` are
/// accepted, because clients send them.
///
/// # Errors
/// `NotSupported` 415 for another media type, `Invalid` if it is not JSON.
pub fn json(bytes: &[u8], headers: &HeaderMap) -> Result<Value> {
    let media = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let essence = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let known = essence.is_empty()
        || essence == "application/json"
        || essence == "application/octet-stream"
        || essence.ends_with("+json");
    if !known {
        return Err(Error::new(
            Kind::NotSupported { status: 415 },
            format!("Unknown mimetype: {essence}"),
        ));
    }
    serde_json::from_slice(bytes)
        .map_err(|e| Error::invalid("body", "Request is not in valid JSON format").context(e))
}
