//! The body of a certificate (fields, extensions, signature), and reading
//! certificates.

use std::net::IpAddr;

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::EcdsaKeyPair;
use kernel::{Error, Result, Timestamp};

use crate::der;

const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

pub(crate) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
pub(crate) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// Bits of keyUsage, in the order of RFC 5280 §4.2.1.3.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(crate) const NON_REPUDIATION: u8 = 0x40;
pub(crate) const KEY_ENCIPHERMENT: u8 = 0x20;
pub(crate) const KEY_CERT_SIGN: u8 = 0x04;

/// openssl and Python refuse longer common names (RFC 5280, upper bounds); the
/// name of a cluster may be 242 characters long.
const COMMON_NAME_MAX: usize = 64;

/// A name with one CN and any number of O.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub common_name: String,
    /// The groups of a Kubernetes user.
    pub organizations: Vec<String>,
}

impl Subject {
    #[must_use]
    pub fn cn(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            organizations: Vec::new(),
        }
    }

    /// With an organization: the group of a Kubernetes user.
    #[must_use]
    pub fn member(common_name: &str, organization: &str) -> Self {
        Self {
            organizations: vec![organization.to_owned()],
            ..Self::cn(common_name)
        }
    }

    /// The DER form. The common name is shortened to 64 characters.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let attribute =
            |kind: &[u8], text: &str| der::set(&[&der::seq(&[&der::oid(kind), &der::utf8(text)])]);
        let short: String = self.common_name.chars().take(COMMON_NAME_MAX).collect();
        let mut parts = Vec::new();
        for o in &self.organizations {
            parts.extend(attribute(ORGANIZATION, o));
        }
        parts.extend(attribute(COMMON_NAME, &short));
        der::seq(&[&parts])
    }
}

/// All fields of a certificate that its signer sets.
pub(crate) struct Body {
    /// DER of the subject's name.
    pub subject: Vec<u8>,
    /// DER of the SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The bits of the public key, which key identifiers hash.
    pub key_bits: Vec<u8>,
    pub ca: bool,
    pub key_usage: u8,
    /// Contents of object identifiers.
    pub extended: Vec<Vec<u8>>,
    /// GeneralName elements.
    pub names: Vec<Vec<u8>>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// The signer of a certificate.
pub(crate) struct Signer<'a> {
    pub key: &'a EcdsaKeyPair,
    /// DER of the name of the issuer, as in its own certificate.
    pub name: &'a [u8],
    /// The issuer's subject key identifier.
    pub key_id: &'a [u8],
}

/// Signs the body; returns the certificate in DER.
pub(crate) fn sign(body: &Body, signer: &Signer<'_>) -> Result<Vec<u8>> {
    let random = SystemRandom::new();
    let mut serial = [0u8; 16];
    random
        .fill(&mut serial)
        .map_err(|_| Error::internal("no randomness for a serial number"))?;
    // 127 bits: positive, and within the 20 octets of RFC 5280.
    serial[0] = (serial[0] & 0x7f) | 0x01;
    let algorithm = der::seq(&[&der::oid(ECDSA_WITH_SHA256)]);
    let tbs = der::seq(&[
        &der::tlv(0xa0, &der::uint(&[2])),
        &der::uint(&serial),
        &algorithm,
        signer.name,
        &der::seq(&[&der::moment(body.not_before), &der::moment(body.not_after)]),
        &body.subject,
        &body.spki,
        &der::tlv(0xa3, &extensions(body, signer)),
    ]);
    let signature = signer
        .key
        .sign(&random, &tbs)
        .map_err(|_| Error::internal("signing a certificate failed"))?;
    Ok(der::seq(&[
        &tbs,
        &algorithm,
        &der::bits(signature.as_ref()),
    ]))
}

fn extensions(body: &Body, signer: &Signer<'_>) -> Vec<u8> {
    let extension = |kind: &[u8], critical: bool, value: &[u8]| {
        let critical = if critical {
            der::boolean(true)
        } else {
            Vec::new()
        };
        der::seq(&[&der::oid(kind), &critical, &der::octets(value)])
    };
    let constraints = if body.ca {
        der::seq(&[&der::boolean(true), &der::uint(&[0])])
    } else {
        der::seq(&[])
    };
    let mut all = vec![
        extension(BASIC_CONSTRAINTS, true, &constraints),
        extension(KEY_USAGE, true, &der::named_bits(body.key_usage)),
        extension(SUBJECT_KEY_ID, false, &der::octets(&key_id(&body.key_bits))),
    ];
    if !body.ca {
        let id = der::seq(&[&der::tlv(0x80, signer.key_id)]);
        all.push(extension(AUTHORITY_KEY_ID, false, &id));
    }
    if !body.extended.is_empty() {
        let list: Vec<Vec<u8>> = body.extended.iter().map(|o| der::oid(o)).collect();
        all.push(extension(
            EXTENDED_KEY_USAGE,
            false,
            &der::seq(&[&list.concat()]),
        ));
    }
    if !body.names.is_empty() {
        // Without a subject the alternative names are the only names (RFC 5280
        // §4.2.1.6).
        let nameless = body.subject == der::seq(&[]);
        all.push(extension(
            SUBJECT_ALT_NAME,
            nameless,
            &der::seq(&[&body.names.concat()]),
        ));
    }
    der::seq(&[&all.concat()])
}

/// A subject key identifier: SHA-1 of the bits of the key (RFC 5280 §4.2.1.2,
/// method 1), as in Magnum's certificates. No security depends on this hash.
pub(crate) fn key_id(key_bits: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key_bits)
        .as_ref()
        .to_vec()
}

/// A GeneralName from text: an IP address, otherwise a DNS name.
///
/// # Errors
/// Invalid `sans`: the text is neither.
pub(crate) fn general_name(text: &str) -> Result<Vec<u8>> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(match address {
            IpAddr::V4(a) => der::tlv(0x87, &a.octets()),
            IpAddr::V6(a) => der::tlv(0x87, &a.octets()),
        });
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*');
    if text.is_empty() || text.len() > 253 || !text.chars().all(plain) {
        return Err(Error::invalid(
            "sans",
            format!("'{text}' is neither an IP address nor a DNS name."),
        ));
    }
    Ok(der::tlv(0x82, text.as_bytes()))
}

/// SHA-256 of the DER of a certificate as lower-case hex: the pin by which a
/// node verifies its server.
#[must_use]
pub fn fingerprint_sha256(cert_der: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, cert_der).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// A time of a certificate.
pub(crate) fn time(time: x509_parser::time::ASN1Time) -> Timestamp {
    Timestamp::from_seconds(time.timestamp())
}

/// Contents of a certificate that has not been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertInfo {
    /// As text, for display: `CN=admin, O=system:masters`.
    pub subject: String,
    pub issuer: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub serial_hex: String,
}

impl CertInfo {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// Invalid `certificate`: the text contains none.
    pub fn from_pem(text: &str) -> Result<Self> {
        let bad = || Error::invalid("certificate", "The text holds no PEM certificate.");
        let der = crate::first_der(text, &["CERTIFICATE"]).ok_or_else(bad)?;
        let (_, cert) = x509_parser::parse_x509_certificate(&der).map_err(|_| bad())?;
        Ok(Self {
            subject: cert.subject().to_string(),
            issuer: cert.issuer().to_string(),
            not_before: time(cert.validity().not_before),
            not_after: time(cert.validity().not_after),
            serial_hex: hex(cert.raw_serial()),
        })
    }
}
