//! Signatures that Keystone's client library made.

use super::super::s3;
use super::*;

const SECRET: &str = "89cdf9e94e2643cab35b8b8ac5a51f83";

fn pairs(given: &[(&str, &str)]) -> Pairs {
    let owned = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
    given.iter().map(owned).collect()
}

fn check(request: &Signed, signature: &str) {
    let signed = |signature: &str| Signed {
        signature: signature.to_owned(),
        ..request.clone()
    };
    assert!(is_valid(SECRET, &signed(signature)), "{request:?}");
    assert!(!is_valid("other", &signed(signature)), "{request:?}");
    assert!(!is_valid(SECRET, &signed(&signature.to_uppercase())));
    assert!(!is_valid(SECRET, &signed("")));
}

#[test]
fn versions_0_and_1() {
    let params = [
        ("SignatureVersion", "0"),
        ("Action", "Do"),
        ("Timestamp", "2026-11-28T10:00:00Z"),
    ];
    let request = Signed {
        params: pairs(&params),
        ..Signed::default()
    };
    check(&request, "WvN+q/ddWgu09bo9ZdkxtnArTws=");
    let params = [
        ("SignatureVersion", "1"),
        ("b", "two"),
        ("A", "one é"),
        ("c", "3"),
    ];
    let request = Signed {
        params: pairs(&params),
        ..Signed::default()
    };
    check(&request, "lg/A3hRSDiVICvxQ6WO+V0kpCO0=");
}

#[test]
fn version_2_with_and_without_the_port() {
    let params = [
        ("SignatureVersion", "2"),
        ("AWSAccessKeyId", "a b"),
        ("Filter", "x/y~é&="),
        ("SignatureMethod", "HmacSHA1"),
        ("Action", "Do"),
    ];
    let request = Signed {
        verb: "GET".to_owned(),
        host: "host:8773".to_owned(),
        path: "/services/Cloud".to_owned(),
        params: pairs(&params),
        ..Signed::default()
    };
    check(&request, "fEGaZec8IKRTwPkR847ApHFop1MT0np0VMDEVV8HnCE=");
    check(&request, "in88FjJdtfYZzPCqLRVpoHz4ZHYTpeNalRFL9r3Tpwg=");
    let names = ["host:1", "HOST:1", "[::1]:80", "host"].map(without_port);
    let want = [Some("host"), Some("host"), Some("::1"), None];
    assert_eq!(names, want.map(|name| name.map(str::to_owned)));
}

#[test]
fn version_4_by_headers_and_by_parameters() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let by_headers = Signed {
        verb: "GET".to_owned(),
        host: "host".to_owned(),
        path: "/".to_owned(),
        params: pairs(&[("b", "two"), ("a", "1 2")]),
        headers: pairs(&[
            ("Host", " host:8773 "),
            ("X-Amz-Date", "20261128T100000Z"),
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=access/20261128/region/ec2/aws4_request, \
                 SignedHeaders=host;x-amz-date;absent, Signature=x",
            ),
        ]),
        body_hash: empty.to_owned(),
        ..Signed::default()
    };
    check(
        &by_headers,
        "bd1ac62b447f4651905578816e27708372fe27586db8644f3d4a418241180d10",
    );
    let by_params = Signed {
        verb: "POST".to_owned(),
        host: "host".to_owned(),
        path: "/".to_owned(),
        params: pairs(&[
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            (
                "X-Amz-Credential",
                "access/20261128/region/ec2/aws4_request",
            ),
            ("X-Amz-SignedHeaders", "host"),
            ("X-Amz-Date", "20261128T100000Z"),
            ("a", "1"),
        ]),
        headers: pairs(&[("host", "host")]),
        body_hash: "hash".to_owned(),
        ..Signed::default()
    };
    check(
        &by_params,
        "796d0b78a86142bf5b447d05c4e00405a999abef623e5ced6bf1b36cf2b93f15",
    );
    let by_query = Signed {
        verb: "GET".to_owned(),
        ..by_params
    };
    check(
        &by_query,
        "08dc7b36dfb309a885b0ff8f64a1a042eae0f6b3823a6dff4da6ed7d4bf06151",
    );
    // The date is not that of the scope.
    let mut other = by_query;
    other.params[3].1 = "20261129T100000Z".to_owned();
    assert_eq!(generate(SECRET, &other), None);
}

#[test]
fn the_date_of_version_4_is_the_signed_one() {
    let (signed, other) = ("20261128T100000Z", "2036-11-28T10:00:00Z");
    let dated = |params: &[(&str, &str)], headers: &[(&str, &str)]| {
        date(&Signed {
            params: pairs(params),
            headers: pairs(headers),
            ..Signed::default()
        })
    };
    let by_headers = [
        ("Authorization", "AWS4-HMAC-SHA256 Credential=x"),
        ("X-Amz-Date", signed),
    ];
    let by_params = [
        ("Timestamp", other),
        ("X-Amz-Algorithm", V4),
        ("X-Amz-Date", signed),
    ];
    let want = Some(signed.to_owned());
    assert_eq!(dated(&[("Timestamp", other)], &by_headers), want);
    assert_eq!(dated(&by_params, &[]), want);
    // All parameters are signed in the versions before.
    let params = [("SignatureVersion", "2"), ("Timestamp", signed)];
    assert_eq!(dated(&params, &[("X-Amz-Date", other)]), want);
    assert_eq!(dated(&params[..1], &by_headers), want);
    assert_eq!(dated(&params[..1], &[]), None);
    assert_eq!(dated(&[("Timestamp", "")], &[]), None);
}

#[test]
fn a_request_without_the_signed_parts_has_no_signature() {
    for params in [
        pairs(&[]),
        pairs(&[("SignatureVersion", "0")]),
        pairs(&[("SignatureVersion", "3")]),
        pairs(&[("X-Amz-Algorithm", V4)]),
        pairs(&[
            ("X-Amz-Algorithm", V4),
            ("X-Amz-SignedHeaders", "host"),
            ("X-Amz-Credential", "access"),
        ]),
    ] {
        let request = Signed {
            params,
            ..Signed::default()
        };
        assert_eq!(generate(SECRET, &request), None, "{request:?}");
        assert!(!is_valid(SECRET, &request));
    }
}

#[test]
fn signed_texts_of_s3() {
    for (token, signature) in [
        (
            "R0VUCgoKU2F0LCAyOCBOb3YgMjAyNiAxMDowMDowMCArMDAwMAovYnVja2V0L2tleQ==",
            "2b0eUeSrpoXEemXGOx55lRm5ZYI=",
        ),
        (
            "QVdTNC1ITUFDLVNIQTI1NgoyMDI2MTEyOFQxMDAwMDBaCjIwMjYxMTI4L3JlZ2lvbi9zMy9hd3M0X3JlcXVlc3QKYWJj",
            "8008759c82a74b5779c04f520523e3ce59e03c231b745f9521bffc44e8c952e1",
        ),
    ] {
        let request = Signed {
            token: token.to_owned(),
            signature: signature.to_owned(),
            ..Signed::default()
        };
        assert!(s3::is_valid(SECRET, &request));
        assert!(!s3::is_valid("other", &request));
    }
    for token in ["", "%", "QVdTNA=="] {
        let request = Signed {
            token: token.to_owned(),
            ..Signed::default()
        };
        assert!(!s3::is_valid(SECRET, &request));
    }
}

#[test]
fn the_date_of_s3_is_that_of_the_signed_text() {
    let dated = |text: &str| {
        s3::date(&Signed {
            token: STANDARD.encode(text),
            params: pairs(&[("Timestamp", "2036-11-28T10:00:00Z")]),
            headers: pairs(&[("X-Amz-Date", "20361128T100000Z")]),
            ..Signed::default()
        })
    };
    let text = "AWS4-HMAC-SHA256\n20261128T100000Z\nscope\nhash";
    assert_eq!(dated(text).as_deref(), Some("20261128T100000Z"));
    let without = "AWS4-HMAC-SHA256\n\nscope\nhash";
    assert_eq!(dated(without).as_deref(), Some(""));
    let before = "GET\n\n\nSat, 28 Nov 2026 10:00:00 +0000\n/bucket/key";
    assert_eq!(dated(before).as_deref(), Some("2036-11-28T10:00:00Z"));
}
