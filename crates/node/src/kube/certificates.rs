//! Keys and certificates of a Kubernetes node. The node generates its keys, and
//! the server signs the certificates: one request per purpose, all concurrently.
//! A key is stored before its certificate is requested: when the request is
//! repeated after a crash, the server returns the same certificate only for the
//! same key.

use std::fs;
use std::path::Path;

use futures_util::future::try_join_all;
use kernel::{Error, Result, clock};
use nodewire::bounds::Bounded as _;
use nodewire::{CsrRequest, CsrResponse, Purpose, Role, StepStatus};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::plan::PKI;
use crate::channel::Channel;
use crate::report::{Reporter, plain};
use crate::retry::Backoff;
use crate::seed::write_private;
use crate::term::ValidityPeriod;

/// A purpose, with the names of its files and of the file of its CA.
pub(crate) type Wanted = (Purpose, &'static str, &'static str);

/// The certificates that a role needs.
pub(crate) fn wanted(role: Role) -> &'static [Wanted] {
    const ALL: &[Wanted] = &[
        (Purpose::Kubelet, "kubelet", "ca"),
        (Purpose::KubeProxy, "kube-proxy", "ca"),
        (Purpose::Apiserver, "apiserver", "ca"),
        (
            Purpose::ApiserverKubeletClient,
            "apiserver-kubelet-client",
            "ca",
        ),
        (Purpose::ControllerManager, "controller-manager", "ca"),
        (Purpose::Scheduler, "scheduler", "ca"),
        (Purpose::Admin, "admin", "ca"),
        (Purpose::Etcd, "etcd", "etcd-ca"),
        (Purpose::EtcdClient, "etcd-client", "etcd-ca"),
        (
            Purpose::FrontProxyClient,
            "front-proxy-client",
            "front-proxy-ca",
        ),
    ];
    match role {
        Role::Manager => ALL,
        Role::Worker => &ALL[..2],
        Role::Balancer => &[],
    }
}

/// Whether an earlier boot obtained all certificates and they are still valid.
pub(crate) fn complete(dir: &Path, role: Role) -> bool {
    wanted(role).iter().all(|wanted| is_complete(dir, *wanted))
}

/// Whether the key, the CA and a certificate that is still valid are stored. A
/// node that was stopped for long may have only expired certificates.
fn is_complete(dir: &Path, (_, name, ca): Wanted) -> bool {
    let certificate = dir.join(format!("{name}.crt"));
    let now = clock::now();
    dir.join(format!("{name}.key")).exists()
        && dir.join(format!("{ca}.crt")).exists()
        && ValidityPeriod::of(&certificate).is_some_and(|term| !term.is_over(now))
}

/// Obtains missing certificates; retries until it succeeds or is refused.
///
/// # Errors
/// The refusal of the server, naming the purpose; internal: file errors.
pub(crate) async fn obtain(
    channel: &Channel,
    reporter: &Reporter,
    dir: &Path,
    node: &str,
    role: Role,
) -> Result<()> {
    let missing = wanted(role).iter().filter(|w| !is_complete(dir, **w));
    let requests = missing.map(|wanted| async move {
        let name = wanted.1;
        let mut backoff = Backoff::new(50, 5_000);
        loop {
            match request_and_store(channel, dir, node, *wanted).await {
                Err(e) if e.is_transient() => {
                    reporter.step("certificates", StepStatus::Retrying, plain(&e));
                    backoff.pause().await;
                }
                Err(e) => {
                    return Err(Error::new(e.kind.clone(), format!("{name}: {}", plain(&e))));
                }
                Ok(_) => return Ok(()),
            }
        }
    });
    try_join_all(requests).await.map(|_| ())
}

/// Requests a new certificate for the existing key, and returns whether the CA
/// has a new certificate, too. This is not retried.
///
/// # Errors
/// Channel errors; internal: file errors.
pub(crate) async fn renew(channel: &Channel, node: &str, wanted: &Wanted) -> Result<bool> {
    request_and_store(channel, Path::new(PKI), node, *wanted).await
}

/// Like `renew`, in a given directory.
pub(super) async fn request_and_store(
    channel: &Channel,
    dir: &Path,
    node: &str,
    wanted: Wanted,
) -> Result<bool> {
    let (purpose, name, ca) = wanted;
    let certificate = dir.join(format!("{name}.crt"));
    let authority = dir.join(format!("{ca}.crt"));
    let key = key(&dir.join(format!("{name}.key")))?;
    let ask = CsrRequest {
        csr: request(&key, node)?,
        purpose,
    };
    let grant: CsrResponse = channel
        .post("csr", &ask)
        .await?
        .ok_or_else(|| Error::unavailable(format!("{name}: an empty answer")))?;
    grant
        .check()
        .map_err(|e| Error::unavailable(format!("{name}: {e}")))?;
    // The CA is written first, because an existing certificate counts as
    // complete.
    let known = fs::read(&authority).ok();
    write_private(&authority, grant.ca.as_bytes())?;
    write_private(&certificate, grant.cert.as_bytes())?;
    Ok(known.is_some_and(|known| known != grant.ca.as_bytes()))
}

/// Writes the key that signs service account tokens, and its public key, because
/// the API server does not accept a PKCS#8 EC key for verification.
///
/// # Errors
/// Internal: the key cannot be read, the files cannot be written.
pub(crate) fn token_keys(dir: &Path, key: &str) -> Result<()> {
    let pair = KeyPair::from_pem(key)
        .map_err(|e| Error::internal(format!("the service account key: {e}")))?;
    write_private(&dir.join("sa.pub"), pair.public_key_pem().as_bytes())?;
    write_private(&dir.join("sa.key"), key.as_bytes())
}

/// The stored key, or a new one.
fn key(path: &Path) -> Result<KeyPair> {
    let kept = fs::read_to_string(path)
        .ok()
        .and_then(|pem| KeyPair::from_pem(&pem).ok());
    if let Some(kept) = kept {
        return Ok(kept);
    }
    let fresh = KeyPair::generate().map_err(failed)?;
    write_private(path, fresh.serialize_pem().as_bytes())?;
    Ok(fresh)
}

fn request(key: &KeyPair, node: &str) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, node);
    params
        .serialize_request(key)
        .and_then(|csr| csr.pem())
        .map_err(failed)
}

fn failed(e: rcgen::Error) -> Error {
    Error::internal(format!("making a signing request: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pki/kubelet.key");
        let first = key(&path).unwrap();
        assert_eq!(key(&path).unwrap().serialize_pem(), first.serialize_pem());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(
            request(&first, "n")
                .unwrap()
                .contains("CERTIFICATE REQUEST")
        );
        assert!(!complete(&dir.path().join("pki"), Role::Worker));
        token_keys(dir.path(), &first.serialize_pem()).unwrap();
        let public = fs::read_to_string(dir.path().join("sa.pub")).unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY"), "{public}");
    }
}
