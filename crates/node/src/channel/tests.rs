//! The channel against a scripted server: certificate verification, unknown
//! messages, and reconnects.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Either, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nodewire::{AGENT_PROTOCOLS, Accepted, Cancel, Role, ServerFrame, Task, TaskKind, TaskResult};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A scripted answer: the status, the text, and whether the body is endless.
type ScriptedAnswer = (u16, Vec<u8>, bool);
type Script = Arc<dyn Fn(&str, &Value) -> ScriptedAnswer + Send + Sync>;

fn no_content() -> ScriptedAnswer {
    (204, Vec::new(), false)
}

fn endless(frames: &[ServerFrame]) -> ScriptedAnswer {
    (
        200,
        frames.iter().flat_map(ServerFrame::line).collect(),
        true,
    )
}

fn welcome() -> ServerFrame {
    ServerFrame::Accepted(Box::new(Accepted {
        protocol: 2,
        software: "test".into(),
        welcome: Welcome {
            role: Role::Manager,
            first_manager: true,
            swarm: None,
            kubernetes: None,
        },
    }))
}

/// A server that can be stopped with all its connections and restarted at the
/// same port.
struct TestServer {
    acceptor: TlsAcceptor,
    pin: String,
    at: SocketAddr,
    script: Script,
    received: Arc<Mutex<Vec<(String, Value)>>>,
    running: Option<JoinSet<()>>,
}

impl TestServer {
    async fn new(alpn: &[&[u8]], script: Script) -> Self {
        let own = pki::self_signed("jeroboam", &[], 10).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(own.cert_der.clone())],
                PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        let mut server = Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            pin: pki::fingerprint_sha256(&own.cert_der),
            at: ([127, 0, 0, 1], 0).into(),
            script,
            received: Arc::default(),
            running: None,
        };
        server.start().await;
        server
    }

    async fn start(&mut self) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.at).unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        self.at = listener.local_addr().unwrap();
        let (acceptor, script, received) = (
            self.acceptor.clone(),
            self.script.clone(),
            self.received.clone(),
        );
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut all = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, script, received) =
                    (acceptor.clone(), script.clone(), received.clone());
                all.spawn(serve(tcp, acceptor, script, received));
            }
        });
        self.running = Some(running);
    }

    /// Stops like a killed server.
    async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.shutdown().await;
        }
    }

    fn channel(&self) -> Channel {
        Channel::new(&self.seed(&self.pin), "s-e-c").unwrap()
    }

    fn seed(&self, pin: &str) -> Seed {
        Seed {
            server: self.at.to_string(),
            pin: pin.to_owned(),
            token: "t".into(),
            cluster: "c".into(),
            node: "n".into(),
            role: Role::Manager,
            index: 0,
            coe: "swarm".into(),
        }
    }

    fn received(&self, line: &str) -> Vec<Value> {
        let all = self.received.lock().unwrap();
        let of = |(l, _): &&(String, Value)| l == line;
        all.iter()
            .filter(of)
            .map(|(_, body)| body.clone())
            .collect()
    }
}

async fn serve(
    tcp: tokio::net::TcpStream,
    acceptor: TlsAcceptor,
    script: Script,
    received: Arc<Mutex<Vec<(String, Value)>>>,
) {
    let Ok(tls) = acceptor.accept(tcp).await else {
        return;
    };
    let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let answer = move |request: Request<Incoming>| {
        let (script, received) = (script.clone(), received.clone());
        async move {
            let line = format!("{} {}", request.method(), request.uri().path());
            let session = format!("Bearer {}", "s-e-c");
            assert_eq!(request.headers()["authorization"], session, "{line}");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let (status, text, endless) = script(&line, &body);
            received.lock().unwrap().push((line, body));
            let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from(text)))]);
            let body = if endless {
                Either::Left(StreamBody::new(first.chain(stream::pending())))
            } else {
                Either::Right(StreamBody::new(first))
            };
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        }
    };
    let io = TokioIo::new(tls);
    let _ = if h2 {
        http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service_fn(answer))
            .await
    } else {
        http1::Builder::new()
            .serve_connection(io, service_fn(answer))
            .await
    };
}

fn hello() -> Hello {
    Hello {
        cluster: "c".into(),
        node: "n".into(),
        token: "t".into(),
        session: "s-e-c".into(),
        addresses: Vec::new(),
        boot: 1,
        protocols: AGENT_PROTOCOLS,
        software: "test".into(),
        peers: None,
    }
}

async fn limited<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work)
        .await
        .unwrap()
}

#[tokio::test]
async fn it_trusts_its_pin_only_and_understands_refusals() {
    let script = |line: &str, _: &Value| match line {
        "POST /bootstrap/v2/session" => endless(&[welcome()]),
        "POST /bootstrap/v2/ready" => (403, br#"{"error":"why"}"#.to_vec(), false),
        _ => no_content(),
    };
    let server = TestServer::new(&[b"h2"], Arc::new(script)).await;
    let channel = server.channel();
    let work = async {
        channel.hello(hello()).await.unwrap();
        let none = channel.post::<Value>("steps", &Value::Null).await;
        assert!(none.unwrap().is_none());
        let e = channel
            .post::<Value>("ready", &Value::Null)
            .await
            .unwrap_err();
        assert_eq!((e.kind, e.message.as_str()), (Kind::Forbidden, "why"));
    };
    limited(async {
        tokio::select! { () = channel.run(false) => panic!(), () = work => {} }
    })
    .await;
    let hellos = server.received("POST /bootstrap/v2/session");
    assert_eq!(hellos.len(), 1, "one connection");
    assert_eq!(
        hellos[0]["protocols"],
        serde_json::json!({"min": 2, "max": 2})
    );

    let wrong = Channel::new(&server.seed(&"00".repeat(32)), "s-e-c").unwrap();
    let e = wrong.inner.server.connect().await.err().unwrap();
    assert!(
        e.is_transient() && e.message.contains("is not the pinned"),
        "{e}"
    );
}

/// Error texts for each incompatibility between agent and server; no attempt is
/// repeated.
#[tokio::test]
async fn an_incompatible_server_gets_a_report_and_no_retry() {
    // A newer server refuses this release.
    let script = |_: &str, _: &Value| {
        let why =
            nodewire::no_common_protocol(AGENT_PROTOCOLS, nodewire::Protocols { min: 3, max: 4 });
        let body = serde_json::json!({ "error": why }).to_string();
        (426, body.into_bytes(), false)
    };
    let server = TestServer::new(&[b"h2"], Arc::new(script)).await;
    let e = refused(&server).await;
    assert!(is_unsupported(&e));
    assert_eq!(
        e.message,
        "agent speaks protocol 2, this server 3..4: rebuild the node image"
    );
    assert_eq!(server.received.lock().unwrap().len(), 1);

    // A newer server assigns a role that this release does not support.
    let script = |line: &str, _: &Value| match line {
        "POST /bootstrap/v2/session" => {
            let line = br#"{"type":"accepted","body":{"protocol":2,"software":"9","welcome":{"role":"arbiter","first_manager":false}}}"#;
            (200, [line.as_slice(), b"\n"].concat(), true)
        }
        _ => no_content(),
    };
    let server = TestServer::new(&[b"h2"], Arc::new(script)).await;
    let e = refused(&server).await;
    assert!(is_unsupported(&e) && e.message.contains("arbiter"), "{e}");
    let reported = server.received("POST /bootstrap/v2/steps");
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0]["steps"][0]["status"], "failed");
    let log = reported[0]["steps"][0]["log"].as_str().unwrap();
    assert!(log.contains("arbiter") && log.contains("rebuild the node image"));

    // A server of the previous release supports only calls.
    let script = |line: &str, _: &Value| match line {
        "POST /bootstrap/v1/hello" => (200, b"{}".to_vec(), false),
        "POST /bootstrap/v1/steps" => no_content(),
        other => panic!("{other}"),
    };
    let server = TestServer::new(&[], Arc::new(script)).await;
    let e = refused(&server).await;
    assert!(is_unsupported(&e));
    let reported = server.received("POST /bootstrap/v1/steps");
    assert_eq!(reported[0]["steps"][0]["name"], "hello");
    assert_eq!(
        reported[0]["steps"][0]["log"],
        "agent speaks protocol 2, this server 1: upgrade the server, or use a node image of its \
         release"
    );
}

async fn refused(server: &TestServer) -> Error {
    let channel = server.channel();
    limited(async {
        tokio::select! {
            () = channel.run(false) => panic!(),
            done = channel.hello(hello()) => done.unwrap_err(),
        }
    })
    .await
}

fn drain(id: &str) -> ServerFrame {
    ServerFrame::Task(Task {
        id: id.into(),
        kind: TaskKind::Remove { node: "w".into() },
        deadline: None,
    })
}

/// The server is killed during a task and sends it again: it is not started
/// twice, and its result is reported once.
#[tokio::test]
async fn a_task_is_begun_once_however_often_the_server_dies() {
    let open = Arc::new(Mutex::new(true));
    let pending = open.clone();
    let script = move |line: &str, _: &Value| match line {
        "POST /bootstrap/v2/session" => endless(&[welcome()]),
        "GET /bootstrap/v2/tasks" if *pending.lock().unwrap() => endless(&[drain("1"), drain("1")]),
        "GET /bootstrap/v2/tasks" => endless(&[]),
        "POST /bootstrap/v2/tasks/1" => {
            *pending.lock().unwrap() = false;
            no_content()
        }
        other => panic!("{other}"),
    };
    let mut server = TestServer::new(&[b"h2"], Arc::new(script)).await;
    let channel = server.channel();
    let (sender, mut tasks) = mpsc::unbounded_channel();
    let work = async {
        channel.hello(hello()).await.unwrap();
        let first: RunningTask = tasks.recv().await.unwrap();
        assert_eq!(first.task.id, "1");
        server.stop().await;
        server.start().await;
        // The task is sent again in the second session.
        while server.received("GET /bootstrap/v2/tasks").len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.stop().await;
        // The task ends while the server is down.
        let reported = channel.answer("1", Ok("done".into()));
        let back = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.start().await;
        };
        tokio::join!(reported, back);
        while server.received("GET /bootstrap/v2/tasks").len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    limited(async {
        tokio::select! {
            () = channel.run(false) => panic!(),
            () = channel.take_tasks(sender) => panic!(),
            () = work => {}
        }
    })
    .await;
    assert!(tasks.try_recv().is_err(), "the task is begun once");
    let results = server.received("POST /bootstrap/v2/tasks/1");
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["ok"], true);
}

#[tokio::test]
async fn tasks_are_cancelled_and_unknown_ones_are_refused() {
    let lines: VecDeque<Vec<u8>> = [
        drain("1").line(),
        br#"{"type":"task","body":{"id":"2","kind":"dance"}}"#.to_vec(),
        b"\n".to_vec(),
        br#"{"type":"stream","body":{}}"#.to_vec(),
        b"\n".to_vec(),
        ServerFrame::Cancel(Cancel { task: "1".into() }).line(),
    ]
    .into();
    let text: Vec<u8> = lines.into_iter().flatten().collect();
    // On the other stream no task is taken.
    let session = endless(&[welcome(), drain("9")]);
    let script = move |line: &str, _: &Value| match line {
        "POST /bootstrap/v2/session" => session.clone(),
        "GET /bootstrap/v2/tasks" => (200, text.clone(), true),
        _ => no_content(),
    };
    let server = TestServer::new(&[b"h2"], Arc::new(script)).await;
    let channel = server.channel();
    let (sender, mut tasks) = mpsc::unbounded_channel();
    let work = async {
        channel.hello(hello()).await.unwrap();
        let order: RunningTask = tasks.recv().await.unwrap();
        order.cancelled().await;
        channel.forget(&order.task.id);
    };
    limited(async {
        tokio::select! {
            () = channel.run(false) => panic!(),
            () = channel.take_tasks(sender) => panic!(),
            () = work => {}
        }
    })
    .await;
    let result = &server.received("POST /bootstrap/v2/tasks/2")[0];
    let result: TaskResult = serde_json::from_value(result.clone()).unwrap();
    assert!(!result.ok && result.unsupported);
    assert!(result.log.contains("'dance'"), "{}", result.log);
    assert!(tasks.try_recv().is_err(), "one task is known");
    let frames = server.received("POST /bootstrap/v2/unsupported");
    let mut names: Vec<&str> = frames
        .iter()
        .map(|f| f["frame"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["stream", "task"]);
}
