//! Becoming a member: certificates and joining.

use serde::{Deserialize, Serialize};

use crate::Purpose;
use crate::bounds::{self, Bounded, FieldError, Message};
use crate::redacted::redact_debug;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsrRequest {
    /// PEM. The server determines name and addresses.
    pub csr: String,
    #[serde(default)]
    pub purpose: Purpose,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsrResponse {
    /// PEM of the certificate.
    pub cert: String,
    /// PEM of the CAs of accepted clients; several during a rotation.
    pub ca: String,
}

/// Sent by every manager that is a member, starting with the first one, and
/// again after a rotation of the tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// `ip:2377`.
    pub remote_addr: String,
    pub worker_token: String,
    pub manager_token: String,
    /// PEM of the CA of the cluster's API if it is not the CA of the cluster.
    #[serde(default)]
    pub ca: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTicket {
    pub remote_addrs: Vec<String>,
    /// The token for the role of the requesting node.
    pub token: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The id of the node in the swarm.
    pub node_id: String,
}

impl Bounded for CsrRequest {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("csr", &self.csr, bounds::PEM)
    }
}

impl Message for CsrRequest {
    const MAX_BYTES: usize = 32 * 1024;
}

impl Bounded for CsrResponse {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("cert", &self.cert, bounds::BUNDLE)?;
        bounds::text("ca", &self.ca, bounds::BUNDLE)
    }
}

impl Bounded for Published {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("remote_addr", &self.remote_addr, bounds::ADDRESS)?;
        bounds::text("worker_token", &self.worker_token, bounds::TOKEN)?;
        bounds::text("manager_token", &self.manager_token, bounds::TOKEN)?;
        bounds::optional("ca", self.ca.as_deref(), bounds::PEM)
    }
}

impl Message for Published {
    const MAX_BYTES: usize = 32 * 1024;
}

impl Bounded for JoinTicket {
    fn check(&self) -> Result<(), FieldError> {
        let addresses = &self.remote_addrs;
        bounds::texts(
            "remote_addrs",
            addresses,
            bounds::ADDRESSES,
            bounds::ADDRESS,
        )?;
        bounds::text("token", &self.token, bounds::TOKEN)
    }
}

impl Bounded for Ready {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("node_id", &self.node_id, bounds::NAME)
    }
}

impl Message for Ready {
    const MAX_BYTES: usize = 4 * 1024;
}

redact_debug!(Published, remote_addr);
redact_debug!(JoinTicket, remote_addrs);
