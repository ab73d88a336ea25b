//! Requests that break the rules of HTTP, on a real socket: every answer has the
//! format of the service, and a request id.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use kernel::{Error, Result};
use rest::limits::{Connections, Settings as Limits};
use rest::{Access, Api, Asked, Call, Dialect, Json, RequestBody, Service, Settings, get, post};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const PUBLIC: Access = Access::Public("For the tests.");
/// The longest body of the service, bytes.
const LONGEST: usize = 100;
const HEADER_BYTES: u32 = 8192;
/// The time for a body, shorter than what a test waits for.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

/// The dialect of one of two services; each answer names it.
struct Named(&'static str);

impl Dialect for Named {
    fn render(&self, error: &Error, asked: &Asked<'_>) -> Response {
        let body = json!({
            "service": self.0,
            "message": error.message,
            "base": asked.base,
        });
        (rest::status_of(&error.kind), axum::Json(body)).into_response()
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

struct Anything(Value);

impl RequestBody for Anything {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn read(body: Option<Value>) -> Result<Self> {
        Ok(Self(body.unwrap_or_default()))
    }
}

async fn echo(call: Call<(), Anything>) -> Result<Json<Value>> {
    Ok(Json(call.body()?.0))
}

async fn base(call: Call<()>) -> Result<Json<Value>> {
    Ok(Json(json!({"base": call.parts.base})))
}

fn service(name: &'static str, prefix: &'static str) -> Service {
    let mut settings = Settings::new(name, prefix, Arc::new(Named(name)));
    settings.body_limit = LONGEST;
    let routes = vec![
        post("/echo", PUBLIC, "Answer the body.", echo),
        get("/base", PUBLIC, "Answer the base of links.", base),
    ];
    Service::new(settings, (), routes).unwrap()
}

/// The address of a server with two services.
async fn start() -> std::net::SocketAddr {
    let services = vec![service("things", "/things"), service("other", "")];
    let router = Api::new(services, Arc::new(Named("none")), None).into_router();
    let mut limits = Limits {
        header_bytes: HEADER_BYTES,
        ..Limits::default()
    };
    limits.timeouts.body_stall = SHORT;
    let connections = Connections::new(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the task ends with the test")]
    tokio::spawn(async move {
        let stop = CancellationToken::new();
        connections.serve(listener, router, stop).await;
    });
    at
}

struct Got {
    status: u16,
    head: String,
    body: Value,
}

/// Sends the text and reads until the server closes the connection.
async fn send(at: std::net::SocketAddr, text: &str) -> Got {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let read = stream.read_to_end(&mut all);
    // A reset is how a connection with unread bytes ends.
    let _ = tokio::time::timeout(LONG, read).await.unwrap();
    let all = String::from_utf8(all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    Got {
        status: head[9..12].parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}

impl Got {
    /// Checks the status, and that the answer is one of the service.
    fn is(&self, status: u16, service: &str, what: &str) {
        let Self { head, body, .. } = self;
        assert_eq!(self.status, status, "{what}: {head} {body}");
        assert_eq!(body["service"], service, "{what}: {head} {body}");
        assert!(
            head.contains("content-type: application/json"),
            "{what}: {head}"
        );
        assert!(
            head.contains("x-openstack-request-id: req-"),
            "{what}: {head}"
        );
    }
}

fn post_of(prefix: &str, headers: &str, body: &str) -> String {
    format!("POST {prefix}/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn a_malformed_body_is_not_a_large_one() {
    let at = start().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (prefix, name) in [("/things", "things"), ("", "other")] {
        for body in [
            "zz\r\n{}\r\n0\r\n\r\n",
            "ffffffffffffffffff\r\n{}",
            "2\r\n{}xx0\r\n\r\n",
        ] {
            let got = send(at, &post_of(prefix, chunked, body)).await;
            got.is(400, name, body);
            let text = got.body["message"].as_str().unwrap();
            assert!(text.contains("malformed or ended early"), "{text}");
        }
        let large = format!("{{\"a\": \"{}\"}}", "x".repeat(LONGEST));
        let length = format!("Content-Length: {}\r\n", large.len());
        send(at, &post_of(prefix, &length, &large))
            .await
            .is(413, name, "large");
        let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
        send(at, &post_of(prefix, chunked, &chunk))
            .await
            .is(413, name, "large chunk");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_a_large_one() {
    let at = start().await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    let text = post_of("/things", "Content-Length: 50\r\n", "{}");
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = String::new();
    let read = stream.read_to_string(&mut all);
    tokio::time::timeout(LONG, read).await.unwrap().unwrap();
    assert!(all.starts_with("HTTP/1.1 400 "), "{all}");
    assert!(all.contains("malformed or ended early"), "{all}");
}

#[tokio::test]
async fn a_late_body_is_refused_in_the_format_of_the_service() {
    let at = start().await;
    for (prefix, name) in [("/things", "things"), ("", "other")] {
        let got = send(at, &post_of(prefix, "Content-Length: 50\r\n", "{}")).await;
        got.is(408, name, "late");
        assert!(got.head.contains("connection: close"), "{}", got.head);
    }
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_asked_for() {
    let at = start().await;
    let expect = |length| format!("Expect: 100-continue\r\nContent-Length: {length}\r\n");
    let got = send(at, &post_of("/things", &expect(LONGEST + 1), "")).await;
    got.is(413, "things", "announced");
    let mut stream = TcpStream::connect(at).await.unwrap();
    let text = post_of("/things", &expect(2), "");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut part = [0; 12];
    stream.read_exact(&mut part).await.unwrap();
    assert_eq!(&part, b"HTTP/1.1 100");
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_the_answer() {
    let at = start().await;
    for _ in 0..5 {
        let large = "x".repeat(4 * 1024 * 1024);
        let length = format!("Content-Length: {}\r\n", large.len());
        // A reset would lose the answer.
        let got = send(at, &post_of("/things", &length, &large)).await;
        got.is(413, "things", "large");
    }
}

#[tokio::test]
async fn a_large_head_is_refused_in_the_format_of_the_service() {
    let at = start().await;
    let bytes = usize::try_from(HEADER_BYTES).unwrap();
    for (prefix, name) in [("/things", "things"), ("", "other")] {
        let of = |length| {
            let header = "x".repeat(length);
            format!(
                "GET {prefix}/base HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: {header}\r\n\r\n"
            )
        };
        send(at, &of(bytes)).await.is(431, name, "header");
        assert_eq!(send(at, &of(bytes - 200)).await.status, 200);
        // The parser reads no more than twice the limit.
        let got = send(at, &of(bytes * 2)).await;
        assert_eq!((got.status, got.body), (431, Value::Null));
    }
}

#[tokio::test]
async fn the_host_of_the_target_replaces_the_header() {
    let at = start().await;
    let of =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
    for (target, want) in [
        ("/base", "http://b"),
        ("http://a:80/base", "http://a:80"),
        ("http://a:80/things/base", "http://a:80"),
    ] {
        let got = send(at, &of(target)).await;
        assert_eq!(
            (got.status, &got.body["base"]),
            (200, &json!(want)),
            "{target}"
        );
    }
    send(at, &of("http://user@a/things/base"))
        .await
        .is(400, "things", "user");
}

#[tokio::test]
async fn each_media_type_but_json_is_refused() {
    let at = start().await;
    for (media, want) in [
        ("application/json", 200),
        ("text/plain", 415),
        // Bytes that are no text are another media type, too.
        ("\u{fc}", 415),
    ] {
        let headers = format!("Content-Type: {media}\r\nContent-Length: 2\r\n");
        let got = send(at, &post_of("/things", &headers, "{}")).await;
        assert_eq!(got.status, want, "{media}: {}", got.body);
    }
}
