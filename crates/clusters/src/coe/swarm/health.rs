//! From what a manager observes to `health_status`.

use serde_json::{Map, Value};

use crate::coe::Member;

/// Said wherever IPVS is missing; see the reference on node images.
pub(crate) const NO_IPVS: &str = "missing: virtual IPs and ingress publishing do not work on this \
    host; use endpoint mode dnsrr and publish mode host";

/// `HEALTHY` where every expected node is a ready member.
pub(crate) fn judge(expected: &[String], seen: &[Member], ipvs: bool) -> (&'static str, Value) {
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
