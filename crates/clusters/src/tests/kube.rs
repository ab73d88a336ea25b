//! Tests of Kubernetes clusters from the template to a resize, with reporting
//! nodes.

use std::collections::BTreeSet;

use orchestration::api::Status;
use serde_json::{Value, json};

use super::fixture::*;
use super::nodes::{node_name, session};

fn body() -> Value {
    json!({ "name": "k", "coe": "kubernetes", "image_id": "kube", "external_network_id": "public",
        "keypair_id": "kp", "flavor_id": "m1.small", "master_flavor_id": "m1.small",
        "dns_nameserver": "9.9.9.9,1.1.1.1" })
}

async fn post(w: &Fixture, path: &str, body: Value) -> TestResponse {
    w.call(ALICE, "POST", path, Some(body)).await
}

fn detail(got: &TestResponse) -> String {
    got.body["errors"][0]["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A cluster of one master and two workers, accepted, with these labels.
pub(super) async fn accepted(w: &Fixture, labels: Value) -> String {
    let got = post(w, "/v1/clustertemplates", body()).await;
    assert_eq!(got.status, 201, "{}", got.body);
    assert_eq!(got.body["network_driver"], "flannel");
    assert_eq!(got.body["driver"], "k8s_docker_v1");
    let new =
        json!({ "name": "c1", "cluster_template_id": "k", "node_count": 2, "labels": labels });
    let got = post(w, "/v1/clusters", new).await;
    assert_eq!(got.status, 202, "{}", got.body);
    w.settle().await;
    got.body["uuid"].as_str().unwrap().to_owned()
}

/// Masters have addresses from 10.64.0.10, workers from 10.64.0.20.
fn address(word: &str, index: &str) -> String {
    let base = if word == "master" { 10 } else { 20 };
    format!("10.64.0.{}", base + index.parse::<u8>().unwrap())
}

pub(super) async fn hello(w: &Fixture, cluster: &str, word: &str, index: &str) -> TestResponse {
    let body = json!({ "cluster": cluster, "node": node_name(w, word, index),
        "token": w.token(word, index), "session": session(&format!("{word}{index}")),
        "addresses": [address(word, index)], "boot": 1 });
    let got = w.node("", "POST", "hello", body).await;
    assert_eq!(got.status, 200, "{}", got.body);
    got
}

pub(super) async fn ready(w: &Fixture, cluster: &str, word: &str, index: &str) {
    hello(w, cluster, word, index).await;
    let s = session(&format!("{word}{index}"));
    let got = w.node(&s, "POST", "ready", json!({ "node_id": "x" })).await;
    assert_eq!(got.status, 204, "{}", got.body);
}

pub(super) async fn built(w: &Fixture, labels: Value) -> String {
    let id = accepted(w, labels).await;
    for (word, index) in [("master", "0"), ("node", "0"), ("node", "1")] {
        ready(w, &id, word, index).await;
    }
    w.complete().await;
    assert_eq!(w.show(&id).await["status"], "CREATE_COMPLETE");
    id
}

#[tokio::test]
async fn templates_are_checked_with_the_texts_of_magnum() {
    let w = Fixture::new().await;
    let with = |key: &str, value: Value| {
        let mut b = body();
        b[key] = value;
        b
    };
    for (given, text) in [
        (
            with("network_driver", json!("docker")),
            "Network driver type docker is not supported, expecting a flannel/calico/unspecified network driver.",
        ),
        (
            with("volume_driver", json!("rexray")),
            "Volume driver type rexray is not supported, expecting a cinder/unspecified volume driver.",
        ),
        (
            with("tls_disabled", json!(true)),
            "tls_disabled: the kubernetes driver serves the API with TLS only; leave it unset.",
        ),
        (
            with("apiserver_port", json!(10250)),
            "apiserver_port: 10250 is used by another part of Kubernetes; choose 6443 or a free one.",
        ),
        (
            with("labels", json!({ "kube_dashboard_enabled": "perhaps" })),
            "property \"labels/kube_dashboard_enabled\" with value \"perhaps\" is not supported, \
             supported values are: true, false, unspecified",
        ),
        (
            with(
                "labels",
                json!({ "service_cluster_ip_range": "10.100.4.0/22" }),
            ),
            "property \"labels/flannel_network_cidr\" with value \"10.100.0.0/16\" is not \
             supported, supported values are: a range that does not overlap with the services' 10.100.4.0/22",
        ),
        (
            with("labels", json!({ "fixed_subnet_cidr": "10.100.7.0/24" })),
            "fixed_subnet_cidr: 10.100.7.0/24 overlaps with the range of the pods, 10.100.0.0/16.",
        ),
        (
            with("driver", json!("swarm_docker_v1")),
            "Cluster driver (swarm_docker_v1) not supported.",
        ),
    ] {
        let got = post(&w, "/v1/clustertemplates", given).await;
        assert_eq!((got.status, detail(&got)), (400, text.to_owned()));
    }
    let mut named = with("coe", json!("k8s"));
    named["labels"] = json!({ "prometheus_monitoring": "true", "my_own": "x" });
    named["driver"] = json!("k8s_fedora_coreos_v1");
    let got = post(&w, "/v1/clustertemplates", named).await;
    assert_eq!(got.status, 201, "{}", got.body);
    assert_eq!(got.body["coe"], "kubernetes");
    assert_eq!(got.body["driver"], "k8s_fedora_coreos_v1");

    let new = |more: Value| {
        let mut b = json!({ "name": "c", "cluster_template_id": "k" });
        b.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        b
    };
    for (given, text) in [
        (
            new(json!({ "master_flavor_id": "m1.tiny" })),
            "Flavor m1.tiny has 512 MiB of memory; a master needs at least 1024 MiB.",
        ),
        (
            new(json!({ "flavor_id": "m1.nano" })),
            "Flavor m1.nano has 128 MiB of memory; a worker needs at least 256 MiB.",
        ),
        (
            new(json!({ "labels": { "kubelet_options": "--v=4 max-pods=9" } })),
            "labels/kubelet_options: \"max-pods=9\" is no flag; each word begins with -- and holds \
             its value, such as --v=4.",
        ),
        (
            new(json!({ "labels": { "kubeapi_options": "--etcd-servers=http://x" } })),
            "labels/kubeapi_options: the flag --etcd-servers cannot be given: it is reserved \
             for the nodes; leave it out.",
        ),
        (
            new(json!({ "labels": { "admission_control_list": "A B" } })),
            "labels/admission_control_list: \"A B\" is no name of an admission plug-in; give names \
             separated by commas, such as NodeRestriction,AlwaysPullImages.",
        ),
        (
            new(json!({ "master_count": 2 })),
            "master nodegroup size of 2 is invalid, size cannot be an even number.",
        ),
        (
            new(json!({ "node_count": 4, "labels": { "flannel_network_cidr": "10.100.0.0/22" } })),
            "The pod range 10.100.0.0/22 is large enough for 4 nodes with a /24 each, not for 5; choose a \
             larger range by the label of the network driver.",
        ),
        (
            new(
                json!({ "fixed_network": "private", "labels": { "calico_ipv4pool": "10.8.0.0/14" } }),
            ),
            "fixed_subnet: 10.9.0.0/24 overlaps with the range of the pods, 10.8.0.0/14.",
        ),
        (
            new(json!({ "labels": { "pods_network_cidr": "172.30.0.0/16" } })),
            "property \"labels/pods_network_cidr\" with value \"172.30.0.0/16\" is not \
             supported, supported values are: ranges outside of 172.30.0.0/15, from which the \
             nodes get their addresses unless the label fixed_subnet_cidr gives them others",
        ),
        (
            new(json!({ "labels": { "service_cluster_ip_range": "172.31.7.0/24" } })),
            "property \"labels/service_cluster_ip_range\" with value \"172.31.7.0/24\" is not \
             supported, supported values are: ranges outside of 172.30.0.0/15, from which the \
             nodes get their addresses unless the label fixed_subnet_cidr gives them others",
        ),
        (
            new(json!({ "node_count": 1, "labels": { "min_node_count": "5" } })),
            "labels/min_node_count is invalid (min_node_count (5) should be less or equal to \
             node_count (1)).",
        ),
    ] {
        let got = post(&w, "/v1/clusters", given).await;
        assert_eq!((got.status, detail(&got)), (400, text.to_owned()));
    }
}

#[tokio::test]
async fn a_welcome_contains_the_plan_and_a_unique_pod_range() {
    let w = Fixture::new().await;
    let id = accepted(&w, json!({ "availability_zone": "z1" })).await;
    {
        let heat = w.heat.lock();
        let hot: Value = serde_json::from_str(&heat.template).unwrap();
        let text = heat.template.replace('\\', "");
        assert!(text.contains(r#""coe":"kubernetes""#), "{text}");
        let rules = hot["resources"]["secgroup"]["properties"]["rules"].to_string();
        for port in ["6443", "2379", "10250", "8472", "30000"] {
            assert!(rules.contains(port), "{port} in {rules}");
        }
    }
    let master = hello(&w, &id, "master", "0").await.body;
    assert_eq!(master["first_manager"], true);
    assert_eq!(master["swarm"], Value::Null);
    let plan = &master["kubernetes"];
    for (key, value) in [
        ("cluster_domain", json!("cluster.local")),
        ("service_cidr", json!("10.254.0.0/16")),
        ("service_ip", json!("10.254.0.1")),
        ("dns_ip", json!("10.254.0.10")),
        ("pod_cidr", json!("10.100.0.0/16")),
        ("upstream_dns", json!(["9.9.9.9", "1.1.1.1"])),
        ("taint_masters", json!(true)),
        ("api_port", json!(6443)),
        ("masters", json!(1)),
        ("options", json!({ "availability_zone": "z1" })),
        (
            "node_labels",
            json!({ "magnum.openstack.org/nodegroup": "default-master",
                "magnum.openstack.org/role": "master",
                "node-role.kubernetes.io/control-plane": "",
                "node-role.kubernetes.io/master": "", "topology.kubernetes.io/zone": "z1" }),
        ),
    ] {
        assert_eq!(plan[key], value, "{key}");
    }
    let key = plan["service_account_key"].as_str().unwrap();
    assert!(key.starts_with("-----BEGIN EC PRIVATE KEY-----"));
    let mut ranges = BTreeSet::from([plan["node_pod_cidr"].as_str().unwrap().to_owned()]);
    for index in ["0", "1"] {
        let got = hello(&w, &id, "node", index).await.body;
        assert_eq!(got["kubernetes"]["service_account_key"], Value::Null);
        assert_eq!(
            got["kubernetes"]["node_labels"]["magnum.openstack.org/nodegroup"],
            "default-worker"
        );
        ranges.insert(
            got["kubernetes"]["node_pod_cidr"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let wanted = ["10.100.0.0/24", "10.100.1.0/24", "10.100.2.0/24"];
    assert_eq!(
        ranges.iter().map(String::as_str).collect::<Vec<_>>(),
        wanted
    );
    let again = hello(&w, &id, "master", "0").await.body;
    assert_eq!(again["kubernetes"], *plan);
    let rows =
        w.db.query(
            "SELECT etcd_ca_key, front_ca_key, token_key FROM magnum_kube",
            vec![],
        )
        .await
        .unwrap();
    for column in ["etcd_ca_key", "front_ca_key", "token_key"] {
        assert!(rows[0].text(column).unwrap().starts_with("jbs1."));
    }
}

#[tokio::test]
async fn labels_shape_the_plan() {
    let w = Fixture::new().await;
    let labels = json!({ "service_cluster_ip_range": "10.20.0.0/20", "dns_cluster_domain": "k8s.test",
        "pods_network_cidr": "10.30.0.0/16", "flannel_network_subnetlen": "25" });
    let id = accepted(&w, labels).await;
    let got = hello(&w, &id, "node", "1").await.body;
    let plan = &got["kubernetes"];
    for (key, value) in [
        ("cluster_domain", "k8s.test"),
        ("service_ip", "10.20.0.1"),
        ("dns_ip", "10.20.0.10"),
        ("pod_cidr", "10.30.0.0/16"),
        ("node_pod_cidr", "10.30.1.0/25"),
    ] {
        assert_eq!(plan[key], value, "{key}");
    }
}

#[tokio::test]
async fn peers_are_reported_when_they_join_and_leave() {
    let w = Fixture::new().await;
    let id = accepted(&w, json!({})).await;
    hello(&w, &id, "node", "0").await;
    let s = session("node0");
    let first = w.node(&s, "GET", "peers", Value::Null).await.body;
    assert_eq!(first["api"], Value::Null);
    assert_eq!(first["nodes"][0]["address"], "10.64.0.20");
    let version = first["version"].as_str().unwrap();
    let path = format!("peers?known={version}&wait=0");
    assert_eq!(w.node(&s, "GET", &path, Value::Null).await.status, 204);
    let path = format!("peers?known={version}&wait=20");
    let (news, _) = tokio::join!(
        w.node(&s, "GET", &path, Value::Null),
        hello(&w, &id, "master", "0")
    );
    assert_eq!(news.body["api"], "10.64.0.10:6443");
    assert_eq!(
        news.body["nodes"][0],
        json!({ "node": node_name(&w, "master", "0"), "role": "manager",
            "address": "10.64.0.10", "pod_cidr": "10.100.0.0/24" })
    );
    assert_eq!(news.body["nodes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn health_has_the_format_of_magnum() {
    let w = Fixture::new().await;
    let id = built(&w, json!({})).await;
    let shown = w.show(&id).await;
    assert_eq!(shown["api_address"], "https://10.64.0.2:6443");
    let seen = |ready: usize, problem: Value| {
        let names = [("master", "0"), ("node", "0"), ("node", "1")];
        let nodes: Vec<Value> = names
            .iter()
            .enumerate()
            .map(|(i, (word, index))| {
                let state = if i < ready { "ready" } else { "unknown" };
                json!({ "hostname": node_name(&w, word, index), "id": "x", "role": "worker",
                    "availability": "active", "state": state, "addr": "", "reachability": null,
                    "leader": false })
            })
            .collect();
        json!({ "nodes": nodes, "ipvs": false, "version": "v1.36.3", "problem": problem,
            "addons": [{ "name": "coredns", "state": "ready" }] })
    };
    let master = session("master0");
    let post = async |body: Value| w.node(&master, "POST", "observed", body).await.status;
    let s = session("node0");
    let got = w.node(&s, "POST", "observed", seen(3, Value::Null)).await;
    assert_eq!(got.status, 403);
    assert_eq!(post(seen(3, Value::Null)).await, 204);
    let shown = w.show(&id).await;
    let name = |word, index| format!("{}.Ready", node_name(&w, word, index));
    assert_eq!(shown["health_status"], "HEALTHY");
    assert_eq!(
        shown["health_status_reason"],
        json!({ "api": "ok", name("master", "0"): "True", name("node", "0"): "True",
            name("node", "1"): "True" })
    );
    assert_eq!(shown["coe_version"], "v1.36.3");
    assert_eq!(shown["container_version"], Value::Null);
    let own = w
        .own_target(ALICE, &format!("/clusters/{id}/progress"))
        .await;
    assert_eq!(
        own.body["addons"],
        json!([{ "name": "coredns", "state": "ready", "reason": "" }])
    );
    assert_eq!(post(seen(2, Value::Null)).await, 204);
    let shown = w.show(&id).await;
    assert_eq!(shown["health_status"], "UNHEALTHY");
    assert_eq!(
        shown["health_status_reason"][name("node", "1")],
        json!("Unknown")
    );
    assert_eq!(post(seen(3, json!("etcd has no leader"))).await, 204);
    assert_eq!(
        w.show(&id).await["health_status_reason"],
        json!({ "api": "etcd has no leader" })
    );
}

#[tokio::test]
async fn a_delegated_health_is_left_alone() {
    let w = Fixture::new().await;
    let labels =
        json!({ "auto_healing_enabled": "True", "auto_healing_controller": "magnum-auto-healer" });
    let id = built(&w, labels).await;
    let seen = json!({ "nodes": [], "ipvs": false, "version": "v1.36.3" });
    let got = w.node(&session("master0"), "POST", "observed", seen).await;
    assert_eq!(got.status, 204);
    let shown = w.show(&id).await;
    assert_eq!(shown["health_status"], Value::Null);
    assert_eq!(shown["coe_version"], "v1.36.3");
}

#[tokio::test]
async fn failures_name_node_step_log_and_what_to_do() {
    for (step, log, hint) in [
        (
            "kubelet",
            "listen tcp :10250: bind: address already in use",
            "Another process of this node uses the port",
        ),
        ("etcd", "exited with 1", "etcd did not start"),
        ("images", "unexpected EOF", "The node image is incomplete"),
        ("apiserver", "signal: killed", "Choose a larger flavor"),
    ] {
        let w = Fixture::new().await;
        let id = accepted(&w, json!({})).await;
        hello(&w, &id, "node", "0").await;
        let body =
            json!({ "steps": [{ "name": step, "status": "failed", "at_micros": 5, "log": log }] });
        let got = w.node(&session("node0"), "POST", "steps", body).await;
        assert_eq!(got.status, 204);
        w.stack(|s| {
            let s = s.as_mut().unwrap();
            s.status = Status::Failed;
            s.status_reason = "WaitConditionFailure".into();
        })
        .await;
        let shown = w.show(&id).await;
        assert_eq!(shown["status"], "CREATE_FAILED");
        let why = shown["status_reason"].as_str().unwrap();
        let name = node_name(&w, "node", "0");
        let start = format!("Node {name}: step {step} failed: {log}. {hint}");
        assert!(why.starts_with(&start), "{why}");
        assert_eq!(shown["faults"]["default-worker"], why);
    }
}
