//! Golden files: flags and files of both roles and several releases.
//! `JEROBOAM_GOLDEN=update` rewrites them.

use std::fmt::Write as _;
use std::path::PathBuf;

use nodewire::{KubePlan, Role};

use super::*;
use crate::kube::{addons, files};

pub(crate) fn facts(role: Role, minor: Minor) -> Facts {
    let plan: KubePlan = serde_json::from_value(serde_json::json!({
        "cluster_domain": "cluster.local",
        "service_cidr": "10.254.0.0/16",
        "service_ip": "10.254.0.1",
        "dns_ip": "10.254.0.10",
        "pod_cidr": "10.100.0.0/16",
        "node_pod_cidr": "10.100.3.0/24",
        "upstream_dns": ["8.8.8.8", "1.1.1.1"],
        "taint_masters": true,
        "api_port": 6443,
        "masters": 1,
        "etcd_join": [],
        "node_labels": {
            "magnum.openstack.org/role": "worker",
            "node-role.kubernetes.io/worker": ""
        },
        "options": {},
    }))
    .unwrap();
    let master = role == Role::Manager;
    Facts {
        node: if master { "k-master-0" } else { "k-node-0" }.into(),
        cluster: "5b9e5b2c-0000-4000-8000-000000000001".into(),
        own: "10.0.0.5".parse().unwrap(),
        role,
        minor,
        plan,
        api: if master {
            "127.0.0.1:6443"
        } else {
            "10.0.0.5:6443"
        }
        .into(),
        members: Vec::new(),
        etcd_known: false,
        memory: None,
        in_user_namespace: false,
    }
}

pub(crate) fn golden(name: &str, now: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/kube/golden")
        .join(name);
    if std::env::var_os("JEROBOAM_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, now, "{name}; JEROBOAM_GOLDEN=update accepts it");
}

fn flags(f: &Facts, all: &[Component]) -> String {
    let mut out = String::new();
    for component in all {
        let _ = writeln!(out, "{}", component.name());
        for argument in f.arguments(*component) {
            let _ = writeln!(out, "  {argument}");
        }
    }
    out
}

const MASTERS: [Component; 6] = [
    Component::Etcd,
    Component::Apiserver,
    Component::ControllerManager,
    Component::Scheduler,
    Component::Kubelet,
    Component::Proxy,
];

#[test]
fn flags_match_the_golden_files() {
    for minor in [20, 35, 36] {
        let text = flags(&facts(Role::Manager, minor), &MASTERS);
        golden(&format!("master-1.{minor}.flags"), &text);
    }
    let text = flags(
        &facts(Role::Worker, 36),
        &[Component::Kubelet, Component::Proxy],
    );
    golden("worker-1.36.flags", &text);
}

#[test]
fn options_are_last_and_removed_plug_ins_are_dropped() {
    let mut f = facts(Role::Manager, 36);
    let list = "NodeRestriction,PodSecurityPolicy,NamespaceLifecycle,LimitRanger,ServiceAccount,\
                ResourceQuota,TaintNodesByCondition,Priority,DefaultTolerationSeconds,\
                DefaultStorageClass,StorageObjectInUseProtection,PersistentVolumeClaimResize,\
                RuntimeClass";
    for (label, value) in [
        ("admission_control_list", list),
        ("kubelet_options", "--max-pods=20 --v=4"),
        ("kubeapi_options", " --runtime-config=api/all=true"),
        ("kubecontroller_options", "--node-monitor-grace-period=20s"),
        ("kubescheduler_options", "--v=2"),
        ("kubeproxy_options", "--v=3"),
        ("etcd_options", "--v=9"),
    ] {
        f.plan.options.insert(label.into(), value.into());
    }
    golden("master-1.36-options.flags", &flags(&f, &MASTERS));
    assert_eq!(left_out(&f), ["PodSecurityPolicy"]);
    f.minor = 20;
    assert!(left_out(&f).is_empty());
}

#[test]
fn etcd_with_peers_names_them_all() {
    let mut f = facts(Role::Manager, 36);
    f.plan.masters = 3;
    f.members = (0..3)
        .map(|i| Member {
            name: format!("k-master-{i}"),
            address: format!("10.0.0.{}", 5 + i),
        })
        .collect();
    golden("etcd-3.flags", &flags(&f, &[Component::Etcd]));
    f.etcd_known = true;
    let again = f.arguments(Component::Etcd);
    assert!(again.contains(&"--initial-cluster-state=existing".into()));
    let elects = f.arguments(Component::Scheduler);
    assert!(elects.contains(&"--leader-elect=true".into()));
}

#[test]
fn files_match_the_golden_files() {
    for (role, minor, name) in [
        (Role::Manager, 36, "master-1.36.files"),
        (Role::Worker, 36, "worker-1.36.files"),
        (Role::Worker, 20, "worker-1.20.files"),
    ] {
        let mut out = String::new();
        for file in files::all(&facts(role, minor)) {
            let _ = writeln!(out, "== {}\n{}", file.path, file.content);
        }
        golden(name, &out);
    }
    let [containerd, _] = files::containerd("jeroboam/pause:1");
    golden("containerd.toml", &containerd.content);
}

#[test]
fn the_flavor_bounds_the_memory_of_pods() {
    let mut f = facts(Role::Worker, 36);
    const GIB: u64 = 1024 * 1024 * 1024;
    f.memory = Some((GIB, 24 * GIB));
    let text = |f: &Facts| {
        files::all(f)
            .into_iter()
            .find(|file| file.path.ends_with("kubelet.json"))
            .unwrap()
            .content
    };
    assert!(text(&f).contains("\"memory\": \"23702Mi\""), "{}", text(&f));
    f.memory = Some((24 * GIB, 24 * GIB));
    assert!(!text(&f).contains("systemReserved"));
}

#[test]
fn coredns_matches_its_golden_file() {
    let f = facts(Role::Manager, 36);
    let mut out = String::new();
    for object in addons::coredns(&f.plan, "jeroboam/coredns:1.14.7") {
        let _ = writeln!(out, "{object:#}");
    }
    golden("coredns.json", &out);
}

#[test]
fn kubelets_may_not_set_every_label() {
    for (label, restricted) in [
        ("node-role.kubernetes.io/worker", true),
        ("kubernetes.io/os", true),
        ("x.k8s.io/y", true),
        ("magnum.openstack.org/role", false),
        ("node.kubernetes.io/instance-type", false),
        ("plain", false),
    ] {
        assert_eq!(is_restricted(label), restricted, "{label}");
    }
}

#[test]
fn images_get_full_names_and_releases_are_read() {
    assert_eq!(full_name("jeroboam/pause:1"), "docker.io/jeroboam/pause:1");
    assert_eq!(full_name("pause"), "docker.io/library/pause");
    assert_eq!(full_name("reg.io:5/p"), "reg.io:5/p");
    let text = r#"{"version":"v1.36.3","images":{"pause":"p","coredns":"c","echo":"e"}}"#;
    assert_eq!(Image::parse(text).unwrap().minor(), 36);
    let e = Image::parse(&text.replace("v1.36.3", "2")).unwrap_err();
    assert!(e.message.contains("v1.36.3"), "{e}");
}
