//! The agent against fakes over the network: an API server that implements
//! parts of Kubernetes, and a bootstrap server that signs certificates.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Either, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nodewire::{Role, StepStatus, Task};
use pki::{Ca, SignOptions, Subject};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::api::Api;
use super::{addons, certificates, drain, network, plan, tasks};
use crate::channel::Channel;
use crate::report::Reporter;

/// `METHOD path`, content type, body.
pub(crate) type ReceivedRequest = (String, String, Value);
/// Status, extra header, body.
pub(crate) type ScriptedAnswer = (u16, Option<(&'static str, &'static str)>, String);
pub(crate) type Script = dyn Fn(&ReceivedRequest) -> ScriptedAnswer + Send + Sync;

/// Requests received by a fake, in order.
#[derive(Clone, Default)]
pub(crate) struct RecordedRequests(Arc<Mutex<Vec<ReceivedRequest>>>);

impl RecordedRequests {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|a| a.0.clone()).collect()
    }

    pub(crate) fn bodies(&self, line: &str) -> Vec<Value> {
        let all = self.0.lock().unwrap();
        let of = |a: &&ReceivedRequest| a.0.starts_with(line);
        all.iter().filter(of).map(|a| a.2.clone()).collect()
    }
}

pub(crate) struct Fake {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    pub(crate) requests: RecordedRequests,
}

impl Fake {
    pub(crate) async fn new(cert_der: Vec<u8>, key_pem: &str) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(cert_der)],
                PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            requests: RecordedRequests::default(),
        }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    async fn serve(self, script: Arc<Script>) {
        let mut all = JoinSet::new();
        loop {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let (acceptor, requests, script) =
                (self.acceptor.clone(), self.requests.clone(), script.clone());
            all.spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else {
                    return;
                };
                let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                let answer = move |request: Request<Incoming>| {
                    let (requests, script) = (requests.clone(), script.clone());
                    async move {
                        let kind = request
                            .headers()
                            .get("content-type")
                            .map(|v| v.to_str().unwrap().to_owned())
                            .unwrap_or_default();
                        let uri = request.uri().path_and_query().unwrap();
                        let line = format!("{} {uri}", request.method());
                        let body = request.into_body().collect().await?.to_bytes();
                        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                        let asked = (line, kind, body);
                        let endless = ["POST /bootstrap/v2/session", "GET /bootstrap/v2/tasks"]
                            .contains(&asked.0.as_str());
                        let (status, header, text) = script(&asked);
                        requests.0.lock().unwrap().push(asked);
                        let mut answer = Response::builder().status(status);
                        if let Some((name, value)) = header {
                            answer = answer.header(name, value);
                        }
                        let frame = Ok::<_, hyper::Error>(Frame::data(Bytes::from(text)));
                        let first = stream::iter([frame]);
                        let body = if status == 200 && endless {
                            Either::Left(StreamBody::new(first.chain(stream::pending())))
                        } else {
                            Either::Right(StreamBody::new(first))
                        };
                        Ok::<_, hyper::Error>(answer.body(body).unwrap())
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
            });
        }
    }
}

/// A fake API server and a client of it.
pub(crate) async fn kubernetes(dir: &Path) -> (Fake, Api) {
    let ca = Ca::generate("c").unwrap();
    let sign = |subject: &str| {
        let options = SignOptions {
            client_auth: true,
            ..SignOptions::server(subject, vec!["127.0.0.1".into()])
        };
        ca.issue(Subject::cn(subject), &options).unwrap()
    };
    let (own, admin) = (sign("apiserver"), sign("admin"));
    for (file, text) in [
        ("ca.crt", ca.cert_pem.as_str()),
        ("admin.crt", admin.cert_pem.as_str()),
        ("admin.key", admin.key_pem.as_str()),
    ] {
        std::fs::write(dir.join(file), text).unwrap();
    }
    let fake = Fake::new(own.cert_der.clone(), &own.key_pem).await;
    let api = Api::new(&fake.at().to_string(), dir, "admin").unwrap();
    (fake, api)
}

pub(crate) fn ok(body: &Value) -> ScriptedAnswer {
    (200, None, body.to_string())
}

pub(crate) fn none() -> ScriptedAnswer {
    (404, None, json!({ "message": "not found" }).to_string())
}

fn w0() -> Value {
    json!({
        "metadata": { "name": "w-0", "uid": "uid-0" },
        "spec": {},
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

fn pods() -> Value {
    let pod = |name: &str, owner: &str| {
        json!({ "metadata": {
            "name": name, "namespace": "default", "uid": name,
            "ownerReferences": [{ "kind": owner, "controller": true }],
        } })
    };
    json!({ "items": [pod("web", "ReplicaSet"), pod("agent", "DaemonSet")] })
}

pub(crate) async fn within<T>(fake: Fake, script: Arc<Script>, work: impl Future<Output = T>) -> T {
    tokio::select! {
        () = fake.serve(script) => panic!("the fake ended"),
        done = timeout(Duration::from_secs(20), work) => done.unwrap(),
    }
}

const BUDGET: &str = r#"{"message":"Cannot evict pod as it would violate the pod's disruption budget.",
    "details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget pdb needs 1 healthy pods and has 1 currently"}]}}"#;

#[tokio::test]
async fn a_drain_waits_for_the_budget_and_leaves_daemons() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, api) = kubernetes(dir.path()).await;
    let requests = fake.requests.clone();
    let refusals = Mutex::new(0);
    let script = move |asked: &ReceivedRequest| match asked.0.as_str() {
        "GET /api/v1/nodes/w-0" | "PATCH /api/v1/nodes/w-0" => ok(&w0()),
        "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dw-0" => ok(&pods()),
        "POST /api/v1/namespaces/default/pods/web/eviction" => {
            let mut refusals = refusals.lock().unwrap();
            *refusals += 1;
            if *refusals == 1 {
                (429, Some(("retry-after", "1")), BUDGET.into())
            } else {
                (201, None, "{}".into())
            }
        }
        "GET /api/v1/namespaces/default/pods/web" => none(),
        other => panic!("{other}"),
    };
    let until = Instant::now() + Duration::from_secs(10);
    let said = within(fake, Arc::new(script), drain::drain(&api, "w-0", until)).await;
    assert_eq!(said.unwrap(), "1 pods left w-0");
    let evictions = requests.bodies("POST");
    assert_eq!(evictions.len(), 2);
    assert_eq!(evictions[0]["apiVersion"], "policy/v1");
    let cordons = requests.bodies("PATCH");
    assert_eq!(cordons, [json!({ "spec": { "unschedulable": true } })]);
}

#[tokio::test]
async fn a_blocking_budget_is_named_and_the_node_keeps_running() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, api) = kubernetes(dir.path()).await;
    let requests = fake.requests.clone();
    let script = |asked: &ReceivedRequest| match asked.0.as_str() {
        "GET /api/v1/nodes/w-0" | "PATCH /api/v1/nodes/w-0" => ok(&w0()),
        line if line.starts_with("GET /api/v1/pods?") => ok(&pods()),
        line if line.starts_with("POST ") => (429, None, BUDGET.into()),
        other => panic!("{other}"),
    };
    let until = Instant::now() + Duration::from_secs(2);
    let said = within(fake, Arc::new(script), drain::drain(&api, "w-0", until)).await;
    let e = said.unwrap_err().message;
    for word in ["w-0", "default/web", "disruption budget pdb needs 1"] {
        assert!(e.contains(word), "{e}");
    }
    let last = requests.bodies("PATCH").pop().unwrap();
    assert_eq!(last, json!({ "spec": { "unschedulable": false } }));
}

#[tokio::test]
async fn a_watch_passes_events_until_a_value_is_returned() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, api) = kubernetes(dir.path()).await;
    let event = |name: &str| json!({ "type": "MODIFIED", "object": { "name": name } });
    let lines = format!("{}\n{}\n", event("a"), event("b"));
    let script = move |asked: &ReceivedRequest| match asked.0.as_str() {
        "GET /forbidden" => (403, None, json!({ "message": "not you" }).to_string()),
        _ => (200, None, lines.clone()),
    };
    let work = async {
        let seen = Mutex::new(Vec::new());
        let see = |kind: &str, object: &Value| {
            let name = object["name"].as_str().unwrap().to_owned();
            seen.lock().unwrap().push(format!("{kind} {name}"));
            (name == "b").then_some(name)
        };
        assert_eq!(api.watch("/x", see).await.unwrap().as_deref(), Some("b"));
        assert_eq!(*seen.lock().unwrap(), ["MODIFIED a", "MODIFIED b"]);
        let ended = api.watch("/x", |_, _| None::<()>).await.unwrap();
        assert_eq!(ended, None);
        let e = api
            .watch("/forbidden", |_, _| None::<()>)
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind, e.message.as_str()),
            (kernel::Kind::Forbidden, "not you")
        );
    };
    within(fake, Arc::new(script), work).await;
}

/// Answers of a server that is broken, or replaced by an administrator of the
/// cluster.
#[tokio::test]
async fn hostile_answers_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, api) = kubernetes(dir.path()).await;
    let endless = format!("{{\"type\":\"ADDED\",\"object\":\"{}", "x".repeat(5 << 20));
    let script = move |asked: &ReceivedRequest| match asked.0.as_str() {
        "GET /watch" => (200, None, endless.clone()),
        "POST /later" => (
            429,
            Some(("retry-after", "18446744073709551615")),
            "{}".into(),
        ),
        _ => (500, None, "y".repeat(1 << 20)),
    };
    let work = async {
        let e = api.watch("/watch", |_, _| None::<()>).await.unwrap_err();
        assert!(e.message.contains("a line of the stream is longer"), "{e}");
        let later = api.post("/later", &Value::Null).await.unwrap();
        assert_eq!(later.retry_after, Some(60));
        let e = api.get("/long").await.unwrap_err();
        assert!(e.message.len() < 16 * 1024, "{} bytes", e.message.len());
        let look = api.look("/long").await.unwrap();
        assert!(look.text().len() <= 8 * 1024);
        assert_eq!(look.json(), Value::Null);
    };
    within(fake, Arc::new(script), work).await;
}

#[tokio::test]
async fn add_ons_are_applied_as_ours_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, api) = kubernetes(dir.path()).await;
    let requests = fake.requests.clone();
    let objects = addons::coredns(&plan::tests::facts(Role::Manager, 36).plan, "c");
    let script = |asked: &ReceivedRequest| {
        assert_eq!(asked.1, "application/apply-patch+yaml");
        assert!(asked.0.ends_with("?fieldManager=jeroboam&force=true"));
        ok(&asked.2)
    };
    within(fake, Arc::new(script), addons::apply(&api, &objects))
        .await
        .unwrap();
    let lines = requests.lines();
    assert_eq!(lines.len(), objects.len());
    assert!(lines[5].contains("/deployments/coredns"), "{lines:?}");
}

/// A channel to a fake bootstrap server.
async fn server() -> (Fake, Channel) {
    let own = pki::self_signed("jeroboam", &[], 10).unwrap();
    let fake = Fake::new(own.cert_der.clone(), &own.key_pem).await;
    let seed = nodewire::Seed {
        server: fake.at().to_string(),
        pin: pki::fingerprint_sha256(&own.cert_der),
        token: "t".into(),
        cluster: "c".into(),
        node: "w-0".into(),
        role: Role::Worker,
        index: 0,
        coe: "kubernetes".into(),
    };
    let channel = Channel::new(&seed, "session").unwrap();
    (fake, channel)
}

/// Keeps the session of the channel during the test.
async fn linked<T>(channel: &Channel, work: impl Future<Output = T>) -> T {
    let hello = nodewire::Hello {
        cluster: "c".into(),
        node: "w-0".into(),
        token: "t".into(),
        session: "session".into(),
        addresses: Vec::new(),
        boot: 1,
        protocols: nodewire::AGENT_PROTOCOLS,
        software: "test".into(),
        peers: None,
    };
    let begun = async {
        channel.hello(hello).await.unwrap();
        work.await
    };
    tokio::select! {
        () = channel.run(false) => panic!("the session ended"),
        done = begun => done,
    }
}

/// The first frames of a session: the welcome, followed by `more`.
fn accepted(more: &[nodewire::ServerFrame]) -> ScriptedAnswer {
    let first = nodewire::ServerFrame::Accepted(Box::new(nodewire::Accepted {
        protocol: 2,
        software: "test".into(),
        welcome: nodewire::Welcome {
            role: Role::Worker,
            first_manager: false,
            swarm: None,
            kubernetes: None,
        },
    }));
    let lines = [&[first], more].concat();
    let text: Vec<u8> = lines.iter().flat_map(nodewire::ServerFrame::line).collect();
    (200, None, String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn keys_are_kept_when_a_request_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, channel) = server().await;
    let requests = fake.requests.clone();
    let ca = Ca::generate("c").unwrap();
    let calls = Mutex::new(0);
    let script = move |asked: &ReceivedRequest| {
        if asked.0.ends_with("/session") {
            return accepted(&[]);
        }
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls == 1 {
            return (503, None, json!({ "error": "starting" }).to_string());
        }
        let csr = asked.2["csr"].as_str().unwrap();
        let options = SignOptions::server("w-0", vec!["10.0.0.4".into()]);
        let cert = ca.sign_csr(csr, &options).unwrap();
        ok(&json!({ "cert": cert, "ca": ca.cert_pem }))
    };
    let (reporter, _delivery) = Reporter::new();
    let obtain = || certificates::obtain(&channel, &reporter, dir.path(), "w-0", Role::Worker);
    let work = async {
        obtain().await.unwrap();
        assert!(certificates::complete(dir.path(), Role::Worker));
        let asked = requests.lines().len();
        assert_eq!(asked, 4, "the session, a failed request, two certificates");
        obtain().await.unwrap();
        assert_eq!(requests.lines().len(), asked, "nothing is requested twice");
        let written = std::fs::read_to_string(dir.path().join("ca.crt")).unwrap();
        for (ca, is_new) in [(written.as_str(), false), ("an older one", true)] {
            std::fs::write(dir.path().join("ca.crt"), ca).unwrap();
            let wanted = certificates::wanted(Role::Worker)[0];
            let renewed =
                certificates::request_and_store(&channel, dir.path(), "w-0", wanted).await;
            assert_eq!(renewed.unwrap(), is_new);
            let now = std::fs::read_to_string(dir.path().join("ca.crt")).unwrap();
            assert_eq!(now, written);
        }
    };
    within(fake, Arc::new(script), linked(&channel, work)).await;
    let mut purposes: Vec<String> = requests
        .bodies("POST /bootstrap/v2/csr")
        .iter()
        .map(|b| b["purpose"].as_str().unwrap().to_owned())
        .collect();
    purposes.sort();
    purposes.dedup();
    assert_eq!(purposes, ["kube-proxy", "kubelet"]);
    reporter.step("done", StepStatus::Ok, "");
}

#[tokio::test]
async fn peers_are_followed_as_they_are_pushed() {
    let (fake, channel) = server().await;
    let script = |_: &ReceivedRequest| {
        accepted(&[nodewire::ServerFrame::Peers(nodewire::Peers {
            version: "7".into(),
            api: Some("10.0.0.5:6443".into()),
            nodes: Vec::new(),
        })])
    };
    let known = tokio::sync::watch::channel(None).0;
    let mut news = known.subscribe();
    let work = async {
        tokio::select! {
            () = network::follow(&channel, &known) => {}
            got = news.wait_for(Option::is_some) => {
                let got = got.unwrap().clone().unwrap();
                assert_eq!(got.api.as_deref(), Some("10.0.0.5:6443"));
            }
        }
    };
    within(fake, Arc::new(script), linked(&channel, work)).await;
}

#[tokio::test]
async fn the_removal_of_a_node_deletes_its_pods_and_is_repeatable() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, api) = kubernetes(dir.path()).await;
    let requests = fake.requests.clone();
    let script = |asked: &ReceivedRequest| match asked.0.as_str() {
        "GET /api/v1/nodes/w-0" | "PATCH /api/v1/nodes/w-0" => {
            let mut down = w0();
            down["status"] = json!({});
            ok(&down)
        }
        line if line.starts_with("GET /api/v1/nodes/") => none(),
        line if line.starts_with("GET /api/v1/pods?") => ok(&pods()),
        line if line.starts_with("DELETE ") => ok(&Value::Null),
        other => panic!("{other}"),
    };
    let work = async {
        let until = Instant::now() + Duration::from_secs(5);
        let task = |kind: &str, node: &str| -> Task {
            serde_json::from_value(json!({ "id": "1", "kind": kind, "node": node })).unwrap()
        };
        let perform = async |kind: &str, node: &str| {
            let done = tasks::perform(&api, &task(kind, node).kind, until).await;
            done.unwrap()
        };
        assert_eq!(perform("remove", "w-0").await, "removed w-0");
        assert_eq!(perform("drain", "w-1").await, "w-1 does not exist any more");
    };
    within(fake, Arc::new(script), work).await;
    let deleted: Vec<String> = requests.lines();
    assert!(deleted.contains(&"DELETE /api/v1/nodes/w-0".into()));
    assert!(
        deleted.contains(&"DELETE /api/v1/namespaces/default/pods/web?gracePeriodSeconds=0".into())
    );
}
