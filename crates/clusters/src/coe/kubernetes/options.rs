//! Validates user-defined flags of components in the labels `kubelet_options`,
//! `kubeapi_options`, …: checks the syntax and rejects flags that are reserved.
//! Pure.

/// Flags that make a component exit immediately.
const ENDING: &[&str] = &["help", "version"];

/// Reserved flags: identity, certificates, addresses, data. A trailing star
/// matches any suffix.
const KUBELET: &[&str] = &[
    "anonymous-auth",
    "authentication-token-webhook*",
    "authorization-mode",
    "bootstrap-kubeconfig",
    "cert-dir",
    "cgroup-driver",
    "cgroup-root",
    "client-ca-file",
    "cluster-dns",
    "cluster-domain",
    "config",
    "config-dir",
    "container-runtime*",
    "healthz-*",
    "hostname-override",
    "image-service-endpoint",
    "kubeconfig",
    "node-ip",
    "node-labels",
    "pod-cidr",
    "port",
    "provider-id",
    "register-node",
    "register-with-taints",
    "resolv-conf",
    "root-dir",
    "rotate-*",
    "tls-cert-file",
    "tls-private-key-file",
];
const APISERVER: &[&str] = &[
    "advertise-address",
    "admission-control*",
    "anonymous-auth",
    "authentication-config",
    "authorization-config",
    "authorization-mode",
    "bind-address",
    "cert-dir",
    "client-ca-file",
    "enable-admission-plugins",
    "etcd-*",
    "external-hostname",
    "insecure-*",
    "kubelet-certificate-authority",
    "kubelet-client-*",
    "kubelet-preferred-address-types",
    "kubernetes-service-node-port",
    "proxy-client-*",
    "requestheader-*",
    "secure-port",
    "service-account-*",
    "service-cluster-ip-range",
    "storage-backend",
    "tls-cert-file",
    "tls-private-key-file",
    "tls-sni-cert-key",
];
const CONTROLLER: &[&str] = &[
    "allocate-node-cidrs",
    "authentication-kubeconfig",
    "authorization-kubeconfig",
    "bind-address",
    "cert-dir",
    "client-ca-file",
    "cluster-cidr",
    "cluster-signing-*",
    "kubeconfig",
    "leader-elect",
    "master",
    "port",
    "requestheader-*",
    "root-ca-file",
    "secure-port",
    "service-account-private-key-file",
    "tls-cert-file",
    "tls-private-key-file",
    "use-service-account-credentials",
];
const SCHEDULER: &[&str] = &[
    "authentication-kubeconfig",
    "authorization-kubeconfig",
    "bind-address",
    "cert-dir",
    "client-ca-file",
    "config",
    "kubeconfig",
    "leader-elect",
    "master",
    "port",
    "requestheader-*",
    "secure-port",
    "tls-cert-file",
    "tls-private-key-file",
    "write-config-to",
];
const PROXY: &[&str] = &[
    "bind-address",
    "cleanup",
    "cluster-cidr",
    "config",
    "healthz-*",
    "hostname-override",
    "init-only",
    "kubeconfig",
    "master",
    "metrics-*",
    "proxy-mode",
    "write-config-to",
];

fn reserved_flags(label: &str) -> &'static [&'static str] {
    match label {
        "kubelet_options" => KUBELET,
        "kubeapi_options" => APISERVER,
        "kubecontroller_options" => CONTROLLER,
        "kubescheduler_options" => SCHEDULER,
        "kubeproxy_options" => PROXY,
        _ => &[],
    }
}

/// Describes the error in the value of a label; `None`: the flags are appended
/// to the command line of the component.
pub(crate) fn validation_error(label: &str, value: &str) -> Option<String> {
    value.split_whitespace().find_map(|word| {
        let Some(flag) = word.strip_prefix("--").filter(|f| is_flag_name(f)) else {
            return Some(format!(
                "labels/{label}: \"{word}\" is no flag; each word begins with -- and holds its \
                 value, such as --v=4."
            ));
        };
        let name = flag.split('=').next().unwrap_or_default().replace('_', "-");
        let is = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == **pattern,
        };
        reserved_flags(label).iter().chain(ENDING).find(|p| is(p))?;
        let why = match name.as_str() {
            "enable-admission-plugins" => "use the label admission_control_list instead",
            _ => "it is reserved for the nodes; leave it out",
        };
        Some(format!(
            "labels/{label}: the flag --{name} cannot be given: {why}."
        ))
    })
}

fn is_flag_name(flag: &str) -> bool {
    flag.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Describes the error in a list of admission plug-ins. Plug-ins that a release
/// does not have are skipped by its nodes.
pub(crate) fn plugin_list_error(value: &str) -> Option<String> {
    let good = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
    let wrong = value.split(',').map(str::trim).find(|name| !good(name))?;
    Some(format!(
        "labels/admission_control_list: \"{wrong}\" is no name of an admission plug-in; give \
         names separated by commas, such as NodeRestriction,AlwaysPullImages."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_flags_and_some_are_reserved() {
        for (label, value) in [
            ("kubelet_options", "--max-pods=20  --v=4"),
            ("kubeapi_options", "--runtime-config=api/all=true"),
            ("kubecontroller_options", "--node-monitor-grace-period=20s"),
            ("kubescheduler_options", ""),
            ("kubeproxy_options", "--v=2"),
        ] {
            assert_eq!(validation_error(label, value), None, "{label} {value}");
        }
        for (label, value, words) in [
            (
                "kubelet_options",
                "--v=4 max-pods=20",
                "\"max-pods=20\" is no flag",
            ),
            ("kubelet_options", "-v=4", "\"-v=4\" is no flag"),
            ("kubelet_options", "--v 4", "\"4\" is no flag"),
            ("kubelet_options", "--", "\"--\" is no flag"),
            (
                "kubelet_options",
                "--kubeconfig=/x",
                "--kubeconfig cannot be given",
            ),
            ("kubelet_options", "--node_ip=1.2.3.4", "--node-ip cannot"),
            ("kubelet_options", "--version", "--version cannot"),
            (
                "kubeapi_options",
                "--etcd-servers=http://x",
                "--etcd-servers cannot",
            ),
            (
                "kubeapi_options",
                "--enable-admission-plugins=X",
                "admission_control_list",
            ),
            ("kubeproxy_options", "--cleanup", "--cleanup cannot"),
        ] {
            let why = validation_error(label, value).unwrap();
            assert!(why.contains(words) && why.contains(label), "{why}");
        }
        assert_eq!(
            plugin_list_error("NodeRestriction, PodSecurityPolicy"),
            None
        );
        assert!(
            plugin_list_error("A,,B")
                .unwrap()
                .contains("\"\" is no name")
        );
    }
}
