//! Nodes of images that were not built by Jeroboam: all engine requests for one
//! node, starting with the server row. A fake engine records the requests.
//! `JEROBOAM_GOLDEN=update` rewrites the golden files.

use kernel::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use db::Json;
use docker::Engine;
use infra::{Actor, ContainerHost as _, ImageStore as _, Isolation};
use kernel::Kind;
use network::api::{Port, Status};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::Fixture;
use crate::ComputeConfig;
use crate::api::{NewImage, NodeFlavour, ServerStatus};
use crate::server::model::{ServerRow, container};

const REFERENCE: &str = "127.0.0.1:5000/kindest/node:v1.36.1";

const ACTOR: Actor = Actor::Lease(3);

/// An engine that has no image until a pull was requested.
#[derive(Default)]
struct EngineState {
    text: String,
    pulled: bool,
    /// Error of the pull.
    refusal: Option<&'static str>,
    /// The name of a container is reserved, but no container has it yet.
    registering: bool,
}

type Shared = Arc<Mutex<EngineState>>;

/// Serves until the test ends; returns the address of the engine.
async fn engine(notes: Shared) -> (Engine, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, notes.clone()));
        }
    });
    (Engine::connect(Some(&url)).unwrap(), serving)
}

async fn serve(stream: TcpStream, notes: Shared) {
    let mut stream = BufReader::new(stream);
    while let Some((line, body)) = request(&mut stream).await {
        let (status, answer) = answer(&notes, &line, &body);
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let both = [head.as_bytes(), answer.as_bytes()].concat();
        if stream.get_mut().write_all(&both).await.is_err() {
            return;
        }
    }
}

/// Method with path, and body.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(n) = header.strip_prefix("content-length:") {
            length = n.trim().parse().ok()?;
        }
        chunked |= header == "transfer-encoding: chunked";
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    while chunked {
        let mut size = String::new();
        stream.read_line(&mut size).await.ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut part = vec![0; size + 2];
        stream.read_exact(&mut part).await.ok()?;
        body.extend_from_slice(&part[..size]);
        chunked = size > 0;
    }
    let words: Vec<&str> = line.split_whitespace().take(2).collect();
    Some((words.join(" "), body))
}

fn answer(notes: &Shared, line: &str, body: &[u8]) -> (u16, String) {
    let mut notes = notes.lock().unwrap();
    if line.ends_with("/version") {
        return (
            200,
            json!({"ApiVersion": "1.41", "Version": "20.10.24"}).to_string(),
        );
    }
    if line.ends_with("/info") {
        return (200, json!({"Name": "h"}).to_string());
    }
    // The driver inspects a container after its start.
    if !notes.registering && line.ends_with("/containers/c/json") {
        return (200, json!({"Id": "c"}).to_string());
    }
    let line = line.replace("/v1.41", "");
    let _ = writeln!(notes.text, "{line}\n{}", shown(&line, body));
    if line.contains("/images/create") {
        if let Some(why) = notes.refusal {
            let refused = json!({"errorDetail": {"message": why}, "error": why});
            return (200, refused.to_string());
        }
        notes.pulled = true;
        return (200, json!({"status": "Pulling"}).to_string());
    }
    if notes.registering && line.contains("/containers/create") {
        let text = "Conflict. The container name \"/x\" is already in use by container \"c\".";
        return (409, json!({"message": text}).to_string());
    }
    if notes.registering && line.ends_with("/json") {
        return (404, json!({"message": "No such container"}).to_string());
    }
    if line.contains("/containers/create") {
        if !notes.pulled {
            let none = json!({"message": format!("No such image: {REFERENCE}")});
            return (404, none.to_string());
        }
        return (201, json!({"Id": "c", "Warnings": []}).to_string());
    }
    (200, String::new())
}

/// A body as in the golden file: JSON with sorted keys, archives as lists with
/// their texts.
fn shown(line: &str, body: &[u8]) -> String {
    if line.contains("/archive") {
        let mut out = String::new();
        for entry in tar::Archive::new(body).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            let _ = writeln!(out, "  {:o} {path}", entry.header().mode().unwrap());
            for line in text.lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
        return out;
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => format!("{:#}\n", sorted(value)),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Maps have no defined order in requests.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let all: BTreeMap<String, Value> =
                map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(all.into_iter().collect())
        }
        Value::Array(all) => all.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn server(flavour: NodeFlavour, reference: &str) -> ServerRow {
    ServerRow {
        id: "5b9e5b2c-0000-4000-8000-000000000001".into(),
        project_id: "p".into(),
        user_id: "u".into(),
        name: "k-master-0".into(),
        status: ServerStatus::Build,
        progress: None,
        fault_code: None,
        fault: None,
        image_id: "i".into(),
        reference: reference.into(),
        is_node: true,
        flavour,
        flavor_id: "f".into(),
        vcpus: 2,
        ram: 2048,
        host: Some("h".into()),
        networks: Json(Vec::new()),
        addresses: Json(Vec::new()),
        user_data: None,
        metadata: Json(BTreeMap::new()),
        trouble_since: None,
        launched_at: None,
        owner_kind: None,
        owner_id: None,
        created_at: Timestamp::EPOCH,
        build: 1,
        rebuilt_generation: None,
        isolation: Isolation::HostRoot,
    }
}

fn port() -> Port {
    Port {
        id: "p".into(),
        network_id: "n".into(),
        subnet_id: "s".into(),
        name: "k-master-0".into(),
        ip: "10.64.0.10".parse().unwrap(),
        mac: "02:42:0a:40:00:0a".into(),
        status: Status::Active,
        device_id: None,
        host_network: "jb-net-1".into(),
    }
}

/// An agent that appears to need no loader.
fn config(dir: &std::path::Path) -> ComputeConfig {
    let agent = dir.join("jeroboam-node");
    std::fs::write(&agent, "the agent\n").unwrap();
    ComputeConfig {
        agent: agent.display().to_string(),
        ..ComputeConfig::new("inst")
    }
}

async fn made(flavour: NodeFlavour, reference: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let notes = Shared::default();
    let (engine, serving) = engine(notes.clone()).await;
    let seed = Some("{\"seed\":1}".to_owned());
    let spec = container(
        &server(flavour, reference),
        &[port()],
        seed,
        &config(dir.path()),
    );
    // As compute does it: pull a missing image, and create again.
    let e = engine.create(ACTOR, &spec).await.unwrap_err();
    assert_eq!(e.kind, Kind::NotFound);
    engine.pull(&spec.image).await.unwrap();
    let id = engine.create(ACTOR, &spec).await.unwrap();
    engine.start(ACTOR, &id).await.unwrap();
    serving.abort();
    std::mem::take(&mut notes.lock().unwrap().text)
}

fn golden(name: &str, now: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/tests/golden")
        .join(name);
    if std::env::var_os("JEROBOAM_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, now, "{name}; JEROBOAM_GOLDEN=update accepts it");
}

#[tokio::test]
async fn engine_requests_match_the_golden_files() {
    let digest = "docker.io/kindest/node:v1.36.1@sha256:ab12";
    let text = made(NodeFlavour::Kindest, digest).await;
    golden("kindest.requests.txt", &text);
    let text = made(NodeFlavour::K3s, "rancher/k3s:v1.36.1-k3s1").await;
    golden("k3s.requests.txt", &text);
}

#[tokio::test]
async fn a_failed_pull_is_reported_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Shared::default();
    notes.lock().unwrap().refusal = Some("dial tcp 127.0.0.1:5000: connection refused");
    let (engine, serving) = engine(notes).await;
    let s = server(NodeFlavour::Kindest, REFERENCE);
    let spec = container(&s, &[port()], None, &config(dir.path()));
    let e = engine.pull(&spec.image).await.unwrap_err();
    serving.abort();
    assert_eq!(e.kind, Kind::NotFound);
    for part in [
        "image 127.0.0.1:5000/kindest/node:v1.36.1 is not on host h",
        "connection refused",
        "`docker pull 127.0.0.1:5000/kindest/node:v1.36.1`",
    ] {
        assert!(e.message.contains(part), "{e}");
    }
}

#[tokio::test]
async fn a_container_that_is_being_registered_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Shared::default();
    notes.lock().unwrap().registering = true;
    let (engine, serving) = engine(notes).await;
    let s = server(NodeFlavour::Own, "jeroboam/swarm:1");
    let spec = container(&s, &[port()], None, &config(dir.path()));
    let e = engine.create(ACTOR, &spec).await.unwrap_err();
    serving.abort();
    assert!(e.is_transient(), "{e}");
    assert!(e.message.contains("still registers"), "{e}");
}

#[tokio::test]
async fn an_agent_that_needs_a_loader_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Shared::default();
    notes.lock().unwrap().pulled = true;
    let (engine, serving) = engine(notes).await;
    let mut config = config(dir.path());
    // Every test binary is linked dynamically.
    config.agent = std::env::current_exe().unwrap().display().to_string();
    let spec = container(&server(NodeFlavour::K3s, "k3s"), &[port()], None, &config);
    let e = engine.create(ACTOR, &spec).await.unwrap_err();
    config.agent = dir.path().join("absent").display().to_string();
    let spec = container(&server(NodeFlavour::K3s, "k3s"), &[port()], None, &config);
    let absent = engine.create(ACTOR, &spec).await.unwrap_err();
    serving.abort();
    assert!(e.message.contains("is linked dynamically"), "{e}");
    assert!(e.message.contains("crt-static"), "{e}");
    assert!(absent.message.contains("absent cannot be put"), "{absent}");
}

#[tokio::test]
async fn an_unknown_flavour_is_not_registered() {
    let w = Fixture::new().await;
    let new = |word: &str| NewImage {
        name: "kind".into(),
        os_distro: Some("debian".into()),
        properties: BTreeMap::from([("node_flavour".into(), word.into())]),
        reference: REFERENCE.into(),
    };
    let ctx = kernel::Ctx::service("req-1");
    let e = w
        .api
        .images
        .register(&ctx, new("minikube"))
        .await
        .unwrap_err();
    assert!(
        matches!(&e.kind, Kind::Invalid { field } if field == "node_flavour"),
        "{e:?}"
    );
    assert!(
        e.message.contains("'minikube'") && e.message.contains("own, kindest or k3s"),
        "{e}"
    );
    let made = w.api.images.register(&ctx, new("kindest")).await.unwrap();
    assert_eq!(made.flavour().unwrap(), NodeFlavour::Kindest);
}
