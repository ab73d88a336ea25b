//! Bodies of cluster templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::Template;
use crate::links::Links;
use crate::wire::Time;

/// A page of a list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TemplateList {
    pub(crate) clustertemplates: Vec<TemplateBody>,
    /// The link to the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// A cluster template; lists hold the same.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ClusterTemplate")]
pub(crate) struct TemplateBody {
    uuid: String,
    name: String,
    coe: String,
    image_id: String,
    flavor_id: Option<String>,
    master_flavor_id: Option<String>,
    dns_nameserver: Option<String>,
    keypair_id: Option<String>,
    external_network_id: Option<String>,
    fixed_network: Option<String>,
    fixed_subnet: Option<String>,
    network_driver: Option<String>,
    apiserver_port: Option<i64>,
    docker_volume_size: Option<i64>,
    cluster_distro: Option<String>,
    links: Links,
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    no_proxy: Option<String>,
    volume_driver: Option<String>,
    registry_enabled: bool,
    labels: BTreeMap<String, String>,
    tls_disabled: bool,
    public: bool,
    server_type: String,
    insecure_registry: Option<String>,
    docker_storage_driver: Option<String>,
    master_lb_enabled: bool,
    floating_ip_enabled: bool,
    project_id: String,
    user_id: String,
    hidden: bool,
    tags: Option<String>,
    driver: Option<String>,
    created_at: Time,
    updated_at: Option<Time>,
}

impl TemplateBody {
    pub(crate) fn new(t: Template, base: &Arc<str>) -> Self {
        let links = Links::new(base, format!("clustertemplates/{}", t.uuid));
        Self {
            uuid: t.uuid.into(),
            name: t.name,
            coe: t.coe,
            image_id: t.image_id,
            flavor_id: t.flavor_id,
            master_flavor_id: t.master_flavor_id,
            dns_nameserver: t.dns_nameserver,
            keypair_id: t.keypair_id,
            external_network_id: t.external_network_id,
            fixed_network: t.fixed_network,
            fixed_subnet: t.fixed_subnet,
            network_driver: t.network_driver,
            apiserver_port: t.apiserver_port,
            docker_volume_size: t.docker_volume_size,
            cluster_distro: t.cluster_distro,
            links,
            http_proxy: t.http_proxy,
            https_proxy: t.https_proxy,
            no_proxy: t.no_proxy,
            volume_driver: t.volume_driver,
            registry_enabled: t.registry_enabled,
            labels: t.labels,
            tls_disabled: t.tls_disabled,
            public: t.public,
            server_type: t.server_type,
            insecure_registry: t.insecure_registry,
            docker_storage_driver: t.docker_storage_driver,
            master_lb_enabled: t.master_lb_enabled,
            floating_ip_enabled: t.floating_ip_enabled,
            project_id: t.project_id.into(),
            user_id: t.user_id.into(),
            hidden: t.hidden,
            tags: t.tags,
            driver: t.driver,
            created_at: Time(t.created_at),
            updated_at: t.updated_at.map(Time),
        }
    }
}
