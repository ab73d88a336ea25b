//! Links of objects.

use rest::Call;
use schemars::JsonSchema;
use serde::Serialize;

/// Path below which Magnum is served.
pub(crate) const PREFIX: &str = "/container-infra";

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MagnumLink")]
pub(crate) struct Link {
    pub(crate) href: String,
    pub(crate) rel: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<&'static str>,
}

impl Link {
    pub(crate) fn new(href: String, rel: &'static str) -> Self {
        Self {
            href,
            rel,
            media_type: None,
        }
    }
}

/// `self` under the version, `bookmark` without it.
pub(crate) type Links = [Link; 2];

/// The root of the service without a slash at its end, as
/// `http://HOST/container-infra`.
pub(crate) fn base<S, B>(call: &Call<S, B>) -> String {
    format!("{}{PREFIX}", call.parts.base)
}

pub(crate) fn links(base: &str, path: &str) -> Links {
    [
        Link::new(format!("{base}/v1/{path}"), "self"),
        Link::new(format!("{base}/{path}"), "bookmark"),
    ]
}
