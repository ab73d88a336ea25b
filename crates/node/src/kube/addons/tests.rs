//! Add-ons selected by labels, and their objects.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use nodewire::{KubePlan, Role};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::catalogue::{CATALOGUE, Options, Parts};
use super::images::AddonImages;
use super::installer::AddonInstaller;
use super::metadata::{OURS, is_ours, meta};
use super::*;
use crate::kube::observe::tests::peers;
use crate::kube::plan::tests::{facts, golden};
use crate::kube::tests::{Asked, Said, kubernetes, none, ok, within};

fn plan(labels: &[(&str, &str)]) -> KubePlan {
    let mut plan = facts(Role::Manager, 36).plan;
    for (label, value) in labels {
        plan.options.insert((*label).into(), (*value).into());
    }
    plan
}

fn all_held() -> AddonImages {
    CATALOGUE
        .iter()
        .flat_map(|parts| parts.images)
        .map(|part| ((*part).to_owned(), format!("jeroboam/{part}:1")))
        .collect()
}

fn asked(installer: &AddonInstaller, plan: &KubePlan) -> Vec<&'static str> {
    let wanted = |parts: &&Parts| installer.asked(parts, &plan.options).is_some();
    CATALOGUE.iter().filter(wanted).map(|p| p.name).collect()
}

#[test]
fn labels_select_add_ons_and_one_is_on_by_default() {
    let installer = AddonInstaller::with(Some(all_held()));
    assert_eq!(asked(&installer, &plan(&[])), ["metrics-server"]);
    let off = plan(&[
        ("metrics_server_enabled", "False"),
        ("monitoring_enabled", " true"),
        ("ingress_controller", ""),
    ]);
    assert_eq!(asked(&installer, &off), ["monitoring"]);
    // The distribution of a foreign image has its own add-ons.
    let foreign = AddonInstaller::with(None);
    assert!(asked(&foreign, &plan(&[])).is_empty());
    let named = plan(&[("metrics_server_enabled", "true")]);
    assert_eq!(asked(&foreign, &named), ["metrics-server"]);
}

#[test]
fn unavailable_add_ons_are_reported() {
    let [_, monitoring, ingress, ..] = &CATALOGUE;
    let mut addon_images = all_held();
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
    let installer = AddonInstaller::with(Some(all_held()));
    let kept = plan(&[("monitoring_enabled", "true")]);
    assert_eq!(installer.plan(&kept).options, kept.options);
    installer.ask(&Options::new());
    assert!(installer.plan(&kept).options.is_empty());
}

#[test]
fn objects_are_as_they_were() {
    let plan = plan(&[("monitoring_interval_seconds", "5")]);
    let addon_images = all_held();
    for parts in CATALOGUE.iter().take(3) {
        let mut out = String::new();
        for object in (parts.objects)(&plan, &addon_images) {
            assert!(is_ours(&object), "{object:#}");
            apply::path_of(&object).unwrap();
            let _ = writeln!(out, "{object:#}");
        }
        golden(&format!("{}.json", parts.name), &out);
    }
}

fn ready_node() -> Said {
    let node = json!({ "metadata": { "name": "k-node-0" },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let event = json!({ "type": "ADDED", "object": node });
    (200, None, format!("{event}\n"))
}

/// The API of a cluster with a Prometheus created by `owner`.
fn cluster(owner: &'static str) -> impl Fn(&Asked) -> Said {
    let secret = Mutex::new(false);
    move |asked: &Asked| {
        let (method, path) = asked.0.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let mut made = secret.lock().unwrap();
        match (method, path.rsplit('/').next().unwrap()) {
            ("GET", "nodes") => ready_node(),
            ("GET", "deployments") => {
                let condition = json!([{ "type": "Available", "status": "True" }]);
                let now = json!({ "status": { "conditions": condition } });
                let event = json!({ "type": "ADDED", "object": now });
                (200, None, format!("{event}\n"))
            }
            ("POST", "secrets") => {
                *made = true;
                (201, None, asked.2.to_string())
            }
            ("GET", "metrics-server-tls") if *made => {
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
    let heard = fake.heard.clone();
    let (_peers, known) = watch::channel(Some(peers()));
    let installer = AddonInstaller::with(Some(all_held()));
    let plan = plan(&[]);
    let service = "PATCH /apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
    let last = |line: &String| line.contains("namespaces/monitoring") && line.contains("DELETE");
    let work = async {
        tokio::select! {
            () = installer.keep(&api, &plan, &known) => {}
            () = async {
                loop {
                    let lines = heard.lines();
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
    (heard.lines(), heard.bodies(service))
}

#[tokio::test]
async fn labels_install_verified_and_remove_what_is_ours() {
    let (lines, services) = kept("jeroboam").await;
    assert!(lines[0].starts_with("GET /api/v1/nodes?watch"), "{lines:?}");
    assert_eq!(services[0]["spec"]["caBundle"], "cGVt");
    let at = |what: &str| lines.iter().position(|l| l.contains(what)).unwrap();
    assert!(at("deployments?watch") < at("v1beta1.metrics.k8s.io"));
    let made = lines.iter().filter(|l| l.starts_with("POST")).count();
    assert_eq!(made, 1, "{lines:?}");
    let gone = |what: &str| {
        lines
            .iter()
            .any(|l| l.starts_with("DELETE") && l.contains(what))
    };
    assert!(gone("deployments/prometheus"), "{lines:?}");
    assert!(!gone("metrics-server"), "{lines:?}");
}

#[tokio::test]
async fn what_others_installed_stays() {
    let (lines, _) = kept("Helm").await;
    assert!(!lines.iter().any(|l| l.starts_with("DELETE")), "{lines:?}");
}
