//! A cluster template and the rules of its fields.

use std::collections::BTreeMap;

use kernel::{ProjectId, Result, Target, Timestamp, UserId};
use rest::RequestBody;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::TemplateId;
use crate::authorized::Owned;
use crate::coe::Coe;
use crate::coe::options::TemplateOptions;
use crate::errors::{bad_request, invalid_field};
use crate::fields::{BodySpec, Fields, Kind, optional, required};
use crate::patch::{Change, Patchable, Rules};
use crate::ranges::RangePools;

/// A template as stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Template {
    pub(crate) uuid: TemplateId,
    pub(crate) project_id: ProjectId,
    pub(crate) user_id: UserId,
    pub(crate) name: String,
    pub(crate) coe: String,
    pub(crate) image_id: String,
    pub(crate) flavor_id: Option<String>,
    pub(crate) master_flavor_id: Option<String>,
    pub(crate) dns_nameserver: Option<String>,
    pub(crate) keypair_id: Option<String>,
    pub(crate) external_network_id: Option<String>,
    pub(crate) fixed_network: Option<String>,
    pub(crate) fixed_subnet: Option<String>,
    pub(crate) network_driver: Option<String>,
    pub(crate) apiserver_port: Option<i64>,
    pub(crate) docker_volume_size: Option<i64>,
    pub(crate) cluster_distro: Option<String>,
    pub(crate) http_proxy: Option<String>,
    pub(crate) https_proxy: Option<String>,
    pub(crate) no_proxy: Option<String>,
    pub(crate) volume_driver: Option<String>,
    pub(crate) registry_enabled: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) tls_disabled: bool,
    pub(crate) public: bool,
    pub(crate) server_type: String,
    pub(crate) insecure_registry: Option<String>,
    pub(crate) docker_storage_driver: Option<String>,
    pub(crate) master_lb_enabled: bool,
    pub(crate) floating_ip_enabled: bool,
    pub(crate) hidden: bool,
    pub(crate) tags: Option<String>,
    pub(crate) driver: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Option<Timestamp>,
}

/// The kind of most text fields.
const SHORT: Kind = Kind::Text(1, 255);
/// The kind of texts that may be empty.
const ANY: Kind = Kind::Text(0, 255);

/// The body of a POST.
const BODY: BodySpec = BodySpec {
    argument: "cluster_template",
    fields: &[
        optional("uuid", Kind::Uuid),
        optional("name", ANY),
        required("coe", Kind::Words(COES)),
        required("image_id", SHORT),
        optional("flavor_id", SHORT),
        optional("master_flavor_id", SHORT),
        optional("dns_nameserver", ANY),
        optional("keypair_id", SHORT),
        optional("external_network_id", SHORT),
        optional("fixed_network", SHORT),
        optional("fixed_subnet", SHORT),
        optional("network_driver", SHORT),
        optional("apiserver_port", Kind::Int(1024, 65535)),
        optional("docker_volume_size", Kind::Int(1, i32::MAX as i64)),
        optional("http_proxy", SHORT),
        optional("https_proxy", SHORT),
        optional("no_proxy", SHORT),
        optional("volume_driver", SHORT),
        optional("registry_enabled", Kind::Flag),
        optional("labels", Kind::Labels),
        optional("tls_disabled", Kind::Flag),
        optional("public", Kind::Flag),
        optional("server_type", ANY),
        optional("insecure_registry", SHORT),
        optional("docker_storage_driver", SHORT),
        optional("master_lb_enabled", Kind::Flag),
        optional("floating_ip_enabled", Kind::Flag),
        optional("hidden", Kind::Flag),
        optional("tags", ANY),
        optional("driver", ANY),
    ],
    read_only: &["links", "project_id", "user_id", "created_at", "updated_at"],
    // The distribution is taken from the image.
    ignored: &["cluster_distro"],
};

/// The COEs that a body may name.
const COES: &[&str] = &["kubernetes", "k8s", "swarm", "swarm-mode", "mesos"];

/// What a patch of a template may do with each attribute.
impl Patchable for Template {
    const RULES: Rules<'static> = Rules {
        internal: &[],
        mandatory: &[
            "image_id",
            "coe",
            "network_driver",
            "external_network_id",
            "tls_disabled",
            "public",
            "server_type",
            "registry_enabled",
            "cluster_distro",
            "hidden",
        ],
    };
}

impl Owned for Template {
    fn target(&self) -> Target {
        Target {
            project_id: Some(self.project_id.clone()),
            user_id: Some(self.user_id.clone()),
            domain_id: None,
        }
    }
}

/// The body of a POST: a template whose attributes that the server sets are
/// still empty.
pub(crate) struct NewTemplate(pub(crate) Template);

impl RequestBody for NewTemplate {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(BODY.schema())
    }

    fn read(body: Option<Value>) -> Result<Self> {
        Template::from_body(body).map(Self)
    }
}

impl Template {
    /// Reads the body of a POST; attributes that the server sets stay empty.
    fn from_body(body: Option<Value>) -> Result<Self> {
        let f = Fields::new(&BODY, body)?;
        let flag = |name| Ok::<_, kernel::Error>(f.flag(name)?.unwrap_or(false));
        let name = f.text("name")?.filter(|n| !n.is_empty());
        Ok(Self {
            uuid: f.text("uuid")?.map_or_else(TemplateId::random, Into::into),
            name: name.unwrap_or_else(|| crate::names::random("template")),
            coe: {
                let coe = f.need_text("coe")?;
                known_coe(&coe)?;
                // `k8s` is an alias; the names of swarms are kept as the client sent them.
                if coe == "k8s" {
                    "kubernetes".into()
                } else {
                    coe
                }
            },
            image_id: f.need_text("image_id")?,
            flavor_id: f.text("flavor_id")?,
            master_flavor_id: f.text("master_flavor_id")?,
            dns_nameserver: f.text("dns_nameserver")?,
            keypair_id: f.text("keypair_id")?,
            external_network_id: f.text("external_network_id")?,
            fixed_network: f.text("fixed_network")?,
            fixed_subnet: f.text("fixed_subnet")?,
            network_driver: f.text("network_driver")?,
            apiserver_port: f.int("apiserver_port")?,
            docker_volume_size: f.int("docker_volume_size")?,
            http_proxy: f.text("http_proxy")?,
            https_proxy: f.text("https_proxy")?,
            no_proxy: f.text("no_proxy")?,
            volume_driver: f.text("volume_driver")?,
            registry_enabled: flag("registry_enabled")?,
            labels: f.labels("labels")?.unwrap_or_default(),
            tls_disabled: flag("tls_disabled")?,
            public: flag("public")?,
            server_type: f.text("server_type")?.unwrap_or_else(|| "vm".into()),
            insecure_registry: f.text("insecure_registry")?,
            docker_storage_driver: f.text("docker_storage_driver")?,
            master_lb_enabled: flag("master_lb_enabled")?,
            floating_ip_enabled: f.flag("floating_ip_enabled")?.unwrap_or(true),
            hidden: flag("hidden")?,
            tags: f.text("tags")?,
            driver: f.text("driver")?.filter(|d| !d.is_empty()),
            ..Self::default()
        })
    }

    /// Checks that need no other service, in the order of the real service;
    /// sets the default network driver.
    pub(crate) fn check(&mut self, ranges: &RangePools) -> Result<()> {
        let coe = Coe::parse(&self.coe)?;
        if !matches!(self.server_type.as_str(), "vm" | "bm") {
            return Err(bad_request(
                "server_type",
                format!(
                    "Server type {} is not supported, expecting a vm/bm/unspecified server type.",
                    self.server_type
                ),
            ));
        }
        one_of(
            "Network",
            &mut self.network_driver,
            coe.network_drivers(),
            true,
        )?;
        one_of(
            "Volume",
            &mut self.volume_driver,
            coe.volume_drivers(),
            false,
        )?;
        check_volume(
            self.docker_storage_driver.as_deref(),
            self.docker_volume_size,
        )?;
        if let Some(dns) = &self.dns_nameserver
            && !dns
                .split(',')
                .all(|ip| ip.trim().parse::<std::net::Ipv4Addr>().is_ok())
        {
            return Err(bad_request(
                "dns_nameserver",
                format!(
                    "Expected a single dns address or comma separated dns list, but received {dns}."
                ),
            ));
        }
        coe.check_template(&self.options(), ranges)
    }

    /// The attributes that the engine checks.
    fn options(&self) -> TemplateOptions<'_> {
        TemplateOptions {
            tls_disabled: self.tls_disabled,
            docker_storage_driver: self.docker_storage_driver.as_deref(),
            network_driver: self.network_driver.as_deref(),
            apiserver_port: self.apiserver_port,
            labels: &self.labels,
        }
    }

    /// The name servers, one by one.
    pub(crate) fn dns_servers(&self) -> Vec<String> {
        self.dns_nameserver
            .iter()
            .flat_map(|d| d.split(','))
            .map(|d| d.trim().to_owned())
            .filter(|d| !d.is_empty())
            .collect()
    }

    /// The template after a patch; every rule of the fields is checked again.
    pub(crate) fn patched(&self, changes: &[Change]) -> Result<Self> {
        let mut map = self.attributes();
        crate::patch::apply(&mut map, changes)?;
        let distro = map.shift_remove("cluster_distro");
        map.retain(|_, v| !v.is_null());
        let mut next = Self::from_body(Some(Value::Object(map)))?;
        next.cluster_distro = distro.and_then(|d| d.as_str().map(str::to_owned));
        next.uuid.clone_from(&self.uuid);
        next.project_id.clone_from(&self.project_id);
        next.user_id.clone_from(&self.user_id);
        next.created_at = self.created_at;
        next.updated_at = self.updated_at;
        Ok(next)
    }

    /// Every attribute that a patch may name, the unset ones as null.
    fn attributes(&self) -> Map<String, Value> {
        let value = json!({
            "name": self.name, "coe": self.coe, "image_id": self.image_id,
            "flavor_id": self.flavor_id, "master_flavor_id": self.master_flavor_id,
            "dns_nameserver": self.dns_nameserver, "keypair_id": self.keypair_id,
            "external_network_id": self.external_network_id, "fixed_network": self.fixed_network,
            "fixed_subnet": self.fixed_subnet, "network_driver": self.network_driver,
            "apiserver_port": self.apiserver_port, "docker_volume_size": self.docker_volume_size,
            "cluster_distro": self.cluster_distro, "http_proxy": self.http_proxy,
            "https_proxy": self.https_proxy, "no_proxy": self.no_proxy,
            "volume_driver": self.volume_driver, "registry_enabled": self.registry_enabled,
            "labels": self.labels, "tls_disabled": self.tls_disabled, "public": self.public,
            "server_type": self.server_type, "insecure_registry": self.insecure_registry,
            "docker_storage_driver": self.docker_storage_driver,
            "master_lb_enabled": self.master_lb_enabled,
            "floating_ip_enabled": self.floating_ip_enabled, "hidden": self.hidden,
            "tags": self.tags, "driver": self.driver,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// Whether a patch is allowed while clusters use the template: exactly one of
/// these attributes, and `public` only to true.
pub(crate) fn is_allowed_while_in_use(changes: &[Change]) -> bool {
    let [change] = changes else {
        return changes.is_empty();
    };
    match change.root.as_str() {
        "hidden" | "tags" | "name" => true,
        "public" => crate::fields::check_flag("public", &change.value).unwrap_or(false),
        _ => false,
    }
}

/// The check of the real service on a devicemapper volume.
pub(crate) fn check_volume(storage_driver: Option<&str>, size: Option<i64>) -> Result<()> {
    if storage_driver == Some("devicemapper") && size.is_none_or(|s| s < 3) {
        let size = size.map_or_else(|| "None".to_owned(), |s| s.to_string());
        return Err(bad_request(
            "docker_volume_size",
            format!(
                "docker volume size {size} GB is not valid, expecting minimum value 3GB for \
                 devicemapper storage driver."
            ),
        ));
    }
    Ok(())
}

fn known_coe(coe: &str) -> Result<()> {
    if COES.contains(&coe) {
        return Ok(());
    }
    Err(invalid_field(
        "coe",
        coe,
        "Value should be one of: kubernetes, mesos, swarm, swarm-mode",
    ))
}

fn one_of(what: &str, value: &mut Option<String>, supported: &[&str], default: bool) -> Result<()> {
    match value {
        None if default => *value = supported.first().map(|s| (*s).to_owned()),
        Some(v) if !supported.contains(&v.as_str()) => {
            let lower = what.to_lowercase();
            return Err(bad_request(
                &format!("{lower}_driver"),
                format!(
                    "{what} driver type {v} is not supported, expecting a {}/unspecified {lower} driver.",
                    supported.join("/")
                ),
            ));
        }
        _ => {}
    }
    Ok(())
}
