//! The attributes of a cluster template that a COE checks.

use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy)]
pub(crate) struct TemplateOptions<'a> {
    pub(crate) tls_disabled: bool,
    pub(crate) docker_storage_driver: Option<&'a str>,
    pub(crate) network_driver: Option<&'a str>,
    pub(crate) apiserver_port: Option<i64>,
    pub(crate) labels: &'a BTreeMap<String, String>,
}
