//! The way to the server: HTTPS to one address, trusted by the fingerprint
//! of its certificate and by nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use kernel::{Error, Kind, Result};
use nodewire::{PREFIX, Problem, Seed};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::drive::beside;

/// An answer beyond this is none of ours.
const MAX_ANSWER: usize = 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);

/// A client of the bootstrap routes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    server: SocketAddr,
    session: String,
    connector: TlsConnector,
}

impl Channel {
    /// # Errors
    /// Invalid `seed`: the server is no address.
    pub(crate) fn new(seed: &Seed, session: &str) -> Result<Self> {
        let server = seed
            .server
            .parse()
            .map_err(|_| Error::invalid("seed", "server is not an address with a port"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let pinned = Pinned {
            pin: seed.pin.to_ascii_lowercase(),
            provider: provider.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned))
            .with_no_client_auth();
        Ok(Self {
            inner: Arc::new(Inner {
                server,
                session: session.to_owned(),
                connector: TlsConnector::from(Arc::new(config)),
            }),
        })
    }

    /// The server's address.
    pub(crate) fn server(&self) -> SocketAddr {
        self.inner.server
    }

    /// Posts a body; `None` where the answer is 204.
    ///
    /// # Errors
    /// Unauthenticated and Forbidden: refused for good. Unavailable,
    /// Timeout: may work later. Others as the server said.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Option<T>> {
        let body = Bytes::from(serde_json::to_vec(body)?);
        self.call(Method::POST, path, body, ANSWER).await
    }

    /// Asks with a long poll of so many seconds.
    ///
    /// # Errors
    /// As `post`.
    pub(crate) async fn poll<T: DeserializeOwned>(
        &self,
        path: &str,
        seconds: u32,
    ) -> Result<Option<T>> {
        let limit = ANSWER + Duration::from_secs(seconds.into());
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{sign}wait={seconds}");
        self.call(Method::GET, &path, Bytes::new(), limit).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Option<T>> {
        let late = |_| Error::timeout(format!("{} did not answer in time", self.inner.server));
        tokio::time::timeout(limit, self.exchange(method, path, body))
            .await
            .map_err(late)?
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Option<T>> {
        let server = self.inner.server;
        let away = |e: &dyn std::fmt::Display| Error::unavailable(format!("{server}: {e}"));
        let tcp = tokio::time::timeout(CONNECT, TcpStream::connect(server))
            .await
            .map_err(|_| away(&"no connection within 5 s"))?
            .map_err(|e| away(&e))?;
        let _ = tcp.set_nodelay(true);
        let name = ServerName::IpAddress(server.ip().into());
        let tls = self
            .inner
            .connector
            .connect(name, tcp)
            .await
            .map_err(|e| away(&e))?;
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
            .await
            .map_err(|e| away(&e))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{PREFIX}/{path}"))
            .header(header::HOST, server.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.inner.session),
            )
            .body(Full::new(body))
            .map_err(Error::internal)?;
        let answer = async {
            let answer = send.send_request(request).await.map_err(|e| away(&e))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|e| away(&e))?;
            understand(path, status, &body.to_bytes())
        };
        beside(connection, answer).await
    }
}

fn understand<T: DeserializeOwned>(
    path: &str,
    status: StatusCode,
    body: &[u8],
) -> Result<Option<T>> {
    if status == StatusCode::NO_CONTENT {
        return Ok(None);
    }
    if status.is_success() {
        return serde_json::from_slice(body)
            .map(Some)
            .map_err(|e| Error::unavailable(format!("{path}: answer not understood: {e}")));
    }
    let said = serde_json::from_slice::<Problem>(body)
        .map(|p| p.error)
        .unwrap_or_else(|_| format!("HTTP {status}"));
    let kind = match status.as_u16() {
        401 => Kind::Unauthenticated,
        403 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        409 => Kind::Conflict,
        400 | 422 => Kind::Invalid {
            field: path.to_owned(),
        },
        _ => Kind::Unavailable { retry_after: 1 },
    };
    Err(Error::new(kind, said))
}

/// Whether the server refused this node for good.
pub(crate) fn is_refusal(e: &Error) -> bool {
    matches!(e.kind, Kind::Unauthenticated | Kind::Forbidden)
}

/// Accepts the one certificate whose SHA-256 is the pin; its names and dates
/// do not matter. The handshake's signature still proves that the server
/// holds the key.
#[derive(Debug)]
struct Pinned {
    pin: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let digest = Sha256::digest(end_entity);
        let seen: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        if seen == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(format!(
                "the server's certificate {seen} is not the pinned {}",
                self.pin
            )))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
