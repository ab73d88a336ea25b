//! TLS of clients: verification of the server by a pinned certificate, or by a
//! CA with a certificate of our own.

use std::sync::Arc;

use kernel::{Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

/// HTTP/2; a server of the previous release ignores it.
pub(crate) const ALPN_H2: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Accepts only the certificate with this SHA-256; offers HTTP/2.
///
/// # Errors
/// Internal: the crypto provider supports no version of TLS.
pub(crate) fn pinned(pin: &str) -> Result<Arc<ClientConfig>> {
    let provider = provider();
    let pinned = Pinned {
        pin: pin.to_ascii_lowercase(),
        provider: provider.clone(),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Trusts the CAs in `ca` and presents a certificate; all PEM. `name` is for
/// messages.
///
/// # Errors
/// Invalid `certificate`: a part is unusable.
pub(crate) fn mutual(name: &str, ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Arc<ClientConfig>> {
    let wrong = |e: &dyn std::fmt::Display| {
        Error::invalid("certificate", format!("{name} cannot be used: {e}"))
    };
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(ca) {
        roots
            .add(ca.map_err(|e| wrong(&e))?)
            .map_err(|e| wrong(&e))?;
    }
    let chain = CertificateDer::pem_slice_iter(cert)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| wrong(&e))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| wrong(&e))?;
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map(Arc::new)
        .map_err(|e| wrong(&e))
}

/// Accepts only the certificate whose SHA-256 is the pin, regardless of names
/// and dates: a node keeps its pin for life, which may be longer than that of
/// the certificate. The signature of the handshake still proves that the server
/// has the key.
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

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::pem::PemObject as _;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    #[tokio::test]
    async fn a_pinned_certificate_is_accepted_after_its_end() {
        let expired = pki::self_signed("jeroboam-bootstrap", &[], 0).unwrap();
        let end = pki::CertInfo::from_pem(&expired.cert_pem)
            .unwrap()
            .not_after;
        assert!(end <= kernel::clock::now(), "it has ended");
        let other = pki::self_signed("jeroboam-bootstrap", &[], 10).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(expired.cert_der.clone())],
                PrivateKeyDer::from_pem_slice(expired.key_pem.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        for (pinned, accepted) in [(&expired, true), (&other, false)] {
            let pin = pki::fingerprint_sha256(&pinned.cert_der);
            let connector = TlsConnector::from(super::pinned(&pin).unwrap());
            let (here, there) = tokio::io::duplex(64 * 1024);
            let name = ServerName::try_from("192.0.2.1").unwrap();
            let (client, _) = tokio::join!(connector.connect(name, here), acceptor.accept(there));
            assert_eq!(client.is_ok(), accepted);
        }
    }
}
