//! Magnum's API and our native routes of clusters: the route tables of all
//! resources with the settings of the real service.

use std::borrow::Cow;
use std::sync::Arc;

use kernel::Result;
use rest::{Route, Service, Settings};

use crate::deps::State;
use crate::dialect::Magnum;
use crate::links::PREFIX;
use crate::versions::VERSIONS;
use crate::{certificate, cluster, discovery, nodegroup, service, template};

/// Magnum's API.
pub(crate) fn service(d: &State) -> Result<Service> {
    let mut settings = Settings::new("container-infra", PREFIX, Arc::new(Magnum));
    settings.service_type = Some("container-infra");
    settings.authenticator = Some(d.auth.clone());
    settings.token_before_path = true;
    settings.versions = Some(&VERSIONS);
    settings.head = false;
    settings.normalize = normalize;
    let routes: [Vec<Route<State>>; 6] = [
        discovery::routes(),
        template::http::routes(),
        cluster::http::routes(),
        nodegroup::http::routes(),
        certificate::http::routes(),
        service::routes(),
    ];
    let routes = routes.into_iter().flatten().collect();
    Service::new(settings, d.clone(), routes)
}

/// Data of clusters that the OpenStack APIs do not offer.
pub(crate) fn native_service(d: &State) -> Result<Service> {
    let prefix = "/jeroboam/v1/clusters";
    let mut settings = Settings::new("native-clusters", prefix, Arc::new(Magnum));
    settings.authenticator = Some(d.auth.clone());
    Service::new(settings, d.clone(), cluster::http::native_routes())
}

/// The path in the route table. Like the real service: a path whose first
/// segment is not `v1` is routed as if it were; `.json` at the end and slashes at
/// both ends are dropped.
fn normalize(path: &str) -> Cow<'_, str> {
    let trimmed = path.trim_matches('/');
    if trimmed.is_empty() {
        return Cow::Borrowed("/");
    }
    let plain = trimmed.strip_suffix(".json").unwrap_or(trimmed);
    let below = match plain.strip_prefix("v1") {
        Some("") => return Cow::Borrowed("/v1"),
        Some(rest) if rest.starts_with('/') => &rest[1..],
        _ => plain,
    };
    if path.len() == below.len() + 4 && path.starts_with("/v1/") {
        return Cow::Borrowed(path);
    }
    Cow::Owned(format!("/v1/{below}"))
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn paths_are_routed_as_in_the_real_service() {
        let cases = [
            ("", "/"),
            ("/", "/"),
            ("/v1", "/v1"),
            ("/v1/", "/v1"),
            ("/v1.json", "/v1"),
            ("/v1/clusters", "/v1/clusters"),
            ("/v1/clusters/", "/v1/clusters"),
            ("/v1/clusters.json", "/v1/clusters"),
            ("/clusters", "/v1/clusters"),
            ("//clusters//", "/v1/clusters"),
            ("/v2/clusters", "/v1/v2/clusters"),
            ("/v1x", "/v1/v1x"),
            ("/v1/v1", "/v1/v1"),
        ];
        for (path, want) in cases {
            assert_eq!(normalize(path), want, "{path}");
        }
    }
}
