//! Certificate authorities: created, stored as PEM, used for signing.

use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, EcPrivateKeyRfc5915Der, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use kernel::{Error, Result, clock};
use x509_parser::certificate::X509Certificate;

use crate::cert::{self, Body, CertInfo, Signer, Subject};
use crate::csr::{Request, SignOptions};
use crate::pem;

const DAY: Duration = Duration::from_hours(24);

/// A certificate authority. `key_pem` is a secret: seal it before storing,
/// never print it.
#[derive(Clone)]
pub struct Ca {
    pub cert_pem: String,
    /// PKCS#8.
    pub key_pem: String,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca")
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

/// A key and the certificate for it.
#[derive(Clone)]
pub struct Issued {
    pub cert_pem: String,
    /// PKCS#8; a secret.
    pub key_pem: String,
    pub cert_der: Vec<u8>,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued")
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

impl Ca {
    /// Creates a CA with a new EC P-256 key, valid from yesterday for five
    /// years (Magnum's term). `common_name` is the name of the cluster,
    /// shortened to 64 characters.
    ///
    /// # Errors
    /// Internal: the system provided no randomness.
    pub fn generate(common_name: &str) -> Result<Self> {
        Self::generate_for(common_name, crate::TERM_DAYS)
    }

    /// As `generate` with a term in days.
    ///
    /// # Errors
    /// Same errors as `generate`.
    pub fn generate_for(common_name: &str, days: u32) -> Result<Self> {
        let new = NewKey::draw()?;
        let der = new.certify(common_name, days, CertificatePurpose::Authority)?;
        Ok(Self {
            cert_pem: pem::encode("CERTIFICATE", &der),
            key_pem: new.pem,
        })
    }

    /// Whether less than a third of the certificate's life is left. Agents renew
    /// their certificates at two thirds of theirs, so each of them gets the next
    /// certificate of the CA before this one ends.
    ///
    /// # Errors
    /// Internal: the certificate is malformed.
    pub fn is_due(&self) -> Result<bool> {
        let info = CertInfo::from_pem(&self.cert_pem).map_err(Error::internal)?;
        let life = info.not_after.since(info.not_before);
        Ok(info.not_after.since(clock::now()) < life / 3)
    }

    /// The same CA with a new certificate for the same name and key, valid for
    /// five years from now on: each of the two verifies what either has signed.
    ///
    /// # Errors
    /// Internal: this CA is malformed.
    pub fn renewed(&self) -> Result<Self> {
        let now = clock::now();
        let cert_der = self.with_own(|own, key| {
            let name = own.subject().as_raw().to_vec();
            let key_bits = key.public_key().as_ref().to_vec();
            let body = Body {
                subject: name.clone(),
                spki: own.public_key().raw.to_vec(),
                key_bits: key_bits.clone(),
                ca: true,
                key_usage: cert::KEY_CERT_SIGN,
                extended: Vec::new(),
                names: Vec::new(),
                not_before: now - DAY,
                not_after: now + DAY * crate::TERM_DAYS,
            };
            let signer = Signer {
                key,
                name: &name,
                key_id: &cert::key_id(&key_bits),
            };
            cert::sign(&body, &signer)
        })?;
        Ok(Self {
            cert_pem: pem::encode("CERTIFICATE", &cert_der),
            key_pem: self.key_pem.clone(),
        })
    }

    /// Signs a request in PEM; returns one certificate in PEM.
    ///
    /// # Errors
    /// Invalid `csr`: not PEM, malformed, wrong signature, key too weak, or a
    /// request for forbidden extensions. Invalid `sans`. Internal: this CA is
    /// malformed.
    pub fn sign_csr(&self, csr_pem: &str, options: &SignOptions) -> Result<String> {
        let request = Request::parse(csr_pem)?;
        let der = self.sign(request, options)?;
        Ok(pem::encode("CERTIFICATE", &der))
    }

    /// Creates a key and its certificate.
    ///
    /// # Errors
    /// Same errors as `sign_csr`.
    pub fn issue(&self, subject: Subject, options: &SignOptions) -> Result<Issued> {
        let new = NewKey::draw()?;
        let request = Request {
            subject: subject.encode(),
            spki: new.spki.clone(),
            key_bits: new.bits(),
            names: Vec::new(),
            key_usage: None,
            extended: Vec::new(),
        };
        let cert_der = self.sign(request, options)?;
        Ok(Issued {
            cert_pem: pem::encode("CERTIFICATE", &cert_der),
            key_pem: new.pem,
            cert_der,
        })
    }

    pub(crate) fn sign(&self, request: Request, options: &SignOptions) -> Result<Vec<u8>> {
        self.with_own(|own, key| {
            let body = body_for(request, options, own)?;
            let signer = Signer {
                key,
                name: own.subject().as_raw(),
                key_id: &cert::key_id(key.public_key().as_ref()),
            };
            cert::sign(&body, &signer)
        })
    }

    /// Calls `act` with the parsed certificate and key.
    fn with_own<T>(
        &self,
        act: impl FnOnce(&X509Certificate<'_>, &EcdsaKeyPair) -> Result<T>,
    ) -> Result<T> {
        let broken = |what: &str| Error::internal(format!("the CA's {what} cannot be read"));
        let cert_der = pem::first_der(&self.cert_pem, &["CERTIFICATE"])
            .ok_or_else(|| broken("certificate"))?;
        let (_, own) =
            x509_parser::parse_x509_certificate(&cert_der).map_err(|_| broken("certificate"))?;
        let key_der =
            pem::first_der(&self.key_pem, &["PRIVATE KEY"]).ok_or_else(|| broken("key"))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key_der)
            .map_err(|_| broken("key"))?;
        if own.public_key().subject_public_key.data.as_ref() != key.public_key().as_ref() {
            return Err(Error::internal("the CA's key does not fit its certificate"));
        }
        act(&own, &key)
    }
}

fn body_for(request: Request, options: &SignOptions, issuer: &X509Certificate<'_>) -> Result<Body> {
    let now = clock::now();
    let mut names = if options.keep_csr_sans {
        request.names
    } else {
        Vec::new()
    };
    for text in &options.sans {
        let name = cert::general_name(text)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let kept = options.keep_csr_usages;
    let mut extended = if kept { request.extended } else { Vec::new() };
    let granted = [
        (options.server_auth, cert::SERVER_AUTH),
        (options.client_auth, cert::CLIENT_AUTH),
    ];
    for (_, purpose) in granted.iter().filter(|(wanted, _)| *wanted) {
        if !extended.iter().any(|have| have == purpose) {
            extended.push(purpose.to_vec());
        }
    }
    if extended.is_empty() {
        extended.push(cert::CLIENT_AUTH.to_vec());
    }
    let usual = cert::DIGITAL_SIGNATURE | cert::KEY_ENCIPHERMENT;
    let until = now + Duration::from_secs(options.seconds.into());
    Ok(Body {
        subject: options
            .subject
            .as_ref()
            .map_or(request.subject, Subject::encode),
        spki: request.spki,
        key_bits: request.key_bits,
        ca: false,
        key_usage: request.key_usage.filter(|_| kept).unwrap_or(usual),
        extended,
        names,
        // Clocks of clients may be behind; never before the CA itself.
        not_before: (now - DAY).max(cert::time(issuer.validity().not_before)),
        not_after: until.min(cert::time(issuer.validity().not_after)),
    })
}

/// A self-signed server certificate for a listener whose clients verify
/// `fingerprint_sha256`. Valid for `days`.
///
/// # Errors
/// Invalid `sans`; internal: no randomness.
pub fn self_signed(common_name: &str, sans: &[String], days: u32) -> Result<Issued> {
    let names = sans
        .iter()
        .map(|text| cert::general_name(text))
        .collect::<Result<Vec<_>>>()?;
    let new = NewKey::draw()?;
    let cert_der = new.certify(common_name, days, CertificatePurpose::Server(names))?;
    Ok(Issued {
        cert_pem: pem::encode("CERTIFICATE", &cert_der),
        key_pem: new.pem,
        cert_der,
    })
}

/// A new EC P-256 key for signing tokens, as PEM of RFC 5915 (`EC PRIVATE
/// KEY`): the only form that Kubernetes reads both as a private key and as the
/// source of the public key. A secret.
///
/// # Errors
/// Internal: the system provided no randomness.
pub fn token_key() -> Result<String> {
    let failed = |_| Error::internal("making an EC key failed");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let private = pair.private_key();
    let der: EcPrivateKeyRfc5915Der<'_> = private.as_der().map_err(failed)?;
    Ok(pem::encode("EC PRIVATE KEY", der.as_ref()))
}

/// The use of a self-signed certificate.
enum CertificatePurpose {
    Authority,
    /// With these GeneralName elements.
    Server(Vec<Vec<u8>>),
}

struct NewKey {
    pair: EcdsaKeyPair,
    spki: Vec<u8>,
    pem: String,
}

impl NewKey {
    fn draw() -> Result<Self> {
        let failed = |_| Error::internal("making an EC key failed");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(failed)?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
        Ok(Self {
            pem: pem::encode("PRIVATE KEY", pkcs8.as_ref()),
            spki: spki.as_ref().to_vec(),
            pair,
        })
    }

    fn bits(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    /// A self-signed certificate as DER; valid from a day ago.
    fn certify(
        &self,
        common_name: &str,
        days: u32,
        purpose: CertificatePurpose,
    ) -> Result<Vec<u8>> {
        let now = clock::now();
        let subject = Subject::cn(common_name).encode();
        let (ca, key_usage, extended, names) = match purpose {
            CertificatePurpose::Authority => (true, cert::KEY_CERT_SIGN, Vec::new(), Vec::new()),
            CertificatePurpose::Server(names) => {
                let extended = vec![cert::SERVER_AUTH.to_vec()];
                (false, cert::DIGITAL_SIGNATURE, extended, names)
            }
        };
        let body = Body {
            subject: subject.clone(),
            spki: self.spki.clone(),
            key_bits: self.bits(),
            ca,
            key_usage,
            extended,
            names,
            not_before: now - DAY,
            not_after: now + DAY * days,
        };
        let signer = Signer {
            key: &self.pair,
            name: &subject,
            key_id: &cert::key_id(&self.bits()),
        };
        cert::sign(&body, &signer)
    }
}
