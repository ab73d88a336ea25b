//! Operations on certificates. Any member of the project may ask for them,
//! not only the cluster's creator; the policy file decides.

use kernel::{Ctx, Error, Result, clock};
use pki::{Ca, SignOptions};

use super::wire::SignBody;
use crate::authorized::Authorized;
use crate::cluster::model::Intent;
use crate::cluster::{Cluster, KIND, operation, table};
use crate::coe::Coe;
use crate::coe::kubernetes::profiles::Authority;
use crate::errors::{bad_request, wrong_state};
use crate::kube::{self, Kube};
use crate::node::{self, NodeStatus, Task, TaskKind};
use crate::notify::{self, Outcome};
use crate::{ClustersDeps, join_secrets, nodegroup, tokens};

/// Time limit of a manager for switching to a new CA.
const RELOAD_SECONDS: i64 = 60;

/// The certificate of a CA; `kind` is Magnum's `ca_cert_type`.
pub(crate) async fn show(
    d: &ClustersDeps,
    c: &Authorized<Cluster>,
    kind: Option<&str>,
) -> Result<String> {
    let pem = match kubernetes_authority(d, c, Authority::parse(kind)).await? {
        Some((kube, which)) => kube.stored(which).map(|ca| ca.cert.clone()),
        None => None,
    };
    Ok(match pem {
        Some(pem) => pem,
        None => {
            let own = stored(d, c).await?.0;
            // Clients use this file as the only CA, so it has to verify the API
            // as well.
            match join_secrets::api_ca(d, &c.uuid).await? {
                Some(more) => format!("{}\n{}\n", own.trim(), more.trim()),
                None => own,
            }
        }
    })
}

async fn stored(d: &ClustersDeps, c: &Cluster) -> Result<(String, String)> {
    table::ca(&d.db, &c.uuid)
        .await?
        .ok_or_else(|| Error::not_found("Cluster", &c.uuid))
}

/// Selects a CA that only Kubernetes clusters have. A swarm has one CA, which
/// is returned for every type.
async fn kubernetes_authority(
    d: &ClustersDeps,
    c: &Cluster,
    which: Authority,
) -> Result<Option<(Kube, Authority)>> {
    if which == Authority::Cluster || c.engine()? != Coe::Kubernetes {
        return Ok(None);
    }
    Ok(Some((kube::table::load(&d.db, &c.uuid).await?, which)))
}

/// A CA with its key, for signing.
pub(crate) async fn authority(d: &ClustersDeps, c: &Cluster, which: Authority) -> Result<Ca> {
    if let Some((kube, which)) = kubernetes_authority(d, c, which).await?
        && let Some(ca) = kube.authority(&d.sealer, &c.uuid, which)?
    {
        return Ok(ca);
    }
    let (cert_pem, sealed) = stored(d, c).await?;
    let key = d
        .sealer
        .unseal_text(&tokens::ca_purpose(&c.uuid), &sealed)?;
    Ok(Ca {
        cert_pem,
        key_pem: key.to_string(),
    })
}

/// Signs a certificate request of a user.
pub(crate) async fn sign(
    d: &ClustersDeps,
    c: &Authorized<Cluster>,
    asked: &SignBody,
) -> Result<String> {
    let which = Authority::parse(asked.kind.as_deref());
    let ca = authority(d, c, which).await?;
    ca.sign_csr(&asked.csr, &SignOptions::user())
}

/// Replaces the CA, and creates tasks that make managers request new
/// certificates.
pub(crate) async fn rotate(d: &ClustersDeps, ctx: &Ctx, found: &Authorized<Cluster>) -> Result<()> {
    if found.engine()? == Coe::Kubernetes {
        return Err(bad_request(
            "ca",
            "Rotating the CA of a kubernetes cluster is not supported by this driver; nothing \
             was changed.",
        ));
    }
    let ca = Ca::generate(&found.name)?;
    let sealed = d
        .sealer
        .seal(&tokens::ca_purpose(&found.uuid), ca.key_pem.as_bytes())?;
    db::write!(d.db, |tx| {
        db::mark_now(tx, KIND, &found.uuid).await?;
        tx.write_receipt().await?;
        let mut c = operation::lock_unchanged(tx, found).await?;
        if !c.complete() {
            return Err(wrong_state("Updating", &c.status));
        }
        let nodes = node::table::of_cluster_tx(tx, &c.uuid).await?;
        let groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
        operation::start(tx, &mut c, Intent::RotateCa, None).await?;
        table::set_ca(tx, &c.uuid, &ca.cert_pem, &sealed).await?;
        let managers = nodes
            .iter()
            .filter(|n| n.is_master && n.status == NodeStatus::Ready);
        for n in managers {
            let now = clock::now_micros();
            let mut task = Task::new(&c.uuid, TaskKind::ReloadCa, &n.name, now, RELOAD_SECONDS);
            task.generation = c.generation;
            node::table::insert_task(tx, &task).await?;
        }
        notify::push(tx, Some(ctx), "update", Outcome::Pending, &c, &groups).await
    })
}
