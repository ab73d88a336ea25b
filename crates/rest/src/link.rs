//! Links in answers, built from the host of the request.

use axum::http::HeaderMap;

use crate::query::encode;

/// `http://HOST` of a request, or the configured public endpoint. Forwarded
/// headers are ignored, because they are trusted only from configured proxies.
#[must_use]
pub fn base(headers: &HeaderMap, public_endpoint: Option<&str>) -> String {
    match public_endpoint {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None => {
            let host = headers
                .get("host")
                .and_then(|v| v.to_str().ok())
                .unwrap_or("localhost");
            format!("http://{host}")
        }
    }
}

/// `PATH?a=b&c=d`, encoded.
#[must_use]
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<String> = pairs
        .iter()
        .map(|(k, v)| format!("{}={}", encode(k), encode(v)))
        .collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}
