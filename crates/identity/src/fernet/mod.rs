//! Fernet tokens as Keystone writes them: container, payload and keys, so
//! that a key repository can be shared with a real Keystone.
//!
//! Container: base64url without padding of `0x80 | issued (8, big endian) |
//! IV (16) | AES-128-CBC(PKCS7(payload)) | HMAC-SHA256 of all before (32)`.

mod keys;
mod msgpack;
mod payload;
#[cfg(test)]
mod tests;

pub(crate) use keys::{KeyRing, random};
pub(crate) use payload::{Payload, PayloadScope};

use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{Error, Result};

/// Longer texts are no token of ours; nothing is decoded then.
const MAX_TOKEN: usize = 4096;

/// 16 bytes for the MAC, then 16 for the cipher.
pub(crate) type Key = [u8; 32];

/// Seals a payload. `issued` is in seconds since the epoch.
pub(crate) fn seal(key: &Key, issued: u64, iv: [u8; 16], payload: &[u8]) -> Result<String> {
    let broken = |e| Error::internal(e).context("fernet");
    let cipher = UnboundCipherKey::new(&AES_128, &key[16..]).map_err(broken)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(broken)?;
    let mut sealed = payload.to_vec();
    cipher
        .less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(FixedLength::from(iv)))
        .map_err(broken)?;
    let mut out = Vec::with_capacity(57 + sealed.len());
    out.push(0x80);
    out.extend_from_slice(&issued.to_be_bytes());
    out.extend_from_slice(&iv);
    out.extend_from_slice(&sealed);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key[..16]), &out);
    out.extend_from_slice(mac.as_ref());
    Ok(URL_SAFE_NO_PAD.encode(out))
}

/// Opens a token with the first key that fits: its seconds of issue and its
/// payload. `None` where it is no token, or of other keys.
pub(crate) fn open(keys: &[Key], token: &str) -> Option<(u64, Vec<u8>)> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?;
    let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    let (head, sealed) = signed.split_at_checked(25)?;
    if head.first() != Some(&0x80) || sealed.is_empty() || sealed.len() % 16 != 0 {
        return None;
    }
    let key = keys.iter().find(|key| {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key[..16]), signed, mac).is_ok()
    })?;
    let issued = u64::from_be_bytes(head[1..9].try_into().ok()?);
    let iv: [u8; 16] = head[9..25].try_into().ok()?;
    let cipher = UnboundCipherKey::new(&AES_128, &key[16..]).ok()?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(cipher).ok()?;
    let mut sealed = sealed.to_vec();
    let plain = cipher
        .decrypt(&mut sealed, DecryptionContext::Iv128(FixedLength::from(iv)))
        .ok()?;
    Some((issued, plain.to_vec()))
}
