//! Which add-ons labels ask for, and what they are made of.

use std::fmt::Write as _;

use super::*;
use crate::kube::plan::tests::{facts, golden};

fn plan(labels: &[(&str, &str)]) -> KubePlan {
    let mut plan = facts(Role::Manager, 36).plan;
    for (label, value) in labels {
        plan.options.insert((*label).into(), (*value).into());
    }
    plan
}

fn all_held() -> Held {
    CATALOGUE
        .iter()
        .flat_map(|parts| parts.images)
        .map(|part| ((*part).to_owned(), format!("jeroboam/{part}:1")))
        .collect()
}

fn asked(desk: &Desk, plan: &KubePlan) -> Vec<&'static str> {
    let wanted = |parts: &&Parts| desk.asked(parts, &plan.options).is_some();
    CATALOGUE.iter().filter(wanted).map(|p| p.name).collect()
}

#[test]
fn labels_ask_and_one_is_on_by_itself() {
    let desk = Desk::with(Some(all_held()));
    assert_eq!(asked(&desk, &plan(&[])), ["metrics-server"]);
    let off = plan(&[
        ("metrics_server_enabled", "False"),
        ("monitoring_enabled", " true"),
        ("ingress_controller", ""),
    ]);
    assert_eq!(asked(&desk, &off), ["monitoring"]);
    // The distribution of another's image has its own.
    let foreign = Desk::with(None);
    assert!(asked(&foreign, &plan(&[])).is_empty());
    let named = plan(&[("metrics_server_enabled", "true")]);
    assert_eq!(asked(&foreign, &named), ["metrics-server"]);
}

#[test]
fn what_cannot_be_had_is_told() {
    let [_, monitoring, ingress, ..] = &CATALOGUE;
    let mut held = all_held();
    assert_eq!(monitoring.lacks("true", &held), None);
    held.remove("prometheus");
    assert_eq!(
        monitoring.lacks("true", &held).unwrap(),
        "label monitoring_enabled: the node image does not hold the image of prometheus"
    );
    assert_eq!(ingress.lacks("Traefik", &held), None);
    let why = ingress.lacks("nginx", &held).unwrap();
    assert!(why.contains("no image of nginx"), "{why}");
}

#[test]
fn the_server_has_the_last_word_on_labels() {
    let desk = Desk::with(Some(all_held()));
    let kept = plan(&[("monitoring_enabled", "true")]);
    assert_eq!(desk.plan(&kept).options, kept.options);
    desk.ask(&Options::new());
    assert!(desk.plan(&kept).options.is_empty());
}

#[test]
fn objects_are_as_they_were() {
    let plan = plan(&[("monitoring_interval_seconds", "5")]);
    let held = all_held();
    for parts in CATALOGUE.iter().take(3) {
        let mut out = String::new();
        for object in (parts.objects)(&plan, &held) {
            assert!(is_ours(&object), "{object:#}");
            apply::path_of(&object).unwrap();
            let _ = writeln!(out, "{object:#}");
        }
        golden(&format!("{}.json", parts.name), &out);
    }
}
