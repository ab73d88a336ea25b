//! Derives `health_status` from an observation of a manager.

use serde_json::{Map, Value};

use crate::coe::member::Member;

/// Text that is shown if the kernel lacks IPVS.
pub(crate) const NO_IPVS: &str = "missing: virtual IPs and ingress publishing do not work on this \
    host; use endpoint mode dnsrr and publish mode host";

/// `HEALTHY` if every expected node is a ready member.
pub(crate) fn evaluate_health(
    expected: &[String],
    seen: &[Member],
    ipvs: bool,
) -> (&'static str, Value) {
    let mut reason = Map::new();
    reason.insert("api".into(), "ok".into());
    let mut healthy = true;
    for name in expected {
        let ready = seen
            .iter()
            .any(|m| m.hostname == *name && m.state.eq_ignore_ascii_case("ready"));
        healthy &= ready;
        let word = if ready { "True" } else { "False" };
        reason.insert(format!("{name}.Ready"), word.into());
    }
    if !ipvs {
        reason.insert("ipvs".into(), NO_IPVS.into());
    }
    let status = if healthy { "HEALTHY" } else { "UNHEALTHY" };
    (status, Value::Object(reason))
}
