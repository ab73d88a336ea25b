//! Credentials of users: secrets that other services look up, such as key pairs of EC2
//! and seeds of one-time passwords. They are sealed in the database.

pub(crate) mod blob;
pub(crate) mod ec2_http;
mod ec2_wire;
pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use kernel::{ProjectId, UserId};

use crate::attributes::Attributes;

/// A credential as stored.
#[derive(Debug, Clone)]
pub(crate) struct UserCredential {
    /// 32 hexadecimal digits, or of a key pair of EC2 the digest of its access key.
    pub id: String,
    pub user_id: UserId,
    pub project_id: Option<ProjectId>,
    pub kind: String,
    pub blob_sealed: String,
    pub extra: Attributes,
}

impl UserCredential {
    pub(crate) fn is_ec2(&self) -> bool {
        is_ec2(&self.kind)
    }
}

/// Whether a type of credentials is that of key pairs of EC2, in any case.
pub(crate) fn is_ec2(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("ec2")
}

/// The purpose of a sealed blob; `{}` is replaced by the id of the credential.
pub(crate) const PURPOSE: &str = "identity/credential/{}";
