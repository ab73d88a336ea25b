//! Microversion negotiation by `OpenStack-API-Version: <service> <x.y|latest>`.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// A microversion; ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Microversion {
    pub major: u32,
    pub minor: u32,
}

impl Microversion {
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// An invalid or unsupported version request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionError {
    /// The header names only other services.
    Service,
    /// Neither `x.y` nor `latest`.
    Malformed,
    Minor(Microversion),
    Major(Microversion),
}

/// A negotiated version, and the service name that the client used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    pub version: Microversion,
    pub service: String,
}

/// The versions of one service.
#[derive(Debug, Clone, Copy)]
pub struct Negotiator {
    /// Accepted service names; the first is used if the client sent none.
    pub services: &'static [&'static str],
    pub min: Microversion,
    pub max: Microversion,
}

impl Negotiator {
    /// The version of an answer to a client that asked for none.
    #[must_use]
    pub fn default_version(&self) -> Negotiated {
        Negotiated {
            version: self.min,
            service: self.services[0].to_owned(),
        }
    }

    /// The version of a request; without a header the minimum.
    ///
    /// # Errors
    /// The error in the header.
    pub fn negotiate(&self, headers: &HeaderMap) -> Result<Negotiated, VersionError> {
        let Some(header) = headers.get("openstack-api-version") else {
            return Ok(self.default_version());
        };
        let text = header.to_str().map_err(|_| VersionError::Malformed)?;
        let entries: Vec<Vec<&str>> = text
            .split(',')
            .map(|part| part.split_whitespace().collect())
            .collect();
        let Some(entry) = entries
            .iter()
            .find(|e| e.first().is_some_and(|s| self.services.contains(s)))
        else {
            let words = entries.iter().all(|e| e.len() == 2);
            return Err(if words {
                VersionError::Service
            } else {
                VersionError::Malformed
            });
        };
        let [service, wanted] = entry.as_slice() else {
            return Err(VersionError::Malformed);
        };
        let version = if wanted.eq_ignore_ascii_case("latest") {
            self.max
        } else {
            parse(wanted).ok_or(VersionError::Malformed)?
        };
        if version.major != self.min.major {
            return Err(VersionError::Major(version));
        }
        if version < self.min || version > self.max {
            return Err(VersionError::Minor(version));
        }
        Ok(Negotiated {
            version,
            service: (*service).to_owned(),
        })
    }

    /// The headers of every versioned answer.
    pub fn answer(&self, used: &Negotiated, headers: &mut HeaderMap) {
        let lines = [
            ("openstack-api-minimum-version", self.min),
            ("openstack-api-maximum-version", self.max),
            ("openstack-api-version", used.version),
        ];
        for (name, version) in lines {
            if let Ok(value) = HeaderValue::from_str(&format!("{} {version}", used.service)) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers.insert("vary", HeaderValue::from_static("OpenStack-API-Version"));
    }
}

fn parse(text: &str) -> Option<Microversion> {
    let (major, minor) = text.split_once('.')?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(major) || !digits(minor) {
        return None;
    }
    Some(Microversion::new(major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGNUM: Negotiator = Negotiator {
        services: &["container-infrastructure-management", "container-infra"],
        min: Microversion::new(1, 1),
        max: Microversion::new(1, 14),
    };

    fn ask(header: &str) -> Result<(String, String), VersionError> {
        let mut headers = HeaderMap::new();
        headers.insert("openstack-api-version", header.parse().unwrap());
        MAGNUM
            .negotiate(&headers)
            .map(|n| (n.service, n.version.to_string()))
    }

    #[test]
    fn versions_are_negotiated_as_the_service_does() {
        let ok = |s: &str, v: &str| Ok((s.to_owned(), v.to_owned()));
        assert_eq!(ask("container-infra latest"), ok("container-infra", "1.14"));
        assert_eq!(
            ask("compute 2.1,container-infra 1.9"),
            ok("container-infra", "1.9")
        );
        assert_eq!(
            ask("container-infra 1.99"),
            Err(VersionError::Minor(Microversion::new(1, 99)))
        );
        assert_eq!(
            ask("container-infra 2.0"),
            Err(VersionError::Major(Microversion::new(2, 0)))
        );
        assert_eq!(ask("compute 2.1"), Err(VersionError::Service));
        for bad in [
            "container-infra",
            "container-infra x",
            "container-infra 1.",
            "",
            "1.1",
        ] {
            assert_eq!(ask(bad), Err(VersionError::Malformed), "{bad}");
        }
    }

    #[test]
    fn no_header_means_the_minimum() {
        assert_eq!(
            MAGNUM.negotiate(&HeaderMap::new()).unwrap().version,
            MAGNUM.min
        );
    }
}
