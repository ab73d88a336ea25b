//! The proxy in front of an echoing socket.

use pki::{Ca, Issued, SignOptions, Subject};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

fn identity(ca: &Ca) -> Identity {
    let issued = ca
        .issue(
            Subject::cn("m"),
            &SignOptions::server("m", vec!["127.0.0.1".into()]),
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
    let sans = vec!["127.0.0.1".into()];
    let worker = old
        .issue(Subject::cn("w"), &SignOptions::server("w", sans))
        .unwrap();
    let (certificates, current) = watch::channel(InForce::new(config(&identity(&old)).unwrap()));
    let listener = bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let clients = async {
        let mut open = talk(at, &old, Some(&before)).await.unwrap();
        assert!(talk(at, &old, None).await.is_err(), "no certificate");
        assert!(talk(at, &old, Some(&after)).await.is_err(), "foreign CA");
        assert!(talk(at, &old, Some(&worker)).await.is_err(), "a node");
        renew(&certificates, config(&identity(&old)).unwrap());
        open.write_all(b"d").await.unwrap();
        assert_eq!(open.read_u8().await.unwrap(), b'd', "a renewal cuts off");
        rotate(&certificates, config(&identity(&new)).unwrap());
        let mut rest = Vec::new();
        // Closed; the error depends on the timing.
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
