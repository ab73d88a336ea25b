//! Routes of certificates.

use kernel::{Result, Rule};
use rest::{Accepted, Call, Created, Json, Param, Route, get, patch_route, post};

use super::ops;
use super::wire::{CertificateBody, SignBody, SignedBody};
use crate::authorized::Authorized;
use crate::cluster::{self, Cluster};
use crate::deps::State;
use crate::errors::as_bad_request;
use crate::wire::AcceptedBody;
use crate::{links, policies};

const KIND: &[Param] = &[Param::text(
    "ca_cert_type",
    "The CA of a Kubernetes cluster: kubernetes, kubelet, etcd or front-proxy.",
)];

pub(crate) fn routes() -> Vec<Route<State>> {
    const ONE: &str = "/v1/certificates/{cluster_id}";
    vec![
        get(
            ONE,
            &policies::CERTIFICATE_GET,
            "Shows the CA of a cluster.",
            show,
        )
        .query(&[KIND]),
        post(
            "/v1/certificates",
            &policies::CERTIFICATE_CREATE,
            "Signs a certificate with the CA of a cluster.",
            sign,
        ),
        patch_route(
            ONE,
            &policies::CERTIFICATE_ROTATE_CA,
            "Replaces the CA of a cluster.",
            rotate,
        ),
    ]
}

async fn load<B>(
    call: &Call<State, B>,
    key: &str,
    rule: &'static Rule,
) -> Result<Authorized<Cluster>> {
    let everywhere = &policies::CLUSTER_GET_ONE_ALL_PROJECTS;
    cluster::ops::load(&call.state, call.ctx()?, key, everywhere, &[rule]).await
}

async fn show(call: Call<State>) -> Result<Json<CertificateBody>> {
    let key = call.param("cluster_id")?;
    let c = load(&call, key, &policies::CERTIFICATE_GET).await?;
    let pem = ops::show(&call.state, &c, call.asked("ca_cert_type")).await?;
    let base = links::base(&call);
    Ok(Json(CertificateBody::new(&c.uuid, &pem, &base)))
}

async fn sign(call: Call<State, SignBody>) -> Result<Created<SignedBody>> {
    let body = call.body()?;
    let found = load(&call, &body.cluster, &policies::CERTIFICATE_CREATE).await;
    let c = found.map_err(|e| as_bad_request(e, "cluster_uuid"))?;
    let pem = ops::sign(&call.state, call.ctx()?, &c, &body).await?;
    let base = links::base(&call);
    Ok(Created(SignedBody::new(&c.uuid, body, pem, &base)))
}

async fn rotate(call: Call<State>) -> Result<Accepted<AcceptedBody>> {
    let key = call.param("cluster_id")?;
    let c = load(&call, key, &policies::CERTIFICATE_ROTATE_CA).await?;
    ops::rotate(&call.state, call.ctx()?, &c).await?;
    let uuid = c.into_inner().uuid.into();
    Ok(Accepted(AcceptedBody { uuid }))
}
