//! Container orchestration engines. Each is a folder of pure code: checks,
//! the HOT template, health rules; and one arm in the matches here.

pub(crate) mod swarm;

use kernel::Result;

use crate::errors::bad;
use crate::template::Template;

/// The engines that this server can build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coe {
    Swarm,
}

impl Coe {
    /// `swarm` and `swarm-mode` are one driver.
    pub(crate) fn parse(word: &str) -> Result<Self> {
        match word {
            "swarm" | "swarm-mode" => Ok(Self::Swarm),
            other => Err(bad(
                "coe",
                format!("Requested COE type {other} is not supported."),
            )),
        }
    }

    /// The first is the default.
    pub(crate) fn network_drivers(self) -> &'static [&'static str] {
        match self {
            Self::Swarm => &["docker", "flannel"],
        }
    }

    pub(crate) fn volume_drivers(self) -> &'static [&'static str] {
        match self {
            Self::Swarm => &["rexray"],
        }
    }

    /// The name of the driver, and the legacy names it answers to.
    pub(crate) fn drivers(self) -> &'static [&'static str] {
        match self {
            Self::Swarm => &[
                "swarm_docker_v1",
                "swarm_fedora_atomic_v1",
                "swarm_fedora_atomic_v2",
            ],
        }
    }

    /// Rules of this engine over a template, labels included.
    pub(crate) fn check_template(self, template: &Template) -> Result<()> {
        match self {
            Self::Swarm => swarm::check_template(template),
        }
    }

    /// Rules over the labels of a cluster.
    pub(crate) fn check_labels(
        self,
        labels: &std::collections::BTreeMap<String, String>,
    ) -> Result<()> {
        match self {
            Self::Swarm => swarm::check_labels(labels),
        }
    }

    /// Whether nodes can be made from images of this distribution.
    pub(crate) fn supports(self, server_type: &str, distro: &str) -> bool {
        match self {
            Self::Swarm => server_type == "vm" && swarm::DISTROS.contains(&distro),
        }
    }
}
