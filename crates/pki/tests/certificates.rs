//! CAs and requests, with requests created by openssl if it is on PATH.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kernel::{Kind, Timestamp, clock};
use pki::{
    Ca, CertInfo, SignOptions, Subject, fingerprint_sha256, first_der, self_signed, token_key,
};
use x509_parser::prelude::*;

#[expect(clippy::print_stderr, reason = "the reader of the test must know")]
fn openssl(dir: &Path, args: &[&str]) -> Option<String> {
    let out = match Command::new("openssl").args(args).current_dir(dir).output() {
        Ok(out) => out,
        Err(_) => {
            eprintln!("openssl is not on PATH: the part that needs it is left out");
            return None;
        }
    };
    assert!(
        out.status.success(),
        "openssl {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn der(pem: &str) -> Vec<u8> {
    first_der(pem, &["CERTIFICATE"]).unwrap().to_vec()
}

fn rcgen_csr(change: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "admin");
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "system:masters");
    change(&mut params);
    let key = rcgen::KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

#[test]
fn a_ca_is_what_magnum_makes() {
    let ca = Ca::generate("first-cluster").unwrap();
    let bytes = der(&ca.cert_pem);
    let (_, cert) = parse_x509_certificate(&bytes).unwrap();
    assert_eq!(cert.subject().to_string(), "CN=first-cluster");
    assert_eq!(cert.issuer(), cert.subject());
    let constraints = cert.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    assert!(cert.key_usage().unwrap().unwrap().value.key_cert_sign());
    cert.verify_signature(None).unwrap();
    let info = CertInfo::from_pem(&ca.cert_pem).unwrap();
    let days = info.not_after.since(clock::now()).as_secs() / 86_400;
    assert!((1824..=1825).contains(&days), "{days}");
    assert!(info.not_before < clock::now());
    assert!(!format!("{ca:?}").contains("PRIVATE"));
}

#[test]
fn long_names_are_cut_and_unicode_kept() {
    let long = "é".repeat(242);
    let info = CertInfo::from_pem(&Ca::generate(&long).unwrap().cert_pem).unwrap();
    assert_eq!(info.subject, format!("CN={}", "é".repeat(64)));
}

#[test]
fn subject_and_asked_usages_are_kept() {
    let ca = Ca::generate("c").unwrap();
    let csr = rcgen_csr(|p| {
        p.subject_alt_names = vec![rcgen::SanType::DnsName("asked.example".try_into().unwrap())];
        p.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        p.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let mut options = SignOptions::user();
    options.sans = vec!["10.0.0.5".into(), "asked.example".into()];
    let bytes = der(&ca.sign_csr(&csr, &options).unwrap());
    let (_, cert) = parse_x509_certificate(&bytes).unwrap();
    assert_eq!(cert.subject().to_string(), "CN=admin, O=system:masters");
    let names = &cert
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    assert_eq!(names.len(), 2, "{names:?}");
    let usage = cert.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    assert!(!cert.is_ca());

    let bytes = der(&ca
        .sign_csr(&csr, &SignOptions::server("n1", vec!["::1".into()]))
        .unwrap());
    let (_, cert) = parse_x509_certificate(&bytes).unwrap();
    assert_eq!(cert.subject().to_string(), "CN=n1");
    let names = &cert
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    assert_eq!(names.len(), 1);
    let usage = cert.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
}

#[test]
fn a_request_for_a_ca_is_refused() {
    let ca = Ca::generate("c").unwrap();
    let csr = rcgen_csr(|p| p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    let e = ca.sign_csr(&csr, &SignOptions::user()).unwrap_err();
    assert_eq!(
        e.message,
        "Extension 'basicConstraints CA:TRUE' not allowed"
    );
}

#[test]
fn forbidden_bits_and_unknown_critical_extensions_are_refused() {
    let ca = Ca::generate("c").unwrap();
    let csr = rcgen_csr(|p| p.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign]);
    let e = ca.sign_csr(&csr, &SignOptions::user()).unwrap_err();
    assert_eq!(e.message, "Extension 'keyUsage' not allowed");
    let with = |critical: bool| {
        rcgen_csr(|p| {
            let mut x = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            x.set_criticality(critical);
            p.custom_extensions = vec![x];
        })
    };
    let e = ca.sign_csr(&with(true), &SignOptions::user()).unwrap_err();
    assert_eq!(e.message, "Extension '1.2.3.4' not allowed");
    let bytes = der(&ca.sign_csr(&with(false), &SignOptions::user()).unwrap());
    let (_, cert) = parse_x509_certificate(&bytes).unwrap();
    assert!(
        !cert
            .extensions()
            .iter()
            .any(|x| x.oid.to_string() == "1.2.3.4")
    );
}

#[test]
fn broken_requests_name_the_field_and_the_reason() {
    let ca = Ca::generate("c").unwrap();
    let good = rcgen_csr(|_| ());
    let raw = first_der(&good, &["CERTIFICATE REQUEST"]).unwrap();
    let repack = |bytes: &[u8]| {
        use base64::Engine as _;
        format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            base64::engine::general_purpose::STANDARD.encode(bytes)
        )
    };
    let mut forged = raw.to_vec();
    let at = forged.windows(5).position(|w| w == b"admin").unwrap();
    forged[at] = b'A';
    let mut trailing = raw.to_vec();
    trailing.push(0);
    for (text, why) in [
        ("junk".to_owned(), "not PEM"),
        (String::new(), "not PEM"),
        (ca.cert_pem.clone(), "not PEM"),
        (repack(b"hello"), "no certificate request"),
        (repack(&raw[..raw.len() / 2]), "no certificate request"),
        (repack(&forged), "signature does not fit"),
        (repack(&trailing), "bytes follow"),
        ("x".repeat(70_000), "64 KiB"),
    ] {
        let e = ca.sign_csr(&text, &SignOptions::user()).unwrap_err();
        assert_eq!(
            e.kind,
            Kind::Invalid {
                field: "csr".into()
            }
        );
        assert!(e.message.starts_with("Received invalid csr: "), "{e}");
        assert!(e.message.contains(why), "{e} lacks {why}");
    }
    let (_, parsed) = X509CertificationRequest::from_der(&raw).unwrap();
    let info = parsed.certification_request_info.raw;
    let start = raw.windows(info.len()).position(|w| w == info).unwrap();
    let signed = start..start + info.len();
    // Any prefix and any changed byte gives an error, never a panic.
    for at in 0..raw.len() {
        let _ = ca.sign_csr(&repack(&raw[..at]), &SignOptions::user());
        let mut flipped = raw.to_vec();
        flipped[at] ^= 0x55;
        let answer = ca.sign_csr(&repack(&flipped), &SignOptions::user());
        // All inputs of the certificate are signed.
        assert!(answer.is_err() || !signed.contains(&at), "byte {at}");
    }
    let mut options = SignOptions::user();
    options.sans = vec!["not a name".into()];
    let e = ca.sign_csr(&good, &options).unwrap_err();
    assert_eq!(
        e.kind,
        Kind::Invalid {
            field: "sans".into()
        }
    );
}

#[test]
fn no_certificate_outlives_its_ca() {
    let ca = Ca::generate_for("short", 2).unwrap();
    let issued = ca
        .issue(Subject::cn("n"), &SignOptions::server("n", vec![]))
        .unwrap();
    let (ours, its) = (
        CertInfo::from_pem(&issued.cert_pem).unwrap(),
        CertInfo::from_pem(&ca.cert_pem).unwrap(),
    );
    assert_eq!(ours.not_after, its.not_after);
    assert_eq!(ours.issuer, its.subject);
}

#[test]
fn another_key_is_no_ca_key() {
    let (a, b) = (Ca::generate("a").unwrap(), Ca::generate("b").unwrap());
    let mixed = Ca {
        cert_pem: a.cert_pem,
        key_pem: b.key_pem,
    };
    let e = mixed
        .sign_csr(&rcgen_csr(|_| ()), &SignOptions::user())
        .unwrap_err();
    assert_eq!(e.kind, Kind::Internal);
}

#[test]
fn a_listener_certificate_is_self_signed() {
    let one = self_signed("jeroboam", &["172.30.0.1".into()], 3650).unwrap();
    let two = self_signed("jeroboam", &["172.30.0.1".into()], 3650).unwrap();
    let pin = fingerprint_sha256(&one.cert_der);
    assert_eq!(pin.len(), 64);
    assert_ne!(pin, fingerprint_sha256(&two.cert_der));
    assert_eq!(one.cert_der, der(&one.cert_pem));
}

#[test]
fn openssl_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let ca = Ca::generate("check").unwrap();
    std::fs::write(at("ca.pem"), &ca.cert_pem).unwrap();
    std::fs::write(at("other.pem"), Ca::generate("check").unwrap().cert_pem).unwrap();
    let subject = "/O=system:masters/O=second/CN=admin";
    for algorithm in [
        &["rsa:2048"][..],
        &["rsa:4096"],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
        &["ed25519"],
    ] {
        for extension in [None, Some("subjectAltName=DNS:a.b,IP:10.1.2.3")] {
            let mut args = vec!["req", "-new", "-nodes", "-newkey"];
            args.extend(algorithm);
            args.extend(["-subj", subject, "-keyout", "key.pem", "-out", "csr.pem"]);
            if let Some(text) = extension {
                args.extend(["-addext", text]);
            }
            if openssl(dir.path(), &args).is_none() {
                return;
            }
            let csr = std::fs::read_to_string(at("csr.pem")).unwrap();
            let cert = ca.sign_csr(&csr, &SignOptions::user()).unwrap();
            std::fs::write(at("cert.pem"), &cert).unwrap();
            let purpose = ["verify", "-x509_strict", "-purpose", "sslclient"];
            let good = [&purpose[..], &["-CAfile", "ca.pem", "cert.pem"]].concat();
            openssl(dir.path(), &good).unwrap();
            let text =
                openssl(dir.path(), &["x509", "-noout", "-text", "-in", "cert.pem"]).unwrap();
            assert!(
                text.contains("O = system:masters, O = second, CN = admin"),
                "{text}"
            );
            assert_eq!(
                text.contains("IP Address:10.1.2.3"),
                extension.is_some(),
                "{text}"
            );
            let foreign = Command::new("openssl")
                .args(["verify", "-CAfile", "other.pem", "cert.pem"])
                .current_dir(dir.path())
                .output()
                .unwrap();
            assert!(!foreign.status.success());
            // As in python-magnumclient: key and certificate match.
            let of_key = openssl(dir.path(), &["pkey", "-in", "key.pem", "-pubout"]).unwrap();
            let of_cert = openssl(
                dir.path(),
                &["x509", "-in", "cert.pem", "-pubkey", "-noout"],
            )
            .unwrap();
            assert_eq!(of_key, of_cert);
        }
    }
    // Issued keys are plain PKCS#8, and an expired chain is refused.
    let old = Ca::generate_for("old", 0).unwrap();
    let issued = old.issue(Subject::cn("x"), &SignOptions::user()).unwrap();
    std::fs::write(at("ca.pem"), &old.cert_pem).unwrap();
    std::fs::write(at("cert.pem"), &issued.cert_pem).unwrap();
    std::fs::write(at("key.pem"), &issued.key_pem).unwrap();
    openssl(dir.path(), &["pkey", "-in", "key.pem", "-check", "-noout"]).unwrap();
    let later = (clock::now().as_seconds() + 60).to_string();
    let out = Command::new("openssl")
        .args(["verify", "-attime", &later, "-CAfile", "ca.pem", "cert.pem"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&out.stderr).contains("expired"));
    // The key is too short.
    openssl(
        dir.path(),
        &[
            "req", "-new", "-nodes", "-newkey", "rsa:1024", "-subj", "/CN=a", "-keyout", "key.pem",
            "-out", "csr.pem",
        ],
    );
    let weak = std::fs::read_to_string(at("csr.pem")).unwrap();
    let e = ca.sign_csr(&weak, &SignOptions::user()).unwrap_err();
    assert!(e.message.contains("1024 bits"), "{e}");
}

#[test]
fn token_keys_are_readable_by_openssl_in_both_roles() {
    let key = token_key().unwrap();
    assert!(key.starts_with("-----BEGIN EC PRIVATE KEY-----"));
    assert_ne!(key, token_key().unwrap());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sa.key"), &key).unwrap();
    if let Some(text) = openssl(dir.path(), &["ec", "-in", "sa.key", "-pubout"]) {
        assert!(text.contains("BEGIN PUBLIC KEY"), "{text}");
    }
    if let Some(text) = openssl(dir.path(), &["ec", "-in", "sa.key", "-noout", "-text"]) {
        assert!(text.contains("prime256v1"), "{text}");
    }
}

#[test]
fn parts_of_machines_get_the_name_that_the_server_says() {
    let ca = Ca::generate("c").unwrap();
    let csr = rcgen_csr(|_| ());
    let options = SignOptions::machine(Subject::member("system:node:n-0", "system:nodes"));
    let bytes = der(&ca.sign_csr(&csr, &options).unwrap());
    let (_, cert) = parse_x509_certificate(&bytes).unwrap();
    assert_eq!(
        cert.subject().to_string(),
        "O=system:nodes, CN=system:node:n-0"
    );
    let usage = cert.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
}

/// A clock that a test steps.
struct Steps(std::cell::Cell<Timestamp>);

impl clock::Simulated for Steps {
    fn now(&self) -> Timestamp {
        self.0.get()
    }
    fn database_now(&self) -> Timestamp {
        self.0.get()
    }
    fn advance(&self, _: i64) {}
}

#[test]
fn a_ca_is_renewed_with_its_key_so_that_both_verify_all() {
    const DAY: Duration = Duration::from_hours(24);
    let now = std::rc::Rc::new(Steps(std::cell::Cell::new(clock::now())));
    clock::simulate(Some(now.clone()));
    let days = |n| now.0.set(now.0.get() + DAY * n);
    let old = Ca::generate("c").unwrap();
    let sign = |ca: &Ca| {
        let issued = ca.issue(Subject::cn("n"), &SignOptions::server("n", vec![]));
        issued.unwrap().cert_pem
    };
    let before = sign(&old);
    days(1200);
    assert!(!old.is_due().unwrap());
    days(30);
    assert!(old.is_due().unwrap());
    let new = old.renewed().unwrap();
    assert!(!new.is_due().unwrap());
    let after = sign(&new);
    clock::simulate(None);

    let (a, b) = (der(&old.cert_pem), der(&new.cert_pem));
    let (_, a) = parse_x509_certificate(&a).unwrap();
    let (_, b) = parse_x509_certificate(&b).unwrap();
    assert_eq!(a.subject(), b.subject());
    assert_eq!(b.issuer(), b.subject());
    assert_eq!(a.public_key(), b.public_key());
    let extensions = |c: &X509Certificate<'_>| {
        let all = c.extensions().iter();
        all.map(|e| (e.oid.to_id_string(), e.critical, e.value.to_vec()))
            .collect::<Vec<_>>()
    };
    assert_eq!(extensions(&a), extensions(&b));
    for pem in [&before, &after] {
        let leaf = der(pem);
        let (_, leaf) = parse_x509_certificate(&leaf).unwrap();
        assert_eq!(leaf.issuer(), a.subject());
        for ca in [&a, &b] {
            leaf.verify_signature(Some(ca.public_key())).unwrap();
        }
    }
    let (old, new) = (
        CertInfo::from_pem(&old.cert_pem).unwrap(),
        CertInfo::from_pem(&new.cert_pem).unwrap(),
    );
    assert_eq!(new.not_after.since(old.not_after), DAY * 1230);
    let after = CertInfo::from_pem(&after).unwrap();
    assert!(after.not_after > old.not_after && after.not_after <= new.not_after);
}
