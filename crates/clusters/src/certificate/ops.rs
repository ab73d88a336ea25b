//! Operations on certificates. Any member of the project may ask for them,
//! not only the cluster's creator; the policy file decides.

use kernel::{Ctx, Result, clock};
use pki::{Ca, SignOptions, Subject};
use std::time::Duration;

use super::authorities::{authority, kubernetes_authority, stored};
use super::wire::SignBody;
use crate::authorized::{Authorized, Owned as _};
use crate::cluster::model::Intent;
use crate::cluster::{Cluster, KIND, operation, table};
use crate::coe::Coe;
use crate::coe::kubernetes::profiles::Authority;
use crate::errors::{bad_request, wrong_state};
use crate::node::{self, NodeStatus, Task, TaskKind};
use crate::notify::{self, Outcome};
use crate::{ClustersDeps, join_secrets, nodegroup, policies, tokens};

/// Time limit of a manager for switching to a new CA.
const RELOAD_LIMIT: Duration = Duration::from_mins(1);

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

/// Signs a certificate request of a user. `expiration_seconds` and
/// `bind_to_caller` are ours; the clients of the real service do not send them.
pub(crate) async fn sign(
    d: &ClustersDeps,
    ctx: &Ctx,
    c: &Authorized<Cluster>,
    asked: &SignBody,
) -> Result<String> {
    let which = Authority::parse(asked.kind.as_deref());
    let mut options = if asked.bind_to_caller {
        bound_to(ctx, c, which)?
    } else {
        let target = c.target();
        d.enforcer
            .check(&policies::CERTIFICATE_CREATE_ADMIN, ctx, &target)?;
        SignOptions::user()
    };
    if let Some(seconds) = asked.seconds {
        options.seconds = seconds;
    }
    authority(d, c, which).await?.sign_csr(&asked.csr, &options)
}

/// A certificate of a client with the caller's identity, whatever the request
/// contains: the id as the user, project and roles as groups. They are prefixed,
/// because Kubernetes has names with privileges.
fn bound_to(ctx: &Ctx, c: &Cluster, which: Authority) -> Result<SignOptions> {
    if which != Authority::Cluster || c.engine()? != Coe::Kubernetes {
        return Err(bad_request(
            "bind_to_caller",
            "bind_to_caller: only the API of a kubernetes cluster distinguishes its clients.",
        ));
    }
    let mut groups = vec![format!("jeroboam:project:{}", c.project_id)];
    groups.extend(ctx.roles.iter().map(|r| format!("jeroboam:role:{r}")));
    let user = format!("jeroboam:user:{}", ctx.user_id);
    // RFC 5280 limits both; a shortened name could be that of another user.
    if groups.iter().chain([&user]).any(|n| n.chars().count() > 64) {
        return Err(bad_request(
            "bind_to_caller",
            "bind_to_caller: the id of the user or the name of a role is too long for a certificate.",
        ));
    }
    Ok(SignOptions {
        client_auth: true,
        ..SignOptions::machine(Subject {
            common_name: user,
            organizations: groups,
        })
    })
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
            let now = clock::now();
            let mut task = Task::new(&c.uuid, TaskKind::ReloadCa, &n.name, now, RELOAD_LIMIT);
            task.generation = c.generation;
            node::table::insert_task(tx, &task).await?;
        }
        notify::push(tx, Some(ctx), "update", Outcome::Pending, &c, &groups).await
    })
}
