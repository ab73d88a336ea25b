//! The node's own key and the cluster's certificate for it.

use std::fs;
use std::path::{Path, PathBuf};

use kernel::{Error, Result};
use nodewire::bounds::Bounded as _;
use nodewire::{CsrRequest, CsrResponse, Purpose};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::seed::write_private;
use crate::term::ValidityPeriod;

/// Key, certificate and CA as PEM, in one file so that they always match.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Secret; never leaves the node.
    pub key: String,
    pub cert: String,
    pub ca: String,
}

/// Path of the file with the identity.
pub(crate) fn path(home: &Path) -> PathBuf {
    home.join("identity.json")
}

/// The identity of an earlier boot.
pub(crate) fn stored(path: &Path) -> Option<Identity> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

/// Validity period of the certificate.
pub(crate) fn term(path: &Path) -> Option<ValidityPeriod> {
    ValidityPeriod::read(path, stored(path)?.cert.as_bytes())
}

/// Generates a key, requests its certificate, and stores both. This is not
/// retried.
///
/// # Errors
/// Fails if the channel fails.
pub(crate) async fn obtain(channel: &Channel, node: &str, path: &Path) -> Result<Identity> {
    let (key, csr) = request(node)?;
    let grant: CsrResponse = channel
        .post(
            "csr",
            &CsrRequest {
                csr,
                purpose: Purpose::Node,
            },
        )
        .await?
        .ok_or_else(|| Error::unavailable("csr: an empty answer"))?;
    grant
        .check()
        .map_err(|e| Error::unavailable(format!("csr: {e}")))?;
    let identity = Identity {
        key,
        cert: grant.cert,
        ca: grant.ca,
    };
    write_private(path, serde_json::to_string(&identity)?.as_bytes())?;
    Ok(identity)
}

fn request(node: &str) -> Result<(String, String)> {
    let failed = |e: rcgen::Error| Error::internal(format!("making a signing request: {e}"));
    // P-256 is what rcgen generates by default.
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, node);
    let csr = params
        .serialize_request(&key)
        .and_then(|csr| csr.pem())
        .map_err(failed)?;
    Ok((key.serialize_pem(), csr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_ca_signs_the_nodes_request() {
        let (key, csr) = request("master-0").unwrap();
        let ca = pki::Ca::generate("c").unwrap();
        let options = pki::SignOptions::server("master-0", vec!["10.0.0.4".into()]);
        let cert = ca.sign_csr(&csr, &options).unwrap();
        let info = pki::CertInfo::from_pem(&cert).unwrap();
        assert_eq!(info.subject, "CN=master-0");
        assert!(key.contains("PRIVATE KEY") && !csr.contains("PRIVATE"));
    }
}
