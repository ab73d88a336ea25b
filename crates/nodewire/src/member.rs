//! What makes a node a member: certificates and joining.

use serde::{Deserialize, Serialize};

use crate::Purpose;
use crate::shy::shy;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsrAsk {
    /// PEM. Name and addresses are the server's to say.
    pub csr: String,
    #[serde(default)]
    pub purpose: Purpose,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsrGrant {
    /// PEM of the certificate.
    pub cert: String,
    /// PEM of the CAs whose clients the node serves; several in a rotation.
    pub ca: String,
}

/// From every manager that is a member, the first one first; again after the
/// tokens were rotated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// `ip:2377`.
    pub remote_addr: String,
    pub worker_token: String,
    pub manager_token: String,
    /// PEM of the CA that vouches for the cluster's API where that is not the
    /// cluster's own.
    #[serde(default)]
    pub ca: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTicket {
    pub remote_addrs: Vec<String>,
    /// The one for the asking node's role.
    pub token: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The swarm's id of the node.
    pub node_id: String,
}

shy!(Published, remote_addr);
shy!(JoinTicket, remote_addrs);
