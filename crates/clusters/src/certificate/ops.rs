//! Operations on certificates. Any member of the project may ask for them,
//! not only the cluster's creator; the policy file decides.

use kernel::{Ctx, Result, clock};
use pki::{Ca, SignOptions, Subject};
use serde_json::Value;

use super::authorities::{authority, kubernetes_authority, stored};
use crate::cluster::model::Intent;
use crate::cluster::{Cluster, KIND, ops, table};
use crate::coe::Coe;
use crate::coe::kubernetes::profiles::Authority;
use crate::errors::{as_bad_request, bad_request, invalid_field, wrong_state};
use crate::fields::Fields;
use crate::node::{self, NodeStatus, Task};
use crate::notify::{self, Outcome};
use crate::{ClustersDeps, bootstrap, nodegroup, tokens};

/// Bounds of `expiration_seconds`: time to use it, and Magnum's term.
const MIN_SECONDS: i64 = 60;
const MAX_SECONDS: i64 = pki::TERM_DAYS as i64 * 86_400;
/// Time limit of a manager for switching to a new CA.
const RELOAD_SECONDS: i64 = 60;

/// A certificate of a cluster.
pub(crate) struct Pem {
    pub(crate) cluster: String,
    pub(crate) pem: String,
}

/// A signed request.
pub(crate) struct Signed {
    pub(crate) cluster: String,
    pub(crate) csr: String,
    pub(crate) pem: String,
    pub(crate) ca_cert_type: Option<String>,
}

/// The certificate of a CA; `kind` is Magnum's `ca_cert_type`.
pub(crate) async fn show(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    kind: Option<&str>,
) -> Result<Pem> {
    let c = ops::find(d, ctx, key, "cluster:get_one_all_projects").await?;
    d.enforcer.check("certificate:get", ctx, &ops::target(&c))?;
    let pem = match kubernetes_authority(d, &c, Authority::parse(kind)).await? {
        Some((kube, which)) => kube.stored(which).map(|ca| ca.cert.clone()),
        None => None,
    };
    let pem = match pem {
        Some(pem) => pem,
        None => {
            let own = stored(d, &c).await?.0;
            // Clients use this file as the only CA, so it has to verify the API
            // as well.
            match bootstrap::ops::api_ca(d, &c.uuid).await? {
                Some(more) => format!("{}\n{}\n", own.trim(), more.trim()),
                None => own,
            }
        }
    };
    Ok(Pem {
        cluster: c.uuid,
        pem,
    })
}

/// Signs a certificate request of a user. `expiration_seconds` and
/// `bind_to_caller` are ours; the clients of the real service do not send them.
pub(crate) async fn sign(d: &ClustersDeps, ctx: &Ctx, body: Option<Value>) -> Result<Signed> {
    let known = &[
        "cluster_uuid",
        "bay_uuid",
        "csr",
        "ca_cert_type",
        "expiration_seconds",
        "bind_to_caller",
    ];
    let f = Fields::new("certificate", body, known, &["pem", "links"], &[])?;
    let key = match (f.text("cluster_uuid", 1, 255)?, f.text("bay_uuid", 1, 255)?) {
        (Some(key), None) | (None, Some(key)) => key,
        (None, None) => {
            return Err(invalid_field(
                "cluster_uuid",
                "None",
                "Mandatory field missing.",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(bad_request(
                "bay_uuid",
                "Give cluster_uuid or bay_uuid, not both.",
            ));
        }
    };
    let csr = f.need_text("csr", 1, 64 * 1024)?;
    let kind = f.text("ca_cert_type", 0, 255)?;
    let seconds = f.int("expiration_seconds", MIN_SECONDS, MAX_SECONDS)?;
    let bound = f.flag("bind_to_caller")?.unwrap_or(false);
    let c = ops::find(d, ctx, &key, "cluster:get_one_all_projects")
        .await
        .map_err(|e| as_bad_request(e, "cluster_uuid"))?;
    let target = ops::target(&c);
    d.enforcer.check("certificate:create", ctx, &target)?;
    let which = Authority::parse(kind.as_deref());
    let mut options = if bound {
        bound_to(ctx, &c, which)?
    } else {
        d.enforcer.check("certificate:create_admin", ctx, &target)?;
        SignOptions::user()
    };
    if let Some(seconds) = seconds {
        options.seconds = u32::try_from(seconds).unwrap_or(options.seconds);
    }
    let pem = authority(d, &c, which).await?.sign_csr(&csr, &options)?;
    Ok(Signed {
        cluster: c.uuid,
        csr,
        pem,
        ca_cert_type: kind,
    })
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
pub(crate) async fn rotate(d: &ClustersDeps, ctx: &Ctx, key: &str) -> Result<String> {
    let found = ops::find(d, ctx, key, "cluster:get_one_all_projects").await?;
    d.enforcer
        .check("certificate:rotate_ca", ctx, &ops::target(&found))?;
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
        let mut c = ops::lock_unchanged(tx, &found).await?;
        if !c.complete() {
            return Err(wrong_state("Updating", &c.status));
        }
        let nodes = node::table::of_cluster_tx(tx, &c.uuid).await?;
        let groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
        ops::start_operation(tx, &mut c, Intent::RotateCa, None).await?;
        table::set_ca(tx, &c.uuid, &ca.cert_pem, &sealed).await?;
        let managers = nodes
            .iter()
            .filter(|n| n.is_master && n.status == NodeStatus::Ready);
        for n in managers {
            let now = clock::now_micros();
            let mut task = Task::new(&c.uuid, "reload-ca", &n.name, now, RELOAD_SECONDS);
            task.generation = c.generation;
            node::table::insert_task(tx, &task).await?;
        }
        notify::push(tx, Some(ctx), "update", Outcome::Pending, &c, &groups).await
    })?;
    Ok(found.uuid)
}
