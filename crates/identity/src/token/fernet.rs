//! The Fernet format: version, seconds, IV, AES-128-CBC, HMAC-SHA-256.

use super::time::TokenTime;
use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use kernel::{Error, Result};

const VERSION: u8 = 0x80;
const HEAD: usize = 1 + 8 + 16;
const MAC: usize = 32;

/// A key: the first half signs, the second half encrypts.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn generate() -> Result<Self> {
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(Error::internal)?;
        Ok(Self(key))
    }

    /// Parses a key file. A key of zeros is rejected, because Keystone's tools
    /// once wrote it and it is publicly known.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE.decode(text.trim()).ok()?;
        let key: [u8; 32] = bytes.try_into().ok()?;
        (key != [0; 32]).then_some(Self(key))
    }

    pub(crate) fn text(&self) -> String {
        URL_SAFE.encode(self.0)
    }
}

/// Encrypts with a fresh IV.
pub(crate) fn seal(key: &Key, issued_at: TokenTime, payload: &[u8]) -> Result<String> {
    let mut iv = [0; 16];
    rand::fill(&mut iv).map_err(Error::internal)?;
    seal_with(key, issued_at, iv, payload)
}

fn seal_with(key: &Key, issued_at: TokenTime, iv: [u8; 16], payload: &[u8]) -> Result<String> {
    let cipher = UnboundCipherKey::new(&AES_128, &key.0[16..]).map_err(Error::internal)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(Error::internal)?;
    let mut body = payload.to_vec();
    cipher
        .less_safe_encrypt(&mut body, EncryptionContext::Iv128(iv.into()))
        .map_err(Error::internal)?;
    let mut out = vec![VERSION];
    out.extend_from_slice(&issued_at.as_seconds().to_be_bytes());
    out.extend_from_slice(&iv);
    out.extend_from_slice(&body);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key.0[..16]), &out);
    out.extend_from_slice(mac.as_ref());
    Ok(URL_SAFE_NO_PAD.encode(out))
}

/// Decrypts a token: (issued at, payload). Returns `None` if it was not created
/// with this key.
pub(crate) fn open(key: &Key, token: &str) -> Option<(TokenTime, Vec<u8>)> {
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?;
    if bytes.len() < HEAD + 16 + MAC || bytes[0] != VERSION {
        return None;
    }
    let (signed, mac) = bytes.split_at(bytes.len() - MAC);
    hmac::verify(
        &hmac::Key::new(hmac::HMAC_SHA256, &key.0[..16]),
        signed,
        mac,
    )
    .ok()?;
    let issued_at = i64::from_be_bytes(signed[1..9].try_into().ok()?);
    let issued_at = TokenTime::from_seconds(issued_at)?;
    let iv: [u8; 16] = signed[9..HEAD].try_into().ok()?;
    let cipher = UnboundCipherKey::new(&AES_128, &key.0[16..]).ok()?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(cipher).ok()?;
    let mut body = signed[HEAD..].to_vec();
    let plain = cipher
        .decrypt(&mut body, DecryptionContext::Iv128(iv.into()))
        .ok()?;
    Some((issued_at, plain.to_vec()))
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;

    use super::*;
    use crate::token::payload::{Payload, Scope};
    use crate::token::time::LIFETIME;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const IV: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn issued_at() -> TokenTime {
        TokenTime::from_seconds(1_767_225_600).unwrap()
    }

    fn payload(methods: u8, scope: Scope) -> Payload {
        Payload {
            user_id: "11111111111141118111111111111111".into(),
            methods,
            scope,
            expires_at: issued_at() + LIFETIME,
            audit_ids: vec!["AAECAwQFBgcICQoLDA0ODw".into()],
        }
    }

    /// Tokens that were verified with Keystone's decoder.
    #[test]
    fn tokens_match_keystones_exactly() {
        let project = "22222222222242228222222222222222".to_owned();
        let cases = [
            (
                payload(2, Scope::Unscoped),
                "gAAAAABpVbkAAAECAwQFBgcICQoLDA0OD8Gp8HZOM3d5zJ4kVg3BQiStXF3sw46EL3xlJxdtEh9yowvvQRzKVdnWQn9vzGFl2aJuUqF7MXMcE7V7YFPJgj8ZNy1J0Qvt_hqvCkPI6E-JJe7jl4ClJ2U6KiFBa7yhfw",
            ),
            (
                payload(2, Scope::Domain("default".into())),
                "gAAAAABpVbkAAAECAwQFBgcICQoLDA0OD4BkMqHEhI5_aT_Uo2ASCvBXneYIHn3V1sQVkquyASaBN-LLtpy1Y30b5Qq2wlkTlhBInj0Eh5flQkJx_ee7QDI8pRuB20bnGCNYCwg4REgfsOqGSMFXtieE3VPEl9e7fQ",
            ),
            (
                payload(2, Scope::Project(project.as_str().into())),
                "gAAAAABpVbkAAAECAwQFBgcICQoLDA0ODwesZY1A0E5D5gh17bqgH2dGc1ZA1xxZM40YRtn3mSxMnAvixbLGxFRI_TVw7M5SGU3hsCiKFHct-HV5u6I-Z6MnYYmkt7jBxwQaDc_RToDAImA_ogtbznSWMK_uPLNgBF9uedQrOdDMCo4kRVcS8Qg",
            ),
            (
                payload(
                    2,
                    Scope::Trust {
                        project_id: project.as_str().into(),
                        id: "33333333333343338333333333333333".into(),
                    },
                ),
                "gAAAAABpVbkAAAECAwQFBgcICQoLDA0OD8k_Cit26guz5569kkJtCi8Xn7YtQltaneILrth-WGaRtp2AbpxbZJya_V4ppLPVgpOZfGqlCiXzuZ-uIGXfSr75jtdhiKiYPq5mBaCn_gzGBYZ46piWYn7M3OeWnwgFBormaWJYB0r6u3Rq_rYr2lwFc77KIC8Ax5aEx2PSIGvm",
            ),
            (
                payload(2, Scope::System),
                "gAAAAABpVbkAAAECAwQFBgcICQoLDA0OD7JatsWyUWRHnlLoojno7kd3o04ske8pTrSgr5jpRoNCgppop7v50JyZGc6W_Jg-Ggctvie8XmvpvHKDEjDx31T5e-a20VqrF4mmsqkjDNl4gCL98PoU6YNBrkHRXZGW7Q",
            ),
            (
                payload(
                    32,
                    Scope::AppCredential {
                        project_id: project.into(),
                        id: "33333333333343338333333333333333".into(),
                    },
                ),
                "gAAAAABpVbkAAAECAwQFBgcICQoLDA0ODxiT2zQJxHHtjlk73uVoDvyTHrWDUDw2jLequlQLOEYDWg-75Y__xXYhsIx9BbYDiNG_svS5vPB2UgG-C5JgjKs5qgmT7ZmG8qEdEtETAPsP8dK0yD5coaBeOUk5IxTqJwm0IuOXQuklW6MDLfY_ZpdDRZQTWJGXHRxyOKNG-YHH",
            ),
        ];
        let key = Key::parse(KEY).unwrap();
        for (payload, token) in cases {
            assert_eq!(
                seal_with(&key, issued_at(), IV, &payload.encode().unwrap()).unwrap(),
                token
            );
            let (issued, bytes) = open(&key, token).unwrap();
            assert_eq!(issued, issued_at());
            assert_eq!(Payload::decode(&bytes).unwrap(), payload);
        }
    }

    #[test]
    fn a_foreign_or_changed_token_does_not_open() {
        let (mine, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let token = seal(&mine, issued_at(), b"payload").unwrap();
        assert!(open(&other, &token).is_none());
        for at in [0, 5, 40, token.len() - 2] {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(
                open(&mine, std::str::from_utf8(&changed).unwrap()).is_none(),
                "{at}"
            );
        }
        for bad in ["", "gAAA", "%%%", "gAAAAABpVbkA"] {
            assert!(open(&mine, bad).is_none());
        }
        assert!(Key::parse(&URL_SAFE.encode([0; 32])).is_none());
    }

    #[test]
    fn times_that_cannot_be_shown_are_rejected() {
        let key = Key::parse(KEY).unwrap();
        for seconds in [-1, i64::MAX] {
            let at = Timestamp::from_seconds(seconds).into();
            assert!(open(&key, &seal(&key, at, b"payload").unwrap()).is_none());
            let far = Payload {
                expires_at: at,
                ..payload(2, Scope::Unscoped)
            };
            assert_eq!(Payload::decode(&far.encode().unwrap()), None);
        }
    }
}
