//! Links in answers: the only place that decides under which address clients
//! see this server.

use http::header::HOST;
use http::{HeaderMap, Uri};
use kernel::{Error, Result};

use crate::query::encode;

/// `scheme://host` for the links of an answer: the configured public endpoint,
/// or the host of the request. This is the host of its target, if the target is a
/// whole URL (RFC 9112, 3.2.2), or else `Host`. Forwarded headers are ignored,
/// because any client can send them.
///
/// # Errors
/// `Invalid` if a host is not a name or an address with an optional port.
pub fn base(uri: &Uri, headers: &HeaderMap, public_endpoint: Option<&str>) -> Result<String> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => "localhost",
        (Some(_), Some(_)) => {
            return Err(Error::invalid(
                "Host",
                "The header Host must be given once.",
            ));
        }
        (Some(value), None) => value
            .to_str()
            .ok()
            .filter(|host| is_host(host))
            .ok_or_else(|| {
                Error::invalid(
                    "Host",
                    "The header Host must be a host name or an address with an optional port.",
                )
            })?,
    };
    let host = match uri.authority() {
        Some(authority) if is_host(authority.as_str()) => authority.as_str(),
        Some(_) => {
            return Err(Error::invalid(
                "Host",
                "The host of the URL must be a host name or an address with an optional port.",
            ));
        }
        None => host,
    };
    Ok(match public_endpoint {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None => format!("http://{host}"),
    })
}

/// Whether the text is a host name or an address, with an optional port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, rest)) => match rest.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let valid_host = if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        !host.is_empty() && host.len() <= 253 && host.bytes().all(allowed)
    };
    valid_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// `PATH?a=b&c=d`, encoded.
#[must_use]
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<String> = pairs
        .iter()
        .map(|(k, v)| format!("{}={}", encode(k), encode(v)))
        .collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for good in ["a", "a.example:80", "127.0.0.1:9511", "[::1]", "[::1]:9511"] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/b", "a@b", "a\"", "a:80:81", "a:port", "a:65536", "[::1",
            "[::1]x", "[a]", "a?b", "a#b", "a\\b", "<a>",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn the_public_endpoint_replaces_the_host() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "10.0.0.1:9511".parse().unwrap());
        let base = |headers: &HeaderMap, public| base(&Uri::from_static("/a"), headers, public);
        assert_eq!(base(&headers, None).unwrap(), "http://10.0.0.1:9511");
        let public = Some("https://c.example.org/");
        assert_eq!(base(&headers, public).unwrap(), "https://c.example.org");
        headers.insert(HOST, "evil/..".parse().unwrap());
        assert!(base(&headers, public).is_err());
    }
}
