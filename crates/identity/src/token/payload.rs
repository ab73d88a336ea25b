//! Keystone's MessagePack payloads inside the Fernet container.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{DomainId, Error, ProjectId, Result, UserId};
use rmp::Marker;
use rmp::decode::{self, RmpRead as _};
use rmp::encode;

use super::time::TokenTime;
use crate::ids::{CredentialId, TrustId};

pub(crate) const PASSWORD: u8 = 2;
pub(crate) const TOKEN: u8 = 4;
pub(crate) const APPLICATION_CREDENTIAL: u8 = 32;
pub(crate) const EC2_CREDENTIAL: u8 = 64;

/// Names of the methods in the bit mask, in Keystone's order.
pub(crate) fn method_names(methods: u8) -> Vec<&'static str> {
    [
        (PASSWORD, "password"),
        (TOKEN, "token"),
        (APPLICATION_CREDENTIAL, "application_credential"),
        (EC2_CREDENTIAL, "ec2credential"),
    ]
    .into_iter()
    .filter(|(bit, _)| methods & bit != 0)
    .map(|(_, name)| name)
    .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    Unscoped,
    Domain(DomainId),
    Project(ProjectId),
    System,
    AppCredential {
        project_id: ProjectId,
        id: CredentialId,
    },
    Trust {
        project_id: ProjectId,
        id: TrustId,
    },
}

/// The contents of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    pub user_id: UserId,
    pub methods: u8,
    pub scope: Scope,
    pub expires_at: TokenTime,
    pub audit_ids: Vec<String>,
}

impl Payload {
    #[expect(
        clippy::cast_precision_loss,
        reason = "Keystone writes the seconds as a float"
    )]
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(96);
        let (version, len) = match &self.scope {
            Scope::Unscoped => (0, 5),
            Scope::Domain(_) => (1, 6),
            Scope::Project(_) => (2, 6),
            Scope::Trust { .. } => (3, 7),
            Scope::System => (8, 6),
            Scope::AppCredential { .. } => (9, 7),
        };
        let fail = |e| Error::internal(format!("token payload: {e:?}"));
        encode::write_array_len(&mut out, len).map_err(fail)?;
        encode::write_uint(&mut out, version).map_err(fail)?;
        write_id(&mut out, &self.user_id)?;
        encode::write_uint(&mut out, u64::from(self.methods)).map_err(fail)?;
        match &self.scope {
            Scope::Unscoped => {}
            Scope::Domain(id) => write_bare(&mut out, id)?,
            Scope::Project(id)
            | Scope::AppCredential { project_id: id, .. }
            | Scope::Trust { project_id: id, .. } => write_id(&mut out, id)?,
            Scope::System => encode::write_str(&mut out, "all").map_err(fail)?,
        }
        encode::write_f64(&mut out, self.expires_at.as_seconds() as f64).map_err(fail)?;
        encode::write_array_len(&mut out, u32::try_from(self.audit_ids.len()).unwrap_or(0))
            .map_err(fail)?;
        for audit in &self.audit_ids {
            let bytes = URL_SAFE_NO_PAD.decode(audit).map_err(Error::internal)?;
            encode::write_bin(&mut out, &bytes).map_err(fail)?;
        }
        match &self.scope {
            Scope::AppCredential { id, .. } => write_id(&mut out, id)?,
            Scope::Trust { id, .. } => write_bare(&mut out, id)?,
            _ => {}
        }
        Ok(out)
    }

    /// Returns `None` for a version that we do not issue or an invalid payload.
    #[expect(clippy::cast_possible_truncation, reason = "the result is checked")]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = bytes;
        let _len = decode::read_array_len(&mut r).ok()?;
        let version: u8 = decode::read_int(&mut r).ok()?;
        let user_id = read_id(&mut r)?;
        let methods: u8 = decode::read_int(&mut r).ok()?;
        let mut scope = match version {
            0 => Scope::Unscoped,
            1 => Scope::Domain(bare(&read_bytes(&mut r)?)?.into()),
            2 => Scope::Project(read_id(&mut r)?.into()),
            3 => Scope::Trust {
                project_id: read_id(&mut r)?.into(),
                id: TrustId::default(),
            },
            8 => {
                read_bytes(&mut r)?;
                Scope::System
            }
            9 => Scope::AppCredential {
                project_id: read_id(&mut r)?.into(),
                id: CredentialId::default(),
            },
            _ => return None,
        };
        let expires_at = decode::read_f64(&mut r).ok()? as i64;
        let expires_at = TokenTime::from_seconds(expires_at)?;
        let count = decode::read_array_len(&mut r).ok()?;
        if count > 8 {
            return None;
        }
        let mut audit_ids = Vec::new();
        for _ in 0..count {
            audit_ids.push(URL_SAFE_NO_PAD.encode(read_bytes(&mut r)?));
        }
        match &mut scope {
            Scope::AppCredential { id, .. } => *id = read_id(&mut r)?.into(),
            Scope::Trust { id, .. } => *id = bare(&read_bytes(&mut r)?)?.into(),
            _ => {}
        }
        Some(Self {
            user_id: user_id.into(),
            methods,
            scope,
            expires_at,
            audit_ids,
        })
    }
}

/// 16 bytes of a 32-digit id.
fn hex(id: &str) -> Option<[u8; 16]> {
    if id.len() != 32
        || !id
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return None;
    }
    u128::from_str_radix(id, 16).ok().map(u128::to_be_bytes)
}

fn bare(bytes: &[u8]) -> Option<String> {
    match <[u8; 16]>::try_from(bytes) {
        Ok(raw) => Some(format!("{:032x}", u128::from_be_bytes(raw))),
        Err(_) => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// The ids of domains and trusts have no marker of their form.
fn write_bare(out: &mut Vec<u8>, id: &str) -> Result<()> {
    let written = match hex(id) {
        Some(bytes) => encode::write_bin(out, &bytes),
        None => encode::write_str(out, id),
    };
    written.map_err(|e| Error::internal(format!("token payload: {e:?}")))
}

fn write_id(out: &mut Vec<u8>, id: &str) -> Result<()> {
    let fail = |e| Error::internal(format!("token payload: {e:?}"));
    encode::write_array_len(out, 2).map_err(fail)?;
    let raw = hex(id);
    encode::write_bool(out, raw.is_some()).map_err(Error::internal)?;
    match raw {
        Some(bytes) => encode::write_bin(out, &bytes).map_err(fail),
        None => encode::write_str(out, id).map_err(fail),
    }
}

fn read_id(r: &mut &[u8]) -> Option<String> {
    if decode::read_array_len(r).ok()? != 2 {
        return None;
    }
    let raw = decode::read_bool(r).ok()?;
    let bytes = read_bytes(r)?;
    if raw {
        bare(&bytes)
    } else {
        String::from_utf8(bytes).ok()
    }
}

/// Older writers used text instead of binary: both are accepted.
fn read_bytes(r: &mut &[u8]) -> Option<Vec<u8>> {
    let len = match decode::read_marker(r).ok()? {
        Marker::FixStr(n) => usize::from(n),
        Marker::Bin8 | Marker::Str8 => usize::from(r.read_data_u8().ok()?),
        Marker::Bin16 | Marker::Str16 => usize::from(r.read_data_u16().ok()?),
        _ => return None,
    };
    let (head, rest) = r.split_at_checked(len)?;
    *r = rest;
    Some(head.to_vec())
}
