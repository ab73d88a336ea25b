//! Limits and timeouts on real sockets.
#![expect(
    clippy::disallowed_methods,
    reason = "the runtime of a test ends with it"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;

/// Shorter than any duration that a test accepts as "in time".
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);
const GET: &str = "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n";
/// The size of an answer that no buffer of a socket holds.
const WHOLE: usize = 16 * 1024 * 1024;
/// A body of which nothing follows.
const HALF: &str = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n";

struct Server {
    at: SocketAddr,
    connections: Connections,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn long() -> Settings {
    Settings {
        proxies: Vec::new(),
        timeouts: Timeouts {
            handshake: LONG,
            header: LONG,
            body: LONG,
            body_stall: LONG,
            idle: LONG,
            write_stall: LONG,
        },
        ..Settings::default()
    }
}

fn router() -> Router {
    let ticks = || async {
        let ticks = stream::unfold((), |()| async {
            sleep(SHORT * 2).await;
            Some((Ok::<_, Infallible>("tick\n"), ()))
        });
        Body::from_stream(ticks.take(4))
    };
    let large = || async {
        let parts = stream::repeat(Bytes::from_static(&[b'x'; 65536]));
        Body::from_stream(parts.map(Ok::<_, Infallible>))
    };
    let slow = || async {
        sleep(SHORT * 4).await;
        "slow"
    };
    let body = |body: Body| async {
        match crate::body::receive(body, &HeaderMap::new(), 10_000).await {
            Ok(bytes) => (StatusCode::OK, format!("{} bytes", bytes.len())),
            Err(e) => (crate::status_of(&e.kind), e.message),
        }
    };
    Router::new()
        .route("/fast", get(|| async { "fast" }))
        .route("/slow", get(slow))
        .route("/ticks", get(ticks))
        .route("/large", get(large))
        .route("/whole", get(|| async { vec![b'x'; WHOLE] }))
        .route("/body", post(body))
}

async fn start(settings: Settings) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (connections, stop) = (Connections::new(settings), CancellationToken::new());
    let task = {
        let (connections, stop) = (connections.clone(), stop.clone());
        tokio::spawn(async move { connections.serve(listener, router(), stop).await })
    };
    Server {
        at,
        connections,
        stop,
        task,
    }
}

impl Server {
    async fn open(&self, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream
    }

    /// The whole answer to a request on a new connection.
    async fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        rest_of(&mut self.open(&request).await).await
    }

    async fn until(&self, what: impl Fn(ConnectionCounts) -> bool) {
        let wait = async {
            while !what(self.connections.figures()) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, wait).await.unwrap();
    }
}

/// What is received until the server closes the connection.
async fn rest_of(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is how a connection with unread bytes ends.
    let _ = timeout(LONG, stream.read_to_end(&mut all)).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads the answer to [`GET`], whose body is `fast`.
async fn fast(stream: &mut TcpStream) {
    let mut all = String::new();
    while !all.ends_with("fast") {
        let mut part = [0; 512];
        let count = timeout(LONG, stream.read(&mut part)).await.unwrap();
        let count = count.unwrap();
        assert!(count > 0, "closed after {all:?}");
        all.push_str(&String::from_utf8_lossy(&part[..count]));
    }
}

#[tokio::test]
async fn slow_heads_do_not_keep_others_out() {
    let server = start(Settings {
        connections: 16,
        unauthenticated: 16,
        ..long()
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(server.open("G").await);
    }
    server.until(|c| c.evicted == 84).await;
    let mut keep_alive = server.open(GET).await;
    fast(&mut keep_alive).await;
    for _ in 0..20 {
        assert!(server.get("/fast").await.ends_with("fast"));
    }
    for _ in 0..100 {
        slow.push(server.open("G").await);
    }
    server.until(|c| c.evicted > 180).await;
    // A connection that had a request is kept while others had none.
    keep_alive.write_all(GET.as_bytes()).await.unwrap();
    fast(&mut keep_alive).await;
    assert_eq!(server.connections.figures().refused, 0);
    assert_eq!(rest_of(&mut slow[0]).await, "");
}

#[tokio::test]
async fn bodies_that_do_not_follow_do_not_keep_others_out() {
    let server = start(Settings {
        connections: 8,
        unauthenticated: 8,
        ..long()
    })
    .await;
    let mut half = Vec::new();
    for _ in 0..30 {
        half.push(server.open(HALF).await);
    }
    server.until(|c| c.evicted == 22).await;
    assert!(server.get("/fast").await.ends_with("fast"));
}

#[tokio::test]
async fn one_source_closes_its_own_connections_and_a_proxy_none() {
    let settings = Settings {
        per_source: 4,
        unauthenticated_per_source: 4,
        ..long()
    };
    let server = start(settings.clone()).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(server.open("G").await);
    }
    server.until(|c| c.evicted == 4 && c.connections == 4).await;
    let proxy = start(Settings {
        proxies: loopback(),
        ..settings
    })
    .await;
    for _ in 0..8 {
        open.push(proxy.open("G").await);
    }
    proxy.until(|c| c.connections == 8).await;
    assert_eq!(proxy.connections.figures().evicted, 0);
}

#[tokio::test]
async fn a_head_has_a_timeout_from_its_first_byte() {
    let mut settings = long();
    settings.timeouts.header = SHORT;
    let server = start(settings).await;
    let begun = Instant::now();
    assert_eq!(rest_of(&mut server.open("").await).await, "");
    let mut trickle = server.open(GET).await;
    fast(&mut trickle).await;
    // The time between requests does not count.
    sleep(SHORT * 2).await;
    trickle.write_all(b"G").await.unwrap();
    for _ in 0..20 {
        sleep(SHORT / 5).await;
        if trickle.write_all(b"E").await.is_err() {
            break;
        }
    }
    assert_eq!(rest_of(&mut trickle).await, "");
    assert!(begun.elapsed() < LONG / 2);
    server.until(|c| c.connections == 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_long_request_is_not() {
    let mut settings = long();
    settings.timeouts.idle = SHORT;
    settings.timeouts.header = SHORT;
    settings.timeouts.write_stall = SHORT;
    settings.timeouts.body = SHORT;
    let server = start(settings).await;
    let mut idle = server.open(GET).await;
    fast(&mut idle).await;
    assert_eq!(rest_of(&mut idle).await, "");
    assert!(server.get("/slow").await.ends_with("slow"));
    // A stream may be silent for longer than all timeouts.
    assert_eq!(server.get("/ticks").await.matches("tick").count(), 4);
}

#[tokio::test]
async fn a_body_has_a_timeout_and_needs_progress() {
    let mut settings = long();
    settings.timeouts.body_stall = SHORT * 3;
    let server = start(settings).await;
    let answer = rest_of(&mut server.open(HALF).await).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // Some bytes now and then are not enough.
    let mut trickle = server.open(HALF).await;
    for _ in 0..40 {
        sleep(SHORT / 5).await;
        if trickle.write_all(b"x").await.is_err() {
            break;
        }
    }
    let answer = rest_of(&mut trickle).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "));
    // A slow body with progress is read.
    let head =
        "POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8192\r\n\r\n";
    let mut slow = server.open(head).await;
    for _ in 0..8 {
        sleep(SHORT / 2).await;
        slow.write_all(&[b'x'; 1024]).await.unwrap();
    }
    let answer = rest_of(&mut slow).await;
    assert!(answer.ends_with("8192 bytes"), "{answer}");

    let mut settings = long();
    settings.timeouts.body = SHORT * 2;
    let server = start(settings).await;
    let mut slow = server.open(head).await;
    for _ in 0..8 {
        sleep(SHORT / 2).await;
        if slow.write_all(&[b'x'; 1024]).await.is_err() {
            break;
        }
    }
    let answer = rest_of(&mut slow).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "));
    server.until(|c| c.connections == 0).await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_ends() {
    let mut settings = long();
    settings.timeouts.write_stall = SHORT;
    let server = start(settings).await;
    let unread = server.open("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.until(|c| c.connections == 1).await;
    server.until(|c| c.connections == 0).await;
    drop(unread);
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_is_sent_whole() {
    let mut settings = Settings {
        connections: 4,
        unauthenticated: 4,
        ..long()
    };
    settings.timeouts.idle = SHORT;
    let server = start(settings).await;
    let mut reader = server.open("GET /whole HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (mut part, mut received) = (vec![0; 64 * 1024], 0);
    while received < WHOLE {
        let count = timeout(LONG, reader.read(&mut part)).await.unwrap();
        let count = count.unwrap();
        assert!(count > 0, "closed after {received} bytes");
        received += count;
        // Other clients connect meanwhile, and the whole takes longer than `idle`.
        if received < WHOLE / 2 && received % (1024 * 1024) < count {
            sleep(SHORT / 2).await;
            drop(server.open(HALF).await);
        }
    }
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let server = start(Settings {
        header_bytes: 8192,
        ..long()
    })
    .await;
    let head = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(9000));
    let answer = rest_of(&mut server.open(&head).await).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    server.until(|c| c.connections == 0).await;
}

#[tokio::test]
async fn running_requests_end_when_the_server_stops() {
    let server = start(long()).await;
    let mut idle = server.open(GET).await;
    fast(&mut idle).await;
    let half_head = server.open("G").await;
    let request = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut running = server.open(request).await;
    server.until(|c| c.connections == 3).await;
    sleep(SHORT / 2).await;
    server.stop.cancel();
    assert!(rest_of(&mut running).await.ends_with("slow"));
    timeout(LONG / 2, server.task).await.unwrap().unwrap();
    assert_eq!(rest_of(&mut idle).await, "");
    drop(half_head);
}

/// A listener all of whose routes authenticate, as that of agents.
fn agents() -> Settings {
    Settings {
        per_source: 8,
        unauthenticated: 4,
        unauthenticated_per_source: 4,
        all_routes_authenticate: true,
        ..long()
    }
}

#[tokio::test]
async fn the_authenticated_are_not_closed_by_others_of_their_source() {
    let server = start(agents()).await;
    let mut agent = server.open(GET).await;
    fast(&mut agent).await;
    let mut others = Vec::new();
    for _ in 0..50 {
        others.push(server.open("G").await);
    }
    server.until(|c| c.evicted == 46).await;
    agent.write_all(GET.as_bytes()).await.unwrap();
    fast(&mut agent).await;
    // Another one of the same source connects.
    let mut second = server.open(GET).await;
    fast(&mut second).await;
    assert_eq!(server.connections.figures().refused, 0);
}

#[tokio::test]
async fn a_refused_client_is_closed_first() {
    let mut settings = agents();
    settings.timeouts.header = SHORT * 3;
    let server = start(settings).await;
    let request = "GET /unknown HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut refused = server.open(request).await;
    let mut part = [0; 12];
    refused.read_exact(&mut part).await.unwrap();
    assert_eq!(&part, b"HTTP/1.1 404");
    // A request in process does not keep its place either.
    let slow = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    refused.write_all(slow.as_bytes()).await.unwrap();
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(server.open("G").await);
    }
    assert!(!rest_of(&mut refused).await.ends_with("slow"));
    // If no other connection needs the place, a timeout ends it.
    server.until(|c| c.connections == 0).await;
}

/// Serves HTTP/2 to agents.
async fn start_http2(settings: Settings) -> Server {
    let listener = crate::bind(([127, 0, 0, 1], 0).into(), true).unwrap();
    let at = listener.local_addr().unwrap();
    let (connections, stop) = (Connections::new(settings), CancellationToken::new());
    let task = {
        let (connections, stop) = (connections.clone(), stop.clone());
        tokio::spawn(async move {
            let serve = |stream, connection| serve_http2(stream, connection, router());
            connections.accept(listener, stop, serve).await;
        })
    };
    Server {
        at,
        connections,
        stop,
        task,
    }
}

impl Server {
    async fn http2(&self) -> SendRequest<Body> {
        let stream = TcpStream::connect(self.at).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }
}

/// The status and the body of an answer.
async fn ask(sender: &mut SendRequest<Body>, request: Request<Body>) -> (u16, Bytes) {
    let work = async {
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(Body::new(answer.into_body()), 10_000).await;
        (status, body.unwrap())
    };
    timeout(LONG, work).await.unwrap()
}

fn get_of(path: &str) -> Request<Body> {
    Request::get(format!("http://x{path}"))
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn the_streams_of_an_agent_have_no_timeout() {
    let mut settings = agents();
    settings.timeouts = Timeouts {
        handshake: SHORT,
        header: SHORT,
        body: SHORT,
        body_stall: SHORT,
        idle: SHORT,
        write_stall: SHORT,
    };
    let server = start_http2(settings).await;
    let mut agent = server.http2().await;
    let (status, body) = ask(&mut agent, get_of("/ticks")).await;
    assert_eq!((status, body.len()), (200, 20));
    // Between two requests of an authenticated agent only PING decides.
    sleep(SHORT * 3).await;
    assert_eq!(ask(&mut agent, get_of("/fast")).await.0, 200);
    // A body that does not follow fails its own request only.
    let half = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let request = Request::post("http://x/body").body(half).unwrap();
    assert_eq!(ask(&mut agent, request).await.0, 408);
    assert_eq!(ask(&mut agent, get_of("/fast")).await.0, 200);
    assert_eq!(server.connections.figures().connections, 1);
    // A connection without a request ends.
    let silent = server.http2().await;
    server.until(|c| c.connections == 2).await;
    server.until(|c| c.connections == 1).await;
    drop(silent);
    server.stop.cancel();
}
