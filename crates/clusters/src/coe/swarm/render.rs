//! Swarm-specific parts of the cluster template.

use crate::coe::hot::CoeParts;

pub(crate) fn template_parts() -> CoeParts {
    CoeParts {
        coe: "swarm",
        description: "A Docker Swarm of managers and workers.",
        traffic: "Docker API and swarm traffic",
        rules: vec![
            ("tcp", 2376, 2377),
            ("tcp", 7946, 7946),
            ("udp", 7946, 7946),
            ("udp", 4789, 4789),
        ],
    }
}
