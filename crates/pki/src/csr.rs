//! Certificate signing requests: permitted contents and results.
//!
//! The rules are Magnum's (`magnum/common/x509`): the client chooses the
//! subject, five extensions may be requested, other extensions are refused if
//! critical and dropped otherwise, and a CA is never issued.

use aws_lc_rs::signature::{
    ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, UnparsedPublicKey,
    VerificationAlgorithm,
};
use kernel::{Error, Result};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::{
    OID_NIST_EC_P521, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::cert::{self, Subject};
use crate::der;

/// Larger requests are rejected.
const MAX_PEM: usize = 64 * 1024;
const MIN_RSA_BITS: usize = 2048;

/// What the signer grants in addition to the request.
#[derive(Debug, Clone)]
pub struct SignOptions {
    /// Addresses and DNS names to add.
    pub sans: Vec<String>,
    /// Grants extendedKeyUsage serverAuth.
    pub server_auth: bool,
    /// Grants extendedKeyUsage clientAuth.
    pub client_auth: bool,
    /// Validity from now on, seconds; limited by the validity of the CA.
    pub seconds: u32,
    /// Whether to keep the alternative names of the request.
    pub keep_csr_sans: bool,
    /// Whether to keep keyUsage and extendedKeyUsage of the request.
    pub keep_csr_usages: bool,
    /// Replaces the subject of the request, for machines, whose name the server
    /// determines; `None` keeps CN and O as requested.
    pub subject: Option<Subject>,
}

impl SignOptions {
    /// For `coe ca sign` of a user: names and usages as requested; a request
    /// without usages gets clientAuth.
    #[must_use]
    pub fn user() -> Self {
        Self {
            sans: Vec::new(),
            server_auth: false,
            client_auth: false,
            seconds: crate::TERM_DAYS * 86_400,
            keep_csr_sans: true,
            keep_csr_usages: true,
            subject: None,
        }
    }

    /// For the server of a machine of the cluster: only the key of the request
    /// is used. The certificate cannot authenticate a client, because the CA
    /// that signs it also guards APIs that any of its clients may use.
    #[must_use]
    pub fn server(name: &str, sans: Vec<String>) -> Self {
        Self {
            sans,
            server_auth: true,
            ..Self::machine(Subject::cn(name))
        }
    }

    /// For a component of a machine: the given name, only the key of the
    /// request is used. Without `server_auth` it gets clientAuth.
    #[must_use]
    pub fn machine(subject: Subject) -> Self {
        Self {
            sans: Vec::new(),
            server_auth: false,
            client_auth: false,
            seconds: crate::TERM_DAYS * 86_400,
            keep_csr_sans: false,
            keep_csr_usages: false,
            subject: Some(subject),
        }
    }
}

/// A request whose signature was checked.
#[derive(Debug)]
pub(crate) struct Request {
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub key_bits: Vec<u8>,
    pub names: Vec<Vec<u8>>,
    pub key_usage: Option<u8>,
    pub extended: Vec<Vec<u8>>,
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::invalid("csr", format!("Received invalid csr: {why}."))
}

fn not_allowed(extension: impl std::fmt::Display) -> Error {
    Error::invalid("csr", format!("Extension '{extension}' not allowed"))
}

impl Request {
    /// Parses a request and verifies that its author has the key.
    ///
    /// # Errors
    /// Invalid `csr`, with the reason.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_PEM {
            return Err(bad("it is longer than 64 KiB"));
        }
        let der = crate::first_der(text, &["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"])
            .ok_or_else(|| {
                bad("it is not PEM text between -----BEGIN CERTIFICATE REQUEST----- and -----END CERTIFICATE REQUEST-----")
            })?;
        let csr = read(&der)?;
        check_key(&csr)?;
        check_signature(&csr)?;
        Self::of(&csr)
    }

    /// As [`Request::parse`] without PEM and signature.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn parse_unverified(der: &[u8]) -> Result<Self> {
        let csr = read(der)?;
        check_key(&csr)?;
        Self::of(&csr)
    }

    fn of(csr: &X509CertificationRequest<'_>) -> Result<Self> {
        let info = &csr.certification_request_info;
        if !der::is_name(info.subject.as_raw()) {
            return Err(bad("its subject is malformed or has an empty part"));
        }
        let mut request = Self {
            subject: info.subject.as_raw().to_vec(),
            spki: info.subject_pki.raw.to_vec(),
            key_bits: info.subject_pki.subject_public_key.data.to_vec(),
            names: Vec::new(),
            key_usage: None,
            extended: Vec::new(),
        };
        for attribute in info.iter_attributes() {
            if let ParsedCriAttribute::ExtensionRequest(asked) = attribute.parsed_attribute() {
                for extension in &asked.extensions {
                    request.take(extension)?;
                }
            }
        }
        Ok(request)
    }

    fn take(&mut self, extension: &X509Extension<'_>) -> Result<()> {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                return Err(not_allowed("basicConstraints CA:TRUE"));
            }
            ParsedExtension::BasicConstraints(_) | ParsedExtension::SubjectKeyIdentifier(_) => {}
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    self.names.push(encode_name(name)?);
                }
            }
            ParsedExtension::KeyUsage(usage) => {
                // x509-parser counts from the least significant bit.
                let asked = (usage.flags as u8).reverse_bits();
                let allowed =
                    cert::DIGITAL_SIGNATURE | cert::NON_REPUDIATION | cert::KEY_ENCIPHERMENT;
                let beyond = asked & !allowed != 0 || usage.flags > 0xff;
                if extension.critical && beyond {
                    return Err(not_allowed("keyUsage"));
                }
                self.key_usage = Some(asked & allowed).filter(|bits| *bits != 0);
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let purpose = |last: u8| vec![0x2b, 6, 1, 5, 5, 7, 3, last];
                let known = [
                    (usage.server_auth, 1),
                    (usage.client_auth, 2),
                    (usage.code_signing, 3),
                    (usage.email_protection, 4),
                    (usage.time_stamping, 8),
                    (usage.ocsp_signing, 9),
                ];
                self.extended.extend(
                    known
                        .iter()
                        .filter(|(set, _)| *set)
                        .map(|(_, n)| purpose(*n)),
                );
                if usage.any {
                    self.extended.push(vec![0x55, 0x1d, 0x25, 0]);
                }
                self.extended
                    .extend(usage.other.iter().map(|oid| oid.as_bytes().to_vec()));
            }
            ParsedExtension::ParseError { .. } => {
                return Err(bad(format_args!(
                    "its extension {} is broken",
                    extension.oid
                )));
            }
            _ if extension.critical => return Err(not_allowed(&extension.oid)),
            _ => {}
        }
        Ok(())
    }
}

fn read(der: &[u8]) -> Result<X509CertificationRequest<'_>> {
    let (rest, csr) = X509CertificationRequest::from_der(der)
        .map_err(|_| bad("the PEM block holds no certificate request"))?;
    if !rest.is_empty() {
        return Err(bad("bytes follow the certificate request"));
    }
    Ok(csr)
}

fn encode_name(name: &GeneralName<'_>) -> Result<Vec<u8>> {
    match name {
        GeneralName::DNSName(text) => Ok(der::tlv(0x82, text.as_bytes())),
        GeneralName::RFC822Name(text) => Ok(der::tlv(0x81, text.as_bytes())),
        GeneralName::URI(text) => Ok(der::tlv(0x86, text.as_bytes())),
        GeneralName::IPAddress(bytes) if matches!(bytes.len(), 4 | 16) => Ok(der::tlv(0x87, bytes)),
        GeneralName::IPAddress(_) => {
            Err(bad("an address in subjectAltName is neither IPv4 nor IPv6"))
        }
        _ => Err(bad(
            "subjectAltName holds another kind of name than DNS, IP, URI or e-mail",
        )),
    }
}

fn check_key(csr: &X509CertificationRequest<'_>) -> Result<()> {
    let info = &csr.certification_request_info.subject_pki;
    if !der::is_public_key(info.raw) {
        return Err(bad("its public key is broken"));
    }
    let key = info.parsed().map_err(|_| bad("its public key is broken"))?;
    match key {
        PublicKey::RSA(rsa) if rsa.key_size() < MIN_RSA_BITS => Err(bad(format_args!(
            "its RSA key has {} bits, at least {MIN_RSA_BITS} are needed",
            rsa.key_size()
        ))),
        _ => Ok(()),
    }
}

fn check_signature(csr: &X509CertificationRequest<'_>) -> Result<()> {
    use x509_parser::error::X509Error;
    let verdict = match csr.verify_signature() {
        Err(X509Error::SignatureUnsupportedAlgorithm) => verify_p521(csr),
        other => other,
    };
    verdict.map_err(|e| match e {
        X509Error::SignatureUnsupportedAlgorithm => bad(
            "its key or signature algorithm is not supported; use RSA (2048 bits and more), EC P-256, P-384, P-521 or Ed25519",
        ),
        _ => bad("its signature does not fit its public key"),
    })
}

/// x509-parser does not support P-521.
fn verify_p521(
    csr: &X509CertificationRequest<'_>,
) -> std::result::Result<(), x509_parser::error::X509Error> {
    use x509_parser::error::X509Error;
    let info = &csr.certification_request_info;
    let curve = info.subject_pki.algorithm.parameters.as_ref();
    let is_p521 = curve
        .and_then(|any| any.as_oid().ok())
        .is_some_and(|oid| oid == OID_NIST_EC_P521);
    let hash = &csr.signature_algorithm.algorithm;
    let algorithm: &dyn VerificationAlgorithm = match hash {
        _ if !is_p521 => return Err(X509Error::SignatureUnsupportedAlgorithm),
        h if *h == OID_SIG_ECDSA_WITH_SHA512 => &ECDSA_P521_SHA512_ASN1,
        h if *h == OID_SIG_ECDSA_WITH_SHA384 => &ECDSA_P521_SHA384_ASN1,
        h if *h == OID_SIG_ECDSA_WITH_SHA256 => &ECDSA_P521_SHA256_ASN1,
        _ => return Err(X509Error::SignatureUnsupportedAlgorithm),
    };
    UnparsedPublicKey::new(algorithm, &info.subject_pki.subject_public_key.data)
        .verify(info.raw, &csr.signature_value.data)
        .map_err(|_| X509Error::SignatureVerificationError)
}
