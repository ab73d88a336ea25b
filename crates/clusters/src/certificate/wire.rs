//! Bodies of certificates.

use std::sync::Arc;

use kernel::Result;
use rest::RequestBody;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use crate::errors::{bad_request, invalid_field};
use crate::fields::{BodySpec, Fields, Kind, optional, required};
use crate::links::Links;

/// A CA of a cluster.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Certificate")]
pub(crate) struct CertificateBody {
    cluster_uuid: String,
    links: Links,
    pem: String,
}

impl CertificateBody {
    pub(crate) fn new(cluster: &str, pem: &str, base: &Arc<str>) -> Self {
        Self {
            cluster_uuid: cluster.to_owned(),
            links: Links::new(base, format!("certificates/{cluster}")),
            pem: pem.trim_end().to_owned(),
        }
    }
}

/// A signed certificate.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignedCertificate")]
pub(crate) struct SignedBody {
    cluster_uuid: String,
    links: Links,
    csr: String,
    pem: String,
    /// As the request named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_cert_type: Option<String>,
}

impl SignedBody {
    pub(crate) fn new(cluster: &str, asked: SignBody, pem: String, base: &Arc<str>) -> Self {
        Self {
            cluster_uuid: cluster.to_owned(),
            links: Links::new(base, format!("certificates/{cluster}")),
            csr: asked.csr,
            pem,
            ca_cert_type: asked.kind,
        }
    }
}

/// A request for a certificate.
pub(crate) struct SignBody {
    /// Uuid or name.
    pub(crate) cluster: String,
    /// PEM.
    pub(crate) csr: String,
    pub(crate) kind: Option<String>,
    /// How long the certificate is valid.
    pub(crate) seconds: Option<u32>,
    /// Whether its subject is the caller, instead of that of the request.
    pub(crate) bind_to_caller: bool,
}

/// Bounds of `expiration_seconds`: the minimum is enough to use the certificate, the
/// maximum is the validity period of Magnum's certificates.
const MIN_SECONDS: i64 = 60;
const MAX_SECONDS: i64 = pki::TERM_DAYS as i64 * 86_400;

const SIGN: BodySpec = BodySpec {
    argument: "certificate",
    fields: &[
        // Exactly one of the first two is needed.
        optional("cluster_uuid", Kind::Text(1, 255)),
        optional("bay_uuid", Kind::Text(1, 255)),
        required("csr", Kind::Text(1, 64 * 1024)),
        optional("ca_cert_type", Kind::Text(0, 255)),
        optional("expiration_seconds", Kind::Int(MIN_SECONDS, MAX_SECONDS)),
        optional("bind_to_caller", Kind::Flag),
    ],
    read_only: &["pem", "links"],
    ignored: &[],
};

impl RequestBody for SignBody {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(SIGN.schema())
    }

    fn read(body: Option<Value>) -> Result<Self> {
        let f = Fields::new(&SIGN, body)?;
        let cluster = match (f.text("cluster_uuid")?, f.text("bay_uuid")?) {
            (Some(key), None) | (None, Some(key)) => key,
            (None, None) => {
                let why = "Mandatory field missing.";
                return Err(invalid_field("cluster_uuid", "None", why));
            }
            (Some(_), Some(_)) => {
                let why = "Give cluster_uuid or bay_uuid, not both.";
                return Err(bad_request("bay_uuid", why));
            }
        };
        Ok(Self {
            cluster,
            csr: f.need_text("csr")?,
            kind: f.text("ca_cert_type")?,
            seconds: f
                .int("expiration_seconds")?
                .and_then(|n| u32::try_from(n).ok()),
            bind_to_caller: f.flag("bind_to_caller")?.unwrap_or(false),
        })
    }
}
