//! Routes of certificates.

use kernel::Result;
use serde_json::{Value, json};

use super::ops::{self, Pem};
use crate::ClustersDeps;
use crate::call::{Answer, Call};
use crate::{cluster, links};

/// `GET /certificates/{cluster}`.
pub(crate) async fn show(d: &ClustersDeps, call: &Call, key: &str) -> Result<Answer> {
    call.allow_query_keys(&["ca_cert_type"])?;
    let shown = ops::show(d, &call.ctx, key, call.query_value("ca_cert_type")).await?;
    Ok(Answer::json(200, body(&shown, &call.base)))
}

fn body(shown: &Pem, base: &str) -> Value {
    let path = format!("certificates/{}", shown.cluster);
    json!({ "cluster_uuid": shown.cluster, "links": links::links(base, &path),
        "pem": shown.pem.trim_end() })
}

/// `POST /certificates`.
pub(crate) async fn sign(d: &ClustersDeps, call: Call) -> Result<Answer> {
    call.reject_query()?;
    let signed = ops::sign(d, &call.ctx, call.body).await?;
    let path = format!("certificates/{}", signed.cluster);
    let mut body = json!({ "cluster_uuid": signed.cluster,
        "links": links::links(&call.base, &path), "csr": signed.csr, "pem": signed.pem });
    if let (Some(kind), Some(map)) = (signed.ca_cert_type, body.as_object_mut()) {
        map.insert("ca_cert_type".into(), json!(kind));
    }
    Ok(Answer::json(201, body))
}

/// `PATCH /certificates/{cluster}`.
pub(crate) async fn rotate(d: &ClustersDeps, call: &Call, key: &str) -> Result<Answer> {
    call.reject_query()?;
    let uuid = ops::rotate(d, &call.ctx, key).await?;
    Ok(Answer::json(202, cluster::wire::accepted(&uuid)))
}
