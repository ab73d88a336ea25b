//! Command line, environment and files of k3s. Pure.
//!
//! k3s signs with CAs that it generates in its first server, including their
//! keys; it does not support an external CA. The key of the cluster's CA is not
//! copied there. Therefore the certificate of the API is signed by the CA of
//! k3s, which the agent reports and the server returns together with the CA of
//! the cluster; client certificates of both CAs are accepted.

use std::fmt::Write as _;

use kernel::{Error, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::member;
use crate::kube::plan::Facts;

pub(crate) const PROGRAM: &str = "/bin/k3s";
pub(crate) const TLS: &str = "/var/lib/rancher/k3s/server/tls";
pub(crate) const AGENT: &str = "/var/lib/rancher/k3s/agent";
/// Written by a running server: the secret, prefixed with a digest of its CA.
pub(crate) const NODE_TOKEN: &str = "/var/lib/rancher/k3s/server/node-token";
pub(crate) const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";

/// Command line and environment of k3s.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command {
    pub arguments: Vec<String>,
    /// Contains the token.
    pub env: Vec<(String, String)>,
}

/// Command line of the first and only server.
pub(crate) fn server(f: &Facts, token: &str) -> Command {
    let p = &f.plan;
    let mut line = vec!["server".to_owned()];
    let mut flag = |name: &str, value: &str| line.push(format!("--{name}={value}"));
    flag("node-name", &f.node);
    flag("node-ip", &f.own.to_string());
    flag("advertise-address", &f.own.to_string());
    flag("tls-san", &f.own.to_string());
    flag("https-listen-port", &p.api_port.to_string());
    flag("cluster-cidr", &p.pod_cidr);
    flag("service-cidr", &p.service_cidr);
    flag("cluster-dns", &p.dns_ip);
    flag("cluster-domain", &p.cluster_domain);
    // All nodes are in one network.
    flag("flannel-backend", "host-gw");
    // The load balancer publishes ports on all nodes and is not started unless
    // requested.
    flag("disable", "traefik");
    flag("disable", "servicelb");
    // The server assigns the pod range of each node.
    flag("kube-controller-manager-arg", "allocate-node-cidrs=false");
    flag("write-kubeconfig-mode", "600");
    if p.taint_masters {
        let taint = "node-role.kubernetes.io/control-plane=true:NoSchedule";
        flag("node-taint", taint);
    }
    line.extend(node(f));
    Command {
        arguments: line,
        env: vec![
            ("K3S_TOKEN".into(), token.into()),
            ("K3S_KUBECONFIG_OUTPUT".into(), KUBECONFIG.into()),
        ],
    }
}

/// Command line of a worker; `token` contains the digest of the server's CA,
/// which k3s verifies before it sends anything.
pub(crate) fn agent(f: &Facts, token: &str) -> Command {
    let mut line = vec![
        "agent".to_owned(),
        format!("--node-name={}", f.node),
        format!("--node-ip={}", f.own),
    ];
    line.extend(node(f));
    Command {
        arguments: line,
        env: vec![
            ("K3S_URL".into(), format!("https://{}", f.api)),
            ("K3S_TOKEN".into(), token.into()),
        ],
    }
}

/// Arguments of the kubelet and of kube-proxy, which all nodes have.
fn node(f: &Facts) -> Vec<String> {
    let labels = f.own_labels().into_iter();
    let mut line: Vec<String> = labels.map(|l| format!("--node-label={l}")).collect();
    if let Some(reserved) = member::reserved(f) {
        line.push(format!("--kubelet-arg=system-reserved={reserved}"));
    }
    if f.minor >= 31 {
        line.push("--kubelet-arg=fail-cgroupv1=false".into());
    }
    // The limits belong to the host and are read-only in the container.
    for limit in [
        "conntrack-max-per-core=0",
        "conntrack-min=0",
        "conntrack-tcp-timeout-established=0s",
        "conntrack-tcp-timeout-close-wait=0s",
    ] {
        line.push(format!("--kube-proxy-arg={limit}"));
    }
    line
}

/// Parses the output of `k3s --version`: `k3s version v1.33.4+k3s1 (148243c4)`.
///
/// # Errors
/// Invalid `image`: unexpected output.
pub(crate) fn minor(output: &str) -> Result<u16> {
    output
        .split_whitespace()
        .nth(2)
        .and_then(|v| v.strip_prefix("v1.")?.split('.').next()?.parse().ok())
        .ok_or_else(|| {
            Error::invalid(
                "image",
                format!(
                    "{PROGRAM} --version says '{}', not k3s version v1.…",
                    output.trim()
                ),
            )
        })
}

/// Generates a CA for the clients of k3s, certificate and key as PEM. k3s would
/// generate one itself, but then ours could only be added after a restart.
///
/// # Errors
/// Internal: no key can be generated.
pub(crate) fn client_ca() -> Result<(String, String)> {
    let failed = |e: rcgen::Error| Error::internal(format!("making a CA for k3s: {e}"));
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let id: String =
        Sha256::digest(key.public_key_pem())
            .iter()
            .take(8)
            .fold(String::new(), |mut all, byte| {
                let _ = write!(all, "{byte:02x}");
                all
            });
    params
        .distinguished_name
        .push(DnType::CommonName, format!("k3s-client-ca-{id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::CrlSign,
    ];
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// The CAs of accepted clients: the CA of k3s first, because k3s signs with it.
pub(crate) fn bundle(own: &str, cluster: &str) -> String {
    format!("{}\n{}\n", own.trim(), cluster.trim())
}
