use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const USER: &str = "11111111111141118111111111111111";
const PROJECT: &str = "22222222222242228222222222222222";
const CREDENTIAL: &str = "33333333333343338333333333333333";
const ISSUED: u64 = 1_767_225_600;

/// Payload and token of each scope, checked with Keystone's own decoder.
fn vectors() -> Vec<(PayloadScope, u64, &'static str, &'static str)> {
    vec![
        (
            PayloadScope::Unscoped,
            2,
            "950092c3c4101111111111114111811111111111111102cb41da5571c400000091c410000102030405060708090a0b0c0d0e0f",
            "gAAAAABpVbkAAAECAwQFBgcICQoLDA0OD8Gp8HZOM3d5zJ4kVg3BQiStXF3sw46EL3xlJxdtEh9yowvvQRzKVdnWQn9vzGFl2aJuUqF7MXMcE7V7YFPJgj8ZNy1J0Qvt_hqvCkPI6E-JJe7jl4ClJ2U6KiFBa7yhfw",
        ),
        (
            PayloadScope::Domain("default".into()),
            2,
            "960192c3c4101111111111114111811111111111111102a764656661756c74cb41da5571c400000091c410000102030405060708090a0b0c0d0e0f",
            "gAAAAABpVbkAAAECAwQFBgcICQoLDA0OD4BkMqHEhI5_aT_Uo2ASCvBXneYIHn3V1sQVkquyASaBN-LLtpy1Y30b5Qq2wlkTlhBInj0Eh5flQkJx_ee7QDI8pRuB20bnGCNYCwg4REgfsOqGSMFXtieE3VPEl9e7fQ",
        ),
        (
            PayloadScope::Project(PROJECT.into()),
            2,
            "960292c3c410111111111111411181111111111111110292c3c41022222222222242228222222222222222cb41da5571c400000091c410000102030405060708090a0b0c0d0e0f",
            "gAAAAABpVbkAAAECAwQFBgcICQoLDA0ODwesZY1A0E5D5gh17bqgH2dGc1ZA1xxZM40YRtn3mSxMnAvixbLGxFRI_TVw7M5SGU3hsCiKFHct-HV5u6I-Z6MnYYmkt7jBxwQaDc_RToDAImA_ogtbznSWMK_uPLNgBF9uedQrOdDMCo4kRVcS8Qg",
        ),
        (
            PayloadScope::System,
            2,
            "960892c3c4101111111111114111811111111111111102a3616c6ccb41da5571c400000091c410000102030405060708090a0b0c0d0e0f",
            "gAAAAABpVbkAAAECAwQFBgcICQoLDA0OD7JatsWyUWRHnlLoojno7kd3o04ske8pTrSgr5jpRoNCgppop7v50JyZGc6W_Jg-Ggctvie8XmvpvHKDEjDx31T5e-a20VqrF4mmsqkjDNl4gCL98PoU6YNBrkHRXZGW7Q",
        ),
        (
            PayloadScope::AppCred(PROJECT.into(), CREDENTIAL.into()),
            32,
            "970992c3c410111111111111411181111111111111112092c3c41022222222222242228222222222222222cb41da5571c400000091c410000102030405060708090a0b0c0d0e0f92c3c41033333333333343338333333333333333",
            "gAAAAABpVbkAAAECAwQFBgcICQoLDA0ODxiT2zQJxHHtjlk73uVoDvyTHrWDUDw2jLequlQLOEYDWg-75Y__xXYhsIx9BbYDiNG_svS5vPB2UgG-C5JgjKs5qgmT7ZmG8qEdEtETAPsP8dK0yD5coaBeOUk5IxTqJwm0IuOXQuklW6MDLfY_ZpdDRZQTWJGXHRxyOKNG-YHH",
        ),
    ]
}

fn payload(scope: PayloadScope, methods: u64) -> Payload {
    let audit: Vec<u8> = (0..16).collect();
    Payload {
        user_id: USER.into(),
        methods,
        scope,
        expires: i64::try_from(ISSUED).unwrap() + 3600,
        audit_ids: vec![URL_SAFE_NO_PAD.encode(audit)],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn tokens_are_byte_for_byte_those_of_keystone() {
    let key: Key = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let iv: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
    for (scope, methods, plain, token) in vectors() {
        let payload = payload(scope, methods);
        let bytes = payload.encode();
        assert_eq!(hex(&bytes), plain);
        assert_eq!(seal(&key, ISSUED, iv, &bytes).unwrap(), token);
        let (issued, opened) = open(&[[7; 32], key], token).unwrap();
        assert_eq!((issued, Payload::decode(&opened)), (ISSUED, Some(payload)));
        assert_eq!(open(&[[7; 32]], token), None);
    }
}

#[test]
fn what_is_no_token_is_refused_without_a_panic() {
    let (_, _, _, token) = vectors().remove(0);
    let key: Key = std::array::from_fn(|i| u8::try_from(i).unwrap());
    for cut in 0..token.len() {
        assert_eq!(open(&[key], &token[..cut]), None);
    }
    assert_eq!(open(&[key], &"A".repeat(100_000)), None);
    for (scope, methods, ..) in vectors() {
        let bytes = payload(scope, methods).encode();
        for cut in 0..bytes.len() {
            assert_eq!(Payload::decode(&bytes[..cut]), None);
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bent = bytes.clone();
                bent[at] ^= flip;
                let _ = Payload::decode(&bent);
            }
        }
    }
}

#[test]
fn rotation_keeps_tokens_for_as_long_as_their_key_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let ring = KeyRing::open(&path).unwrap();
    let token = ring.seal(5, b"hello").unwrap();
    // A second server sees the same keys.
    let other = KeyRing::open(&path).unwrap();
    assert_eq!(other.unseal(&token), Some((5, b"hello".to_vec())));
    ring.rotate().unwrap();
    // The staged key became primary: the other server knows it already.
    let next = ring.seal(6, b"next").unwrap();
    assert_eq!(other.unseal(&next), Some((6, b"next".to_vec())));
    assert!(ring.unseal(&token).is_some());
    ring.rotate().unwrap();
    assert!(ring.unseal(&token).is_none());
    let mut names: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["0", "2", "3"]);
}
