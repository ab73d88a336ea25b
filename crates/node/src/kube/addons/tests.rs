//! Add-ons selected by labels, and their objects.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use nodewire::{KubePlan, Role};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::catalogue::{AddonSpec, CATALOGUE, Options};
use super::images::AddonImages;
use super::installer::AddonInstaller;
use super::metadata::{OURS, is_ours, meta};
use super::*;
use crate::kube::observe::tests::peers;
use crate::kube::plan::tests::{facts, golden};
use crate::kube::tests::{ReceivedRequest, ScriptedAnswer, kubernetes, none, ok, within};

fn plan(labels: &[(&str, &str)]) -> KubePlan {
    let mut plan = facts(Role::Manager, 36).plan;
    for (label, value) in labels {
        plan.options.insert((*label).into(), (*value).into());
    }
    plan
}

fn all_images() -> AddonImages {
    CATALOGUE
        .iter()
        .flat_map(|spec| spec.images)
        .map(|part| ((*part).to_owned(), format!("jeroboam/{part}:1")))
        .collect()
}

fn requested(installer: &AddonInstaller, plan: &KubePlan) -> Vec<&'static str> {
    let is_requested = |spec: &&AddonSpec| installer.requested_value(spec, &plan.options).is_some();
    CATALOGUE
        .iter()
        .filter(is_requested)
        .map(|p| p.name)
        .collect()
}

#[test]
fn labels_select_add_ons_and_one_is_on_by_default() {
    let installer = AddonInstaller::with(Some(all_images()));
    assert_eq!(requested(&installer, &plan(&[])), ["metrics-server"]);
    let off = plan(&[
        ("metrics_server_enabled", "False"),
        ("monitoring_enabled", " true"),
        ("ingress_controller", ""),
    ]);
    assert_eq!(requested(&installer, &off), ["monitoring"]);
    // The distribution of a foreign image has its own add-ons.
    let foreign = AddonInstaller::with(None);
    assert!(requested(&foreign, &plan(&[])).is_empty());
    let named = plan(&[("metrics_server_enabled", "true")]);
    assert_eq!(requested(&foreign, &named), ["metrics-server"]);
}

#[test]
fn unavailable_add_ons_are_reported() {
    let [_, monitoring, ingress, ..] = &CATALOGUE;
    let mut addon_images = all_images();
    assert_eq!(monitoring.missing_requirement("true", &addon_images), None);
    addon_images.remove("prometheus");
    assert_eq!(
        monitoring
            .missing_requirement("true", &addon_images)
            .unwrap(),
        "label monitoring_enabled: the node image does not hold the image of prometheus"
    );
    assert_eq!(ingress.missing_requirement("Traefik", &addon_images), None);
    let why = ingress.missing_requirement("nginx", &addon_images).unwrap();
    assert!(why.contains("no image of nginx"), "{why}");
}

#[test]
fn labels_from_the_server_take_precedence() {
    let installer = AddonInstaller::with(Some(all_images()));
    let kept = plan(&[("monitoring_enabled", "true")]);
    assert_eq!(installer.plan(&kept).options, kept.options);
    installer.set_options(&Options::new());
    assert!(installer.plan(&kept).options.is_empty());
}

#[test]
fn objects_match_the_golden_files() {
    let plan = plan(&[("monitoring_interval_seconds", "5")]);
    let addon_images = all_images();
    for spec in CATALOGUE.iter().take(3) {
        let mut out = String::new();
        for object in (spec.objects)(&plan, &addon_images) {
            assert!(is_ours(&object), "{object:#}");
            apply::path_of(&object).unwrap();
            let _ = writeln!(out, "{object:#}");
        }
        golden(&format!("{}.json", spec.name), &out);
    }
}

fn ready_node() -> ScriptedAnswer {
    let node = json!({ "metadata": { "name": "k-node-0" },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let event = json!({ "type": "ADDED", "object": node });
    (200, None, format!("{event}\n"))
}

/// The API of a cluster with a Prometheus created by `owner`.
fn cluster(owner: &'static str) -> impl Fn(&ReceivedRequest) -> ScriptedAnswer {
    let secret = Mutex::new(false);
    move |asked: &ReceivedRequest| {
        let (method, path) = asked.0.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let mut created = secret.lock().unwrap();
        match (method, path.rsplit('/').next().unwrap()) {
            ("GET", "nodes") => ready_node(),
            ("GET", "deployments") => {
                let condition = json!([{ "type": "Available", "status": "True" }]);
                let now = json!({ "status": { "conditions": condition } });
                let event = json!({ "type": "ADDED", "object": now });
                (200, None, format!("{event}\n"))
            }
            ("POST", "secrets") => {
                *created = true;
                (201, None, asked.2.to_string())
            }
            ("GET", "metrics-server-tls") if *created => {
                let mut secret = json!({ "metadata": meta("metrics-server-tls", None) });
                secret["data"]["tls.crt"] = json!("cGVt");
                ok(&secret)
            }
            ("GET", _) if path.contains("monitoring") || path.contains("prometheus") => {
                ok(&json!({ "metadata": { "labels": { OURS.0: owner } } }))
            }
            ("GET", _) => none(),
            _ => ok(&asked.2),
        }
    }
}

async fn kept(owner: &'static str) -> (Vec<String>, Vec<Value>) {
    let dir = tempfile::tempdir().unwrap();
    let (fake, api) = kubernetes(dir.path()).await;
    let requests = fake.requests.clone();
    let (_peers, known) = watch::channel(Some(peers()));
    let installer = AddonInstaller::with(Some(all_images()));
    let plan = plan(&[]);
    let service = "PATCH /apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
    let last = |line: &String| line.contains("namespaces/monitoring") && line.contains("DELETE");
    let work = async {
        tokio::select! {
            () = installer.keep(&api, &plan, &known) => {}
            () = async {
                loop {
                    let lines = requests.lines();
                    let removed = owner != "jeroboam" || lines.iter().any(last);
                    if removed && lines.iter().any(|l| l.starts_with(service)) {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            } => {}
        }
    };
    within(fake, Arc::new(cluster(owner)), work).await;
    (requests.lines(), requests.bodies(service))
}

#[tokio::test]
async fn labels_install_verified_add_ons_and_remove_ours() {
    let (lines, services) = kept("jeroboam").await;
    assert!(lines[0].starts_with("GET /api/v1/nodes?watch"), "{lines:?}");
    assert_eq!(services[0]["spec"]["caBundle"], "cGVt");
    let at = |what: &str| lines.iter().position(|l| l.contains(what)).unwrap();
    assert!(at("deployments?watch") < at("v1beta1.metrics.k8s.io"));
    let created = lines.iter().filter(|l| l.starts_with("POST")).count();
    assert_eq!(created, 1, "{lines:?}");
    let deleted = |what: &str| {
        lines
            .iter()
            .any(|l| l.starts_with("DELETE") && l.contains(what))
    };
    assert!(deleted("deployments/prometheus"), "{lines:?}");
    assert!(!deleted("metrics-server"), "{lines:?}");
}

#[tokio::test]
async fn objects_of_others_are_not_removed() {
    let (lines, _) = kept("Helm").await;
    assert!(!lines.iter().any(|l| l.starts_with("DELETE")), "{lines:?}");
}
