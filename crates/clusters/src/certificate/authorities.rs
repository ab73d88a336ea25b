//! The CAs of a cluster: how they are loaded for signing, when they are renewed,
//! and when they expire.

use kernel::{Error, Result, Timestamp, clock};
use pki::Ca;
use serde_json::Value;
use std::time::Duration;

use crate::cluster::{Cluster, table};
use crate::coe::Coe;
use crate::coe::kubernetes::profiles::Authority;
use crate::kube::{self, Kube};
use crate::{ClustersDeps, tokens};

/// Number of days before the expiry of a CA in which the health of the cluster
/// shows it.
const WARNING_TIME: Duration = Duration::from_hours(90 * 24);

/// Certificate and sealed key of the first CA.
pub(crate) async fn stored(d: &ClustersDeps, c: &Cluster) -> Result<(String, String)> {
    table::ca(&d.db, &c.uuid)
        .await?
        .ok_or_else(|| Error::not_found("Cluster", &c.uuid))
}

/// Selects a CA that only Kubernetes clusters have. A swarm has one CA, which
/// is returned for every type.
pub(crate) async fn kubernetes_authority(
    d: &ClustersDeps,
    c: &Cluster,
    which: Authority,
) -> Result<Option<(Kube, Authority)>> {
    if which == Authority::Cluster || c.engine()? != Coe::Kubernetes {
        return Ok(None);
    }
    Ok(Some((kube::table::load(&d.db, &c.uuid).await?, which)))
}

/// A CA with its key, for signing. Its certificate is renewed when it is due:
/// agents ask for certificates regularly, and receive that of the CA with them.
pub(crate) async fn authority(d: &ClustersDeps, c: &Cluster, which: Authority) -> Result<Ca> {
    if let Some((kube, which)) = kubernetes_authority(d, c, which).await?
        && let Some(ca) = kube.authority(&d.sealer, &c.uuid, which)?
    {
        return renew_if_due(d, c, which, ca).await;
    }
    let (cert_pem, sealed) = stored(d, c).await?;
    let key = d
        .sealer
        .unseal_text(&tokens::ca_purpose(&c.uuid), &sealed)?;
    let ca = Ca {
        cert_pem,
        key_pem: key.to_string(),
    };
    renew_if_due(d, c, Authority::Cluster, ca).await
}

/// Stores a certificate for the same name and key. Programs that trust the old
/// one also trust certificates that are signed from now on.
async fn renew_if_due(d: &ClustersDeps, c: &Cluster, which: Authority, ca: Ca) -> Result<Ca> {
    if !ca.is_due()? {
        return Ok(ca);
    }
    let new = ca.renewed()?;
    let certificates = (ca.cert_pem.as_str(), new.cert_pem.as_str());
    db::write!(d.db, |tx| match which {
        Authority::Cluster => table::renew_ca(tx, &c.uuid, certificates.0, certificates.1).await,
        _ => kube::table::renew_ca(tx, &c.uuid, which, certificates).await,
    })?;
    tracing::info!(cluster = c.uuid.as_str(), ca = ?which, "the certificate of a CA was renewed");
    Ok(new)
}

/// The CAs of a cluster with the expiry times of their certificates;
/// only the first one if the COE is not known to this release.
pub(crate) async fn expirations(
    d: &ClustersDeps,
    c: &Cluster,
) -> Result<Vec<(&'static str, Timestamp)>> {
    let mut all = vec![("cluster", stored(d, c).await?.0)];
    if c.engine().is_ok_and(|coe| coe == Coe::Kubernetes) {
        let kube = kube::table::load(&d.db, &c.uuid).await?;
        all.push(("etcd", kube.etcd.cert));
        all.push(("front-proxy", kube.front_proxy.cert));
    }
    all.into_iter()
        .map(|(name, pem)| Ok((name, pki::CertInfo::from_pem(&pem)?.not_after)))
        .collect()
}

/// Adds the CAs that expire soon to the reason of a health status. A CA is not
/// renewed if no agent of its cluster requests a certificate.
pub(crate) async fn warn_before_end(
    d: &ClustersDeps,
    c: &Cluster,
    reason: &mut Value,
) -> Result<()> {
    let Some(reason) = reason.as_object_mut() else {
        return Ok(());
    };
    let now = clock::now();
    for (name, end) in expirations(d, c).await? {
        if end.since(now) < WARNING_TIME {
            let text = format!("expires {}", end.iso_z());
            reason.insert(format!("ca.{name}"), text.into());
        }
    }
    Ok(())
}
