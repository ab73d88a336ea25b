//! Configuration: defaults, then the TOML file, then flags.
#![expect(
    clippy::disallowed_methods,
    reason = "the configuration reads the environment"
)]

mod limits;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;

use crate::secret_file::private;

pub use limits::Limits;

/// Range of the lifetime of node certificates. The minimum is longer than a renewal
/// takes on a busy machine; the maximum is the lifetime of a CA.
const NODE_CERTIFICATE_SECONDS: std::ops::RangeInclusive<u32> = 60..=157_680_000;

/// Configuration of the server; every value has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory of the database file, the keys and `clouds.yaml`.
    pub state_dir: PathBuf,
    pub listen: SocketAddr,
    /// Directory of the keys for secrets and tokens, shared by all servers of a
    /// database; `None`: `keys` in the state directory.
    pub key_dir: Option<PathBuf>,
    /// `None`: SQLite in the state directory.
    pub database: Option<String>,
    /// Public address for clients, such as `https://clusters.example.org`;
    /// `None`: the Host of each request.
    pub public_endpoint: Option<String>,
    /// YAML file with rules that replace the defaults of `jeroboam policy list`;
    /// a change takes effect at once.
    pub policy_file: Option<PathBuf>,
    /// TCP port of the bootstrap listener on the gateway of each cluster
    /// network.
    pub bootstrap_port: u16,
    /// Additional addresses of the bootstrap listener, for nodes that do not
    /// reach this server through their gateway.
    pub bootstrap_listen: Vec<SocketAddr>,
    /// Whether the project `demo` and its user are created, if they do not exist.
    pub demo_project: bool,
    pub clusters: Clusters,
    pub infra: Infra,
    pub limits: Limits,
}

/// Settings for all clusters.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clusters {
    /// Lifetime of node certificates, seconds. Agents renew them after two
    /// thirds of it.
    pub node_certificate_seconds: u32,
    /// Ranges in which users may choose those of nodes, pods and services by
    /// labels; empty: all private ranges.
    pub ranges: Vec<ipnet::Ipv4Net>,
    pub isolation: Isolation,
}

/// Projects that may create clusters, by isolation level.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Isolation {
    /// Users of these clusters can become root on the host; no project by default.
    pub host_root: Projects,
    /// Nodes of these clusters have user namespaces; all projects by default.
    pub user_namespace: Projects,
}

/// A set of projects: `"all"` or a list of ids.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Given")]
pub enum Projects {
    All,
    Listed(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Word(String),
    Listed(Vec<String>),
}

impl TryFrom<Given> for Projects {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        match given {
            Given::Word(word) if word == "all" => Ok(Self::All),
            Given::Word(word) => Err(format!(
                "'{word}' is not a set of projects; use \"all\" or a list of project ids"
            )),
            Given::Listed(ids) => {
                let valid = |id: &str| {
                    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                };
                match ids.iter().find(|id| !valid(id)) {
                    Some(id) => Err(format!(
                        "'{id}' is not the id of a project; `openstack project list` shows them"
                    )),
                    None => Ok(Self::Listed(ids)),
                }
            }
        }
    }
}

impl Projects {
    /// The policy rule that permits these projects only.
    pub fn rule(&self) -> String {
        match self {
            Self::All => "@".into(),
            Self::Listed(ids) if ids.is_empty() => "!".into(),
            Self::Listed(ids) => {
                let checks: Vec<_> = ids.iter().map(|id| format!("project_id:{id}")).collect();
                checks.join(" or ")
            }
        }
    }
}

/// The user and group ids of the host for nodes in user namespaces. No user and
/// no other program of the host may have them, as `/etc/subuid` would give them.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserIds {
    pub first: u32,
    pub last: u32,
    /// Number of ids of each node.
    pub per_node: u32,
}

/// Implementation of the infrastructure ports.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Infra {
    pub driver: Driver,
    /// Address of the engine, `DOCKER_HOST` by default; `None`:
    /// `unix:///var/run/docker.sock`.
    pub docker: Option<String>,
    /// Range from which subnets of cluster networks are allocated.
    pub pool: ipnet::Ipv4Net,
    /// Whether firewall rules keep nodes from services of this host, from nodes of
    /// other clusters and from the metadata service of a cloud.
    pub isolate: bool,
    /// Whether isolated nodes reach addresses outside of this host.
    pub outside: bool,
    /// Services of this host that isolated nodes reach, such as `tcp:5000`.
    pub host_services: Vec<String>,
    pub user_ids: UserIds,
    /// Paths of the devices of the host that nodes in user namespaces get.
    pub devices: Vec<String>,
    /// Database of the simulator; `None`: a file in the state directory.
    /// Servers that simulate the same infrastructure share it.
    pub simulator: Option<PathBuf>,
    /// Whether this process runs the agents of simulated nodes; `false` if
    /// another program does.
    pub simulated_agents: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    Docker,
    Simulator,
}

impl Default for Config {
    fn default() -> Self {
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
        Self {
            state_dir: home.join(".local/share/jeroboam"),
            listen: SocketAddr::from(([127, 0, 0, 1], 9511)),
            key_dir: None,
            database: None,
            public_endpoint: None,
            policy_file: None,
            bootstrap_port: 9512,
            bootstrap_listen: Vec::new(),
            demo_project: false,
            clusters: Clusters::default(),
            infra: Infra::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Clusters {
    fn default() -> Self {
        Self {
            node_certificate_seconds: 365 * 24 * 3600,
            ranges: Vec::new(),
            isolation: Isolation::default(),
        }
    }
}

impl Default for Isolation {
    fn default() -> Self {
        Self {
            host_root: Projects::Listed(Vec::new()),
            user_namespace: Projects::All,
        }
    }
}

impl Default for UserIds {
    fn default() -> Self {
        let pool = docker::UserIdPool::default();
        Self {
            first: pool.first,
            last: pool.end - 1,
            per_node: pool.size,
        }
    }
}

impl UserIds {
    /// The pool from which ranges are granted.
    ///
    /// # Errors
    /// If the ids are not permitted, or too few for one node.
    pub fn pool(&self) -> Result<docker::UserIdPool> {
        let pool = docker::UserIdPool {
            first: self.first,
            size: self.per_node,
            end: self.last.saturating_add(1),
        };
        pool.check().context("config: infra.user_ids")?;
        Ok(pool)
    }
}

impl Default for Infra {
    fn default() -> Self {
        Self {
            driver: Driver::Docker,
            docker: std::env::var("DOCKER_HOST")
                .ok()
                .filter(|host| !host.is_empty()),
            pool: ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(172, 30, 0, 0), 15),
            isolate: true,
            outside: true,
            host_services: Vec::new(),
            user_ids: UserIds::default(),
            devices: docker::Devices::default()
                .iter()
                .map(str::to_owned)
                .collect(),
            simulator: None,
            simulated_agents: true,
        }
    }
}

impl Infra {
    /// The isolation of networks; `None` if it is switched off.
    ///
    /// # Errors
    /// If a service of the host is not valid, or a setting has no effect.
    pub fn isolation(&self, bootstrap_port: u16) -> Result<Option<docker::Isolation>> {
        if !self.isolate && !self.outside {
            bail!(
                "config: infra.outside is false, but infra.isolate is false as well, so no rule \
                 would keep traffic on this host; remove infra.isolate"
            );
        }
        let services = self.host_services.iter().map(|text| {
            let service = text.parse::<docker::HostService>();
            service.map_err(|e| anyhow!("config: infra.host_services: {e}"))
        });
        let host_services = services.collect::<Result<_>>()?;
        Ok(self.isolate.then_some(docker::Isolation {
            outside: self.outside,
            host_services,
            bootstrap_port,
        }))
    }

    /// The devices of nodes in user namespaces.
    ///
    /// # Errors
    /// Names the path that is not one of a device.
    pub fn devices(&self) -> Result<docker::Devices> {
        docker::Devices::new(self.devices.clone()).context("config: infra.devices")
    }
}

impl Config {
    /// Reads a file; unknown keys are errors that name the key.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("config: {} cannot be read", path.display()))?;
        let config: Self = toml::from_str(&text)
            .with_context(|| format!("config: {} is not valid", path.display()))?;
        if config.bootstrap_port == 0 {
            bail!(
                "config: bootstrap_port must be a fixed port; nodes are given it at their creation"
            );
        }
        let seconds = config.clusters.node_certificate_seconds;
        if !NODE_CERTIFICATE_SECONDS.contains(&seconds) {
            bail!(
                "config: clusters.node_certificate_seconds is {seconds}; it must be from {} to {}",
                NODE_CERTIFICATE_SECONDS.start(),
                NODE_CERTIFICATE_SECONDS.end()
            );
        }
        for net in &config.clusters.ranges {
            check_network("clusters.ranges", net)?;
        }
        check_network("infra.pool", &config.infra.pool)?;
        config.infra.user_ids.pool()?;
        config.infra.isolation(config.bootstrap_port)?;
        config.infra.devices()?;
        if config.database.as_deref().is_some_and(has_password) {
            private("config", path)?;
        }
        config.limits.check()?;
        Ok(config)
    }

    /// The file of the database, if it is SQLite.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let url = self.database_url();
        let path = url.strip_prefix("sqlite:")?.trim_start_matches("//");
        let memory = path.is_empty() || path == ":memory:";
        (!memory).then(|| path.into())
    }

    pub fn database_url(&self) -> String {
        self.database.clone().unwrap_or_else(|| {
            format!(
                "sqlite:{}",
                self.state_dir.join("jeroboam.sqlite").display()
            )
        })
    }
}

/// Rejects a network with host bits, which is usually a wrong prefix length or a
/// wrong address.
fn check_network(key: &str, net: &ipnet::Ipv4Net) -> Result<()> {
    if net.addr() != net.network() {
        bail!(
            "config: {key} contains {net}, which has bits set after its prefix; the network is {}",
            net.trunc()
        );
    }
    Ok(())
}

/// Whether the URL of a database contains a password.
pub fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = before.rsplit_once('@').map_or("", |(user, _)| user);
    let is_password = |pair: &str| pair.starts_with("password=");
    user.contains(':') || query.split('&').any(is_password)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_urls_with_passwords_are_secret() {
        for (url, secret) in [
            ("sqlite:/var/lib/a:b@c.sqlite", false),
            ("postgres://db.example.org/j", false),
            ("postgres://jeroboam@db.example.org:5432/j", false),
            ("postgres://jeroboam:p@db.example.org/j", true),
            ("mysql://jeroboam:p%40x@db.example.org:3306/j", true),
            ("postgres://db/j?user=a&password=b", true),
        ] {
            assert_eq!(has_password(url), secret, "{url}");
        }
    }

    #[test]
    fn a_file_with_a_password_is_private() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().join("jeroboam.toml");
        let write = |url: &str, mode| {
            std::fs::write(&path, format!("database = \"{url}\"\n")).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Config::read(&path)
        };
        write("postgres://db/j", 0o644).unwrap();
        write("postgres://a:secret@db/j", 0o600).unwrap();
        let e = write("postgres://a:secret@db/j", 0o644).unwrap_err();
        let e = e.to_string();
        assert!(e.starts_with("config: others can read"), "{e}");
        assert!(e.contains("chmod") && !e.contains("secret"), "{e}");
    }

    #[test]
    fn a_network_with_host_bits_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jeroboam.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Config::read(&path).map_err(|e| e.to_string())
        };
        read("[clusters]\nranges = [\"10.1.0.0/16\"]\n").unwrap();
        assert_eq!(
            read("[clusters]\nranges = [\"10.64.0.0/12\", \"10.1.2.3/16\"]\n").unwrap_err(),
            "config: clusters.ranges contains 10.1.2.3/16, which has bits set after its prefix; \
             the network is 10.1.0.0/16"
        );
        let e = read("[infra]\npool = \"172.30.1.0/15\"\n").unwrap_err();
        assert!(e.contains("infra.pool contains 172.30.1.0/15"), "{e}");
    }

    #[test]
    fn isolation_is_the_default_and_its_services_are_checked() {
        let isolation = |text: &str| {
            let config: Config = toml::from_str(text).unwrap();
            config.infra.isolation(9512).map_err(|e| e.to_string())
        };
        let default = isolation("").unwrap().unwrap();
        assert!(default.outside && default.host_services.is_empty());
        assert_eq!(isolation("[infra]\nisolate = false").unwrap(), None);
        let registry = isolation("[infra]\noutside = false\nhost_services = [\"tcp:5000\"]");
        let registry = registry.unwrap().unwrap();
        assert!(!registry.outside && registry.host_services.len() == 1);
        assert_eq!(
            isolation("[infra]\nhost_services = [\"5000\"]").unwrap_err(),
            "config: infra.host_services: '5000' is not a service of the host; use \"tcp:PORT\" \
             or \"udp:PORT\""
        );
        let useless = isolation("[infra]\nisolate = false\noutside = false").unwrap_err();
        assert!(useless.contains("infra.outside is false"), "{useless}");
    }

    #[test]
    fn devices_are_paths_below_dev() {
        let devices = |text: &str| {
            let config: Config = toml::from_str(&format!("[infra]\n{text}\n")).unwrap();
            config.infra.devices().map_err(|e| format!("{e:#}"))
        };
        assert_eq!(devices("").unwrap(), docker::Devices::default());
        assert_eq!(devices("devices = []").unwrap().iter().count(), 0);
        let why = devices("devices = [\"/etc/passwd\"]").unwrap_err();
        assert!(
            why.contains("infra.devices") && why.contains("/etc/passwd"),
            "{why}"
        );
    }

    #[test]
    fn projects_become_a_policy_rule() {
        let rule = |text: &str| {
            toml::from_str::<Config>(&format!("[clusters.isolation]\nhost_root = {text}"))
                .map(|c| c.clusters.isolation.host_root.rule())
                .map_err(|e| e.to_string())
        };
        assert_eq!(rule("\"all\"").unwrap(), "@");
        assert_eq!(rule("[]").unwrap(), "!");
        assert_eq!(
            rule("[\"a1\", \"b-2\"]").unwrap(),
            "project_id:a1 or project_id:b-2"
        );
        assert!(rule("\"some\"").unwrap_err().contains("project ids"));
        let refused = rule("[\"a or role:member\"]").unwrap_err();
        assert!(refused.contains("not the id of a project"), "{refused}");
        let default = Config::default().clusters.isolation;
        assert_eq!(default.host_root.rule(), "!");
        assert_eq!(default.user_namespace.rule(), "@");
    }
}
