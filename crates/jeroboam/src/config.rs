//! Configuration: defaults, then the TOML file, then flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// From what a renewal takes on a busy machine to the life of a CA.
const NODE_CERTIFICATE_SECONDS: std::ops::RangeInclusive<u32> = 60..=157_680_000;

/// What the server needs to know; every value has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Database file, keys and `clouds.yaml` live here.
    pub state_dir: PathBuf,
    pub listen: SocketAddr,
    /// Keys that seal secrets and make tokens, shared by all servers of one
    /// database; `None`: `keys` in the state directory.
    pub key_dir: Option<PathBuf>,
    /// `None`: SQLite in the state directory.
    pub database: Option<String>,
    /// Address that clients use, such as `https://clusters.example.org`;
    /// `None`: the Host of each request.
    pub public_endpoint: Option<String>,
    /// TCP port of the bootstrap listener on each cluster network's gateway.
    pub bootstrap_port: u16,
    /// Further addresses of the bootstrap listener, for nodes that reach this
    /// server by another address than their gateway's.
    pub bootstrap_listen: Vec<SocketAddr>,
    pub clusters: Clusters,
    pub infra: Infra,
}

/// What holds for all clusters.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clusters {
    /// How long the certificates of nodes are valid, seconds. Agents renew
    /// them at two thirds of it.
    pub node_certificate_seconds: u32,
}

/// What stands behind compute and network.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Infra {
    pub driver: Driver,
    /// Address of the engine, `DOCKER_HOST` by default; `None`:
    /// `unix:///var/run/docker.sock`.
    pub docker: Option<String>,
    /// Subnets of cluster networks are cut from this range.
    pub pool: ipnet::Ipv4Net,
    /// Keeps what clusters send on this machine, by firewall rules.
    pub isolate: bool,
    /// The simulator's world; `None`: a file in the state directory. Several
    /// servers that simulate one world share it.
    pub simulator: Option<PathBuf>,
    /// Whether this process plays the agents of simulated nodes; `false`
    /// where another program does.
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
            bootstrap_port: 9512,
            bootstrap_listen: Vec::new(),
            clusters: Clusters::default(),
            infra: Infra::default(),
        }
    }
}

impl Default for Clusters {
    fn default() -> Self {
        Self {
            node_certificate_seconds: 365 * 24 * 3600,
        }
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
            isolate: false,
            simulator: None,
            simulated_agents: true,
        }
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
        Ok(config)
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
