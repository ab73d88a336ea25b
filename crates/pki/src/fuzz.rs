//! Fuzz targets of certificates, requests and sealed texts. `./x fuzz` runs
//! them, and the tests replay their corpora.

use std::path::Path;
use std::sync::OnceLock;

use crate::csr::Request;
use crate::key_file::KeyList;
use crate::seal::Sealer;
use crate::{Ca, CertInfo, SignOptions, Subject, pem};

const CSR: &str = "CERTIFICATE REQUEST";

fn ca() -> Option<&'static Ca> {
    static OWN: OnceLock<Option<Ca>> = OnceLock::new();
    OWN.get_or_init(|| Ca::generate("fuzz").ok()).as_ref()
}

/// A certificate request in DER.
pub fn csr(data: &[u8]) {
    let Some(ca) = ca() else {
        return;
    };
    let text = pem::encode(CSR, data);
    if ca.sign_csr(&text, &SignOptions::user()).is_ok() {
        assert!(Request::parse(&text).is_ok());
    }
    // From here on the signature of the request is not verified, because a fuzzer
    // cannot create a valid one.
    for options in [
        SignOptions::user(),
        SignOptions::server("n-0", vec!["10.0.0.5".into()]),
        SignOptions::machine(Subject::member("admin", "system:masters")),
    ] {
        let Ok(request) = Request::parse_unverified(data) else {
            return;
        };
        let (subject, spki) = (request.subject.clone(), request.spki.clone());
        let Ok(der) = ca.sign(request, &options) else {
            continue;
        };
        let read = x509_parser::parse_x509_certificate(&der);
        assert!(read.is_ok(), "what is signed is a certificate");
        if let Ok((rest, made)) = read {
            assert!(rest.is_empty() && !made.is_ca(), "never a CA");
            assert_eq!(made.public_key().raw, spki);
            let kept = made.subject().as_raw() == subject;
            assert!(kept || options.subject.is_some());
            assert!(made.subject_alternative_name().is_ok());
            assert!(made.extended_key_usage().is_ok_and(|u| u.is_some()));
        }
        assert!(CertInfo::from_pem(&pem::encode("CERTIFICATE", &der)).is_ok());
    }
}

/// A text with certificates and requests, as users and agents send it.
pub fn pem_text(data: &[u8]) {
    let _ = CertInfo::from_pem(&pem::encode("CERTIFICATE", data));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = CertInfo::from_pem(text);
    let _ = Request::parse(text);
    if let Some(der) = pem::first_der(text, &["CERTIFICATE", CSR]) {
        let again = pem::encode(CSR, &der);
        assert_eq!(pem::first_der(&again, &[CSR]), Some(der));
    }
}

/// A sealed text of a row, and the file with the keys.
pub fn sealed(data: &[u8]) {
    let own = "11111111 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let Ok(sealer) = Sealer::of_text(own) else {
        return;
    };
    let opened = sealer
        .seal("fuzz", data)
        .and_then(|text| sealer.unseal("fuzz", &text));
    assert_eq!(opened.ok().as_deref().map(Vec::as_slice), Some(data));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if sealer.unseal_text("fuzz", text).is_ok() {
        assert!(text.starts_with(&sealer.primary_prefix()));
    }
    if let Ok(keys) = KeyList::parse(text, Path::new("keys")) {
        assert!(keys.primary().is_some());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpora_pass() {
        testkit::replay("csr", super::csr);
        testkit::replay("pem_text", super::pem_text);
        testkit::replay("sealed", super::sealed);
    }
}
