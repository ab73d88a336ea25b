//! Container orchestration engines. Each is a folder of pure code (checks, HOT
//! template, health rules) and one arm in each match here.

pub(crate) mod hot;
pub(crate) mod isolation;
pub(crate) mod kubernetes;
pub(crate) mod member;
pub(crate) mod options;
pub(crate) mod swarm;

use std::collections::BTreeMap;

use kernel::Result;
use nodewire::Observed;
use serde_json::Value;

use crate::errors::bad_request;
use crate::ranges::RangePools;
use hot::CoeParts;
use member::Member;
use options::TemplateOptions;

/// The COEs that this server supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coe {
    Kubernetes,
    Swarm,
}

impl Coe {
    /// `swarm` and `swarm-mode` select the same driver.
    pub(crate) fn parse(word: &str) -> Result<Self> {
        match word {
            "kubernetes" | "k8s" => Ok(Self::Kubernetes),
            "swarm" | "swarm-mode" => Ok(Self::Swarm),
            other => Err(bad_request(
                "coe",
                format!("Requested COE type {other} is not supported."),
            )),
        }
    }

    /// Parses the stored value of a row.
    ///
    /// # Errors
    /// Same errors as [`db::unknown_stored_value`].
    pub(crate) fn from_stored(word: &str) -> Result<Self> {
        Self::parse(word).map_err(|_| db::unknown_stored_value("COE", word))
    }

    /// The first is the default.
    pub(crate) fn network_drivers(self) -> &'static [&'static str] {
        match self {
            Self::Kubernetes => &["flannel", "calico"],
            Self::Swarm => &["docker", "flannel"],
        }
    }

    pub(crate) fn volume_drivers(self) -> &'static [&'static str] {
        match self {
            Self::Kubernetes => &["cinder"],
            Self::Swarm => &["rexray"],
        }
    }

    /// The name of the driver and its legacy names.
    pub(crate) fn drivers(self) -> &'static [&'static str] {
        match self {
            Self::Kubernetes => &[
                "k8s_docker_v1",
                "k8s_fedora_coreos_v1",
                "k8s_fedora_atomic_v1",
                "k8s_coreos_v1",
            ],
            Self::Swarm => &[
                "swarm_docker_v1",
                "swarm_fedora_atomic_v1",
                "swarm_fedora_atomic_v2",
            ],
        }
    }

    /// Checks a template for this engine, including its labels.
    pub(crate) fn check_template(
        self,
        template: &TemplateOptions<'_>,
        ranges: &RangePools,
    ) -> Result<()> {
        match self {
            Self::Kubernetes => kubernetes::check_template(template, ranges),
            Self::Swarm => swarm::check_template(template, ranges),
        }
    }

    /// Checks the labels of a cluster; `driver` is its network driver.
    pub(crate) fn check_labels(
        self,
        labels: &BTreeMap<String, String>,
        driver: Option<&str>,
        ranges: &RangePools,
    ) -> Result<()> {
        match self {
            Self::Kubernetes => kubernetes::labels::check(labels, driver, ranges),
            Self::Swarm => swarm::check_labels(labels, ranges),
        }
    }

    /// Whether nodes can use images of this distribution.
    pub(crate) fn supports(self, server_type: &str, distro: &str) -> bool {
        let distros = match self {
            Self::Kubernetes => kubernetes::DISTROS,
            Self::Swarm => swarm::DISTROS,
        };
        server_type == "vm" && distros.contains(&distro)
    }

    /// Minimum memory of the flavors of a master and of a worker, MiB.
    pub(crate) fn min_ram(self) -> (u64, u64) {
        match self {
            Self::Kubernetes => (kubernetes::MASTER_RAM, kubernetes::WORKER_RAM),
            Self::Swarm => (0, 0),
        }
    }

    /// The port of the cluster's API; `wanted` is the template's `apiserver_port`.
    pub(crate) fn api_port(self, wanted: Option<i64>) -> u16 {
        match self {
            Self::Kubernetes => wanted
                .and_then(|p| u16::try_from(p).ok())
                .unwrap_or(kubernetes::API_PORT),
            Self::Swarm => swarm::API_PORT,
        }
    }

    /// `api_address` from the address of the first master or balancer.
    pub(crate) fn api_address(self, ip: &str, port: u16) -> String {
        match self {
            Self::Kubernetes => format!("https://{ip}:{port}"),
            Self::Swarm => format!("tcp://{ip}:{port}"),
        }
    }

    /// Engine-specific parts of the HOT template.
    pub(crate) fn template_parts(self, api_port: u16) -> CoeParts {
        match self {
            Self::Kubernetes => kubernetes::render::template_parts(api_port),
            Self::Swarm => swarm::render::template_parts(),
        }
    }

    /// A hint for a failed bootstrap step.
    pub(crate) fn hint(self, step: &str, log: &str) -> &'static str {
        // Agents of releases before user namespaces do this also where it is refused.
        if step == "prepare" && log.contains("remounting /sys writable") {
            return "The node image is of an older release: build it again with `jeroboam image build`, and create the cluster again.";
        }
        match self {
            Self::Kubernetes => kubernetes::hints::hint(step, log),
            Self::Swarm => swarm::hints::hint(step, log),
        }
    }

    /// Derives `health_status` and `health_status_reason` from an observation.
    pub(crate) fn evaluate_health(
        self,
        expected: &[String],
        seen: &Observed,
    ) -> (&'static str, Value) {
        let members: Vec<Member> = seen
            .nodes
            .iter()
            .map(|m| Member {
                hostname: m.hostname.clone(),
                state: m.state.clone(),
            })
            .collect();
        match self {
            Self::Kubernetes => {
                kubernetes::health::evaluate_health(expected, &members, seen.problem.as_deref())
            }
            Self::Swarm => swarm::health::evaluate_health(expected, &members, seen.ipvs),
        }
    }
}
