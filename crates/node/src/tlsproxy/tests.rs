//! The proxy in front of a socket that echoes, and the channel's pin.

use pki::{Ca, Issued, SignOptions, Subject};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::channel::Channel;

fn identity(ca: &Ca) -> Identity {
    let issued = ca
        .issue(
            Subject::cn("m"),
            &SignOptions::node("m", vec!["127.0.0.1".into()]),
        )
        .unwrap();
    Identity {
        key: issued.key_pem,
        cert: issued.cert_pem,
        ca: ca.cert_pem.clone(),
    }
}

/// Sends three bytes through and reads them back.
async fn talk(
    to: SocketAddr,
    trusted: &Ca,
    client: Option<&Issued>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusted.cert_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        Some(own) => config
            .with_client_auth_cert(
                vec![CertificateDer::from(own.cert_der.clone())],
                PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    let tcp = TcpStream::connect(to).await?;
    let name = ServerName::IpAddress(to.ip().into());
    let mut tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    tls.write_all(b"abc").await?;
    let mut back = [0u8; 3];
    tls.read_exact(&mut back).await?;
    assert_eq!(&back, b"abc");
    Ok(tls)
}

async fn echo(socket: UnixListener) {
    let mut all = JoinSet::new();
    while let Ok((stream, _)) = socket.accept().await {
        all.spawn(async move {
            let (mut read, mut write) = stream.into_split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
    }
}

#[tokio::test]
async fn only_the_clusters_clients_pass_and_a_rotation_cuts_them_off() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = UnixListener::bind(&socket).unwrap();
    let (old, new) = (Ca::generate("old").unwrap(), Ca::generate("new").unwrap());
    let of = |ca: &Ca| {
        ca.issue(Subject::cn("admin"), &SignOptions::user())
            .unwrap()
    };
    let (before, after) = (of(&old), of(&new));
    let (certificates, current) = watch::channel(InForce::new(config(&identity(&old)).unwrap()));
    let listener = bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let clients = async {
        let mut open = talk(at, &old, Some(&before)).await.unwrap();
        assert!(talk(at, &old, None).await.is_err(), "no certificate");
        assert!(talk(at, &old, Some(&after)).await.is_err(), "foreign CA");
        renew(&certificates, config(&identity(&old)).unwrap());
        open.write_all(b"d").await.unwrap();
        assert_eq!(open.read_u8().await.unwrap(), b'd', "a renewal cuts off");
        rotate(&certificates, config(&identity(&new)).unwrap());
        let mut rest = Vec::new();
        // Cut off, in whichever way the end shows.
        let _ = open.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        assert!(talk(at, &new, Some(&before)).await.is_err(), "the old CA");
        talk(at, &new, Some(&after)).await.unwrap();
    };
    tokio::select! {
        () = serve(listener, current, &socket) => panic!("the proxy ended"),
        () = echo(engine) => panic!("the engine ended"),
        done = timeout(Duration::from_secs(20), clients) => done.unwrap(),
    }
}

#[tokio::test]
async fn the_channel_trusts_its_pin_only() {
    let own = pki::self_signed("jeroboam", &[], 10).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(own.cert_der.clone())],
            PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = async {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut tls) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut buffer = [0u8; 4096];
            let length = tls.read(&mut buffer).await.unwrap();
            let asked = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let lower = asked.to_ascii_lowercase();
            assert!(lower.contains("authorization: bearer s-e-c"), "{asked}");
            let answer: &[u8] = if asked.starts_with("GET /bootstrap/v1/join?wait=1 ") {
                b"HTTP/1.1 204 No Content\r\n\r\n"
            } else {
                b"HTTP/1.1 403 Forbidden\r\ncontent-length: 15\r\n\r\n{\"error\":\"why\"}"
            };
            tls.write_all(answer).await.unwrap();
            let _ = tls.shutdown().await;
        }
    };
    let seed = |pin: String| nodewire::Seed {
        server: at.to_string(),
        pin,
        token: "t".into(),
        cluster: "c".into(),
        node: "n".into(),
        role: nodewire::Role::Worker,
        index: 0,
        coe: "swarm".into(),
    };
    let right = pki::fingerprint_sha256(&own.cert_der);
    let client = async {
        let channel = Channel::new(&seed(right.clone()), "s-e-c").unwrap();
        let none = channel.poll::<nodewire::JoinTicket>("join", 1).await;
        assert!(none.unwrap().is_none());
        let e = channel
            .post::<serde_json::Value>("ready", &serde_json::json!({}))
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind, e.message.as_str()),
            (kernel::Kind::Forbidden, "why")
        );
        let wrong = Channel::new(&seed("00".repeat(32)), "s-e-c").unwrap();
        let e = wrong
            .poll::<nodewire::JoinTicket>("join", 1)
            .await
            .unwrap_err();
        assert!(
            e.is_transient() && e.message.contains("is not the pinned"),
            "{e}"
        );
    };
    tokio::select! {
        () = server => panic!("the server ended"),
        done = timeout(Duration::from_secs(20), client) => done.unwrap(),
    }
}
