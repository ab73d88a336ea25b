//! What a token says, in Keystone's payload versions 0, 1, 2, 8 and 9.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::msgpack::{self, Value};

/// What the token is scoped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PayloadScope {
    Unscoped,
    Domain(String),
    Project(String),
    System,
    /// Project and application credential.
    AppCred(String, String),
}

/// The content of a token; roles are never in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    pub user_id: String,
    /// Bit sum by Keystone's default order of methods.
    pub methods: u64,
    pub scope: PayloadScope,
    /// Seconds since the epoch.
    pub expires: i64,
    /// Own id, then the root of the chain where there is one.
    pub audit_ids: Vec<String>,
}

impl Payload {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let version = match &self.scope {
            PayloadScope::Unscoped => 0,
            PayloadScope::Domain(_) => 1,
            PayloadScope::Project(_) => 2,
            PayloadScope::System => 8,
            PayloadScope::AppCred(..) => 9,
        };
        let mut list = vec![
            Value::Int(version),
            pair(&self.user_id),
            Value::Int(self.methods),
        ];
        match &self.scope {
            PayloadScope::Unscoped => {}
            // The domain is bare, unlike all other ids.
            PayloadScope::Domain(id) => list.push(match uuid_bytes(id) {
                Some(bytes) => Value::Bin(bytes),
                None => Value::Str(id.clone()),
            }),
            PayloadScope::Project(id) | PayloadScope::AppCred(id, _) => list.push(pair(id)),
            PayloadScope::System => list.push(Value::Str("all".into())),
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds are below 2^53")]
        list.push(Value::Float(self.expires as f64));
        let audit = self.audit_ids.iter().filter_map(|id| {
            let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
            Some(Value::Bin(bytes))
        });
        list.push(Value::List(audit.collect()));
        if let PayloadScope::AppCred(_, id) = &self.scope {
            list.push(pair(id));
        }
        let mut out = Vec::with_capacity(96);
        msgpack::write(&mut out, &Value::List(list));
        out
    }

    /// `None` for other versions and for what is no payload.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let Value::List(list) = msgpack::read(bytes)? else {
            return None;
        };
        let (scope, expires, audit) = match list.as_slice() {
            [Value::Int(0), _, _, expires, audit] => (PayloadScope::Unscoped, expires, audit),
            [Value::Int(1), _, _, domain, expires, audit] => {
                (PayloadScope::Domain(bare(domain)?), expires, audit)
            }
            [Value::Int(2), _, _, project, expires, audit] => {
                (PayloadScope::Project(unpair(project)?), expires, audit)
            }
            [Value::Int(8), _, _, _, expires, audit] => (PayloadScope::System, expires, audit),
            [Value::Int(9), _, _, project, expires, audit, credential] => (
                PayloadScope::AppCred(unpair(project)?, unpair(credential)?),
                expires,
                audit,
            ),
            _ => return None,
        };
        let (Some(user), Some(Value::Int(methods))) = (list.get(1), list.get(2)) else {
            return None;
        };
        Some(Self {
            user_id: unpair(user)?,
            methods: *methods,
            scope,
            expires: seconds(expires)?,
            audit_ids: audit_ids(audit)?,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::Float(f) if (0.0..9e15).contains(f) => Some(f.trunc() as i64),
        Value::Int(n) => i64::try_from(*n).ok(),
        _ => None,
    }
}

fn audit_ids(value: &Value) -> Option<Vec<String>> {
    let Value::List(items) = value else {
        return None;
    };
    let ids = items.iter().map(|item| match item {
        Value::Bin(bytes) => Some(URL_SAFE_NO_PAD.encode(bytes)),
        // Sixteen bytes that happen to be valid text, from an older writer.
        Value::Str(text) => Some(URL_SAFE_NO_PAD.encode(text)),
        _ => None,
    });
    let ids: Vec<_> = ids.collect::<Option<_>>()?;
    (!ids.is_empty()).then_some(ids)
}

fn pair(id: &str) -> Value {
    Value::List(match uuid_bytes(id) {
        Some(bytes) => vec![Value::Bool(true), Value::Bin(bytes)],
        None => vec![Value::Bool(false), Value::Str(id.to_owned())],
    })
}

fn unpair(value: &Value) -> Option<String> {
    match value {
        Value::List(pair) => match pair.as_slice() {
            [Value::Bool(true), id] => hex(id),
            [Value::Bool(false), Value::Str(id)] => Some(id.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn bare(value: &Value) -> Option<String> {
    match value {
        Value::Str(id) => Some(id.clone()),
        bytes => hex(bytes),
    }
}

fn hex(value: &Value) -> Option<String> {
    use std::fmt::Write as _;
    let bytes = match value {
        Value::Bin(bytes) => bytes.as_slice(),
        Value::Str(text) => text.as_bytes(),
        _ => return None,
    };
    let mut out = String::with_capacity(32);
    for b in bytes {
        let _ = write!(out, "{b:02x}");
    }
    (bytes.len() == 16).then_some(out)
}

/// The bytes of 32 lower-case hex digits; other forms would not come back
/// from the token as they went in.
fn uuid_bytes(id: &str) -> Option<Vec<u8>> {
    let plain = id.len() == 32
        && id
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !plain {
        return None;
    }
    (0..16)
        .map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).ok())
        .collect()
}
