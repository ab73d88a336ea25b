//! Many idle agents in one process, for `tests/scale/test_idle_agents.py`:
//! `idle_agents SERVER PIN < SEEDS`, with the seed of a node in each line. Each
//! agent has one connection, from a separate address in 127.0.0.0/8, with the
//! streams of a real agent. Prints `up N` when all are connected, and a line
//! whenever a session ends; runs until it is killed.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use nodewire::{AGENT_PROTOCOLS, Hello, Role, SESSION_PREFIX, Seed};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Maximum number of concurrent handshakes.
const TOGETHER: usize = 32;
/// As in the agent.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?;
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(pin)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: idle_agents SERVER PIN < SEEDS");
    };
    let server: SocketAddr = server.parse()?;
    let connector = connector(pin)?;
    let seeds = seeds()?;
    let count = seeds.len();
    let (events, mut received) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(TOGETHER));
    let mut all = JoinSet::new();
    for (number, seed) in (0u32..).zip(seeds) {
        let (connector, events, gate) = (connector.clone(), events.clone(), gate.clone());
        all.spawn(async move {
            let source = Ipv4Addr::from(0x7f01_0000 + number);
            let ended = live(server, source, seed, connector, &events, &gate).await;
            let _ = events.send(Err(ended.err().map(|e| e.to_string()).unwrap_or_default()));
        });
    }
    let mut up = 0;
    let mut out = std::io::stdout();
    while let Some(word) = received.recv().await {
        match word {
            Ok(()) => up += 1,
            Err(why) => writeln!(out, "ended: {why}")?,
        }
        if up == count {
            writeln!(out, "up {count}")?;
            up = 0;
        }
        out.flush()?;
    }
    Ok(())
}

fn seeds() -> anyhow::Result<Vec<Seed>> {
    let lines = std::io::stdin().lock().lines();
    lines
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect()
}

/// Runs one agent until its session ends.
async fn live(
    server: SocketAddr,
    source: Ipv4Addr,
    seed: Seed,
    connector: TlsConnector,
    events: &mpsc::UnboundedSender<Result<(), String>>,
    gate: &Semaphore,
) -> anyhow::Result<()> {
    let turn = gate.acquire().await?;
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let tcp = socket.connect(server).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::IpAddress(server.ip().into());
    let tls = connector.connect(name, tcp).await?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(tls)).await?;
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    // The session of a previous agent of this container, which the server
    // generated in the same way.
    let session = pki::fingerprint_sha256(format!("session {}", seed.token).as_bytes());
    let hello = Hello {
        cluster: seed.cluster,
        node: seed.node,
        token: seed.token,
        session: session.clone(),
        addresses: vec![source.to_string()],
        boot: 1,
        protocols: AGENT_PROTOCOLS,
        software: "idle_agents".into(),
        peers: None,
    };
    let body = serde_json::to_vec(&hello)?;
    let mut first = ask(&mut sender, server, &session, "POST", "session", body).await?;
    first.body_mut().frame().await;
    let mut bodies = vec![first.into_body()];
    if seed.role == Role::Manager {
        let tasks = ask(&mut sender, server, &session, "GET", "tasks", Vec::new()).await?;
        bodies.push(tasks.into_body());
    }
    drop(turn);
    let _ = events.send(Ok(()));
    for body in &mut bodies {
        while let Some(frame) = body.frame().await {
            frame?;
        }
    }
    anyhow::bail!("the server ended the session")
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    server: SocketAddr,
    session: &str,
    method: &str,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<Response<Incoming>> {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://{server}{SESSION_PREFIX}/{path}"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {session}"))
        .body(Full::new(Bytes::from(body)))?;
    let answer = sender.send_request(request).await?;
    anyhow::ensure!(answer.status().is_success(), "{path}: {}", answer.status());
    Ok(answer)
}

fn connector(pin: String) -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pinned = Pinned {
        pin,
        provider: provider.clone(),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Verifies only the pin, as the agent does.
#[derive(Debug)]
struct Pinned {
    pin: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if pki::fingerprint_sha256(end_entity) == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("not the pinned certificate".into()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
