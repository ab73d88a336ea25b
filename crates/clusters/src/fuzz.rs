//! Fuzz targets of request bodies, lists, reports of agents and stored values.
//! `./x fuzz` runs them, and the tests replay their corpora.

use axum::http::HeaderMap;
use rest::RequestBody;
use serde_json::{Map, Value, json};

use crate::RangePools;
use crate::bootstrap::ops as bootstrap;
use crate::certificate::wire::SignBody;
use crate::cluster::master_reports::MasterReports;
use crate::cluster::model::{Cluster, Intent};
use crate::cluster::new::NewCluster;
use crate::cluster::ops as clusters;
use crate::cluster::progress;
use crate::cluster::wire::{ResizeBody, UpgradeBody};
use crate::coe::Coe;
use crate::coe::kubernetes::networks::Networks;
use crate::fields;
use crate::listing;
use crate::node::table::Shown;
use crate::node::{Node, NodeStatus, TaskKind, TaskStatus};
use crate::patch::{self, Patch, Patchable, Rules};
use crate::status::Status;
use crate::template;
use crate::template::Template;
use crate::template::model::NewTemplate;

const ENGINES: [Coe; 2] = [Coe::Kubernetes, Coe::Swarm];
const DRIVERS: [Option<&str>; 3] = [None, Some("flannel"), Some("calico")];

fn json(bytes: &[u8]) -> Option<Value> {
    rest::body::json(bytes, &HeaderMap::new()).ok()
}

/// A patch of a template (the first byte is even) or of a cluster.
pub fn patch(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let body = json(bytes);
    if choice % 2 == 0 {
        patch_template(body);
    } else {
        patch_cluster(body);
    }
}

fn example() -> Option<Template> {
    let body = json!({"name": "t", "coe": "kubernetes", "image_id": "k8s", "labels": {"a": "b"},
        "external_network_id": "public", "network_driver": "flannel"});
    NewTemplate::read(Some(body)).ok().map(|new| new.0)
}

fn patch_template(body: Option<Value>) {
    let (Some(before), Ok(patch)) = (example(), Patch::<Template>::read(body)) else {
        return;
    };
    let changes = patch.changes;
    let Ok(after) = before.patched(&changes) else {
        return;
    };
    assert_eq!(
        (&after.uuid, &after.project_id),
        (&before.uuid, &before.project_id)
    );
    let touched = |root: &str| changes.iter().any(|c| c.root == root);
    assert!(touched("labels") || after.labels == before.labels);
    assert!(touched("image_id") || after.image_id == before.image_id);
    let _ = template::model::is_allowed_while_in_use(&changes);
    check_template(after);
}

/// The checks set defaults, and accept what they have set.
fn check_template(mut template: Template) {
    if template.check(&RangePools::default()).is_ok() {
        let checked = template.clone();
        assert!(template.check(&RangePools::default()).is_ok());
        assert_eq!(template, checked);
        // A template that is shown can be sent again.
        let same = checked.patched(&[]);
        assert_eq!(same.ok(), Some(checked));
    }
}

fn patch_cluster(body: Option<Value>) {
    let cluster = Cluster {
        health_status_reason: json!({}),
        ..Cluster::default()
    };
    let Ok(patch) = Patch::<Cluster>::read(body) else {
        return;
    };
    if let Ok(next) = clusters::patched(&cluster, &[], &patch.changes) {
        let _ = clusters::parse_health(&next);
    }
}

/// An object without rules.
struct Anything;

impl Patchable for Anything {
    const RULES: Rules<'static> = Rules {
        internal: &[],
        mandatory: &[],
    };
}

/// A patch with the rules of no resource, on a map of the patch itself.
pub fn patch_any(data: &[u8]) {
    let Ok(patch) = Patch::<Anything>::read(json(data)) else {
        return;
    };
    let changes = patch.changes;
    let mut map: Map<String, Value> = changes
        .iter()
        .map(|c| (c.root.clone(), Value::Null))
        .collect();
    let roots = map.len();
    let _ = patch::apply(&mut map, &changes);
    assert_eq!(map.len(), roots, "a patch adds no attributes");
}

/// The body of a POST; the first byte selects the resource.
pub fn bodies(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let body = json(bytes);
    match choice % 4 {
        0 => {
            if let Ok(NewTemplate(template)) = NewTemplate::read(body) {
                check_template(template);
            }
        }
        1 => {
            let (Ok(new), Some(template)) = (NewCluster::read(body), example()) else {
                return;
            };
            let labels = new.merged_labels(&template);
            let _ = fields::check_labels_size("labels", &labels);
        }
        2 => other_body(body),
        _ => labels(body),
    }
}

/// The smaller bodies.
fn other_body(body: Option<Value>) {
    if let Ok(sign) = SignBody::read(body.clone()) {
        assert!(!sign.cluster.is_empty() && !sign.csr.is_empty());
    }
    if let Ok(resize) = ResizeBody::read(body.clone()) {
        assert!((0..=1000).contains(&resize.count));
        assert!(resize.leave.len() <= 1000);
    }
    let _ = UpgradeBody::read(body);
}

/// Labels, and the ranges that they define.
fn labels(body: Option<Value>) {
    let Some(labels) = body.and_then(|b| fields::check_labels("labels", &b).ok()) else {
        return;
    };
    for engine in ENGINES {
        for driver in DRIVERS {
            let _ = engine.check_labels(&labels, driver, &RangePools::default());
        }
    }
    for driver in DRIVERS {
        let Ok(networks) = Networks::of(&labels, driver) else {
            continue;
        };
        assert!(networks.services.contains(&networks.service_ip()));
        assert!(networks.services.contains(&networks.dns));
        assert!(networks.capacity() > 0);
        let ranges = networks.free(std::iter::empty(), 1);
        assert!(ranges.is_ok_and(|r| r.len() == 1));
    }
    let limit = crate::coe::kubernetes::drain_limit(&labels);
    assert!(!limit.is_zero());
}

/// The query of a list.
pub fn list_query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let query = rest::query::pairs(Some(text));
    let Ok(page) = listing::parse(&query) else {
        return;
    };
    let limit = page.limit.unwrap_or(0);
    assert!((1..=listing::MAX_LIMIT).contains(&limit));
    let last = "6c1e3a2f-5b0d-4f43-9d7e-0a4f0d6f7a11";
    let filters: Vec<(&str, &str)> = query
        .iter()
        .filter(|(name, _)| name == "role")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let link = listing::next("/v1/clusters", &page, &filters, true, Some(last));
    let Some((_, text)) = link.as_deref().and_then(|l| l.split_once('?')) else {
        return;
    };
    // The link asks for the same list.
    let again = rest::query::pairs(Some(text));
    let next = listing::parse(&again);
    assert!(next.is_ok(), "{text}");
    if let Ok(next) = next {
        let same = again.iter().filter(|(name, _)| name == "role");
        let same: Vec<(&str, &str)> = same.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(same, filters, "{text}");
        assert_eq!((next.limit, next.sort_dir), (page.limit, page.sort_dir));
        assert_eq!(next.marker.as_deref(), Some(last));
        let key = page.sort_key.filter(|k| !k.is_empty());
        assert_eq!(next.sort_key, key.or(Some("id".into())), "{text}");
    }
}

/// The reports of an agent, which a tenant may have replaced. The first byte
/// selects the message.
pub fn agent_reports(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    match choice % 3 {
        0 => {
            if let Ok(steps) = serde_json::from_slice::<nodewire::Steps>(bytes) {
                report_steps(&steps);
            }
        }
        1 => {
            if let Ok(seen) = serde_json::from_slice::<nodewire::Observed>(bytes) {
                report_observation(&seen);
            }
        }
        _ => {
            if let Ok(news) = serde_json::from_slice::<nodewire::Published>(bytes)
                && let Some(ca) = &news.ca
            {
                let _ = bootstrap::check_api_ca(ca);
            }
        }
    }
}

fn report_steps(steps: &nodewire::Steps) {
    let mut node = Node {
        status: NodeStatus::Waiting,
        ..Node::default()
    };
    // Every call may arrive twice.
    bootstrap::report(&mut node, steps);
    let once = node.steps.len();
    bootstrap::report(&mut node, steps);
    assert_eq!(node.steps.len(), once);
    assert!(once <= bootstrap::STEPS);
    assert!(node.steps.iter().all(|s| s.log.len() <= bootstrap::LOG));
    bootstrap::fail(&mut node);
    for engine in ENGINES {
        let _ = node.cause(engine);
    }
    let _ = progress::node_progress(shown(&node));
}

fn shown(node: &Node) -> Shown {
    Shown {
        name: node.name.clone(),
        is_master: node.is_master,
        is_balancer: node.is_balancer,
        status: node.status.as_stored().into(),
        steps: db::Json(node.steps.clone()),
        addresses: db::Json(node.addresses.clone()),
    }
}

fn report_observation(seen: &nodewire::Observed) {
    let first = MasterReports::with_report(None, "m-0", seen);
    let both = MasterReports::with_report(Some(first), "m-1", seen);
    let text = serde_json::to_string(&both).unwrap_or_default();
    assert_eq!(MasterReports::read(&text), Some(both));
    let expected = ["m-0".to_owned(), "n-0".to_owned()];
    for engine in ENGINES {
        let (word, _) = engine.evaluate_health(&expected, seen);
        assert!(matches!(word, "HEALTHY" | "UNHEALTHY" | "UNKNOWN"));
    }
}

/// Values of rows, which another release may have written.
pub fn stored_values(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(intent) = Intent::from_stored(text) {
        assert_eq!(intent.as_stored(), text);
    }
    if let Ok(status) = NodeStatus::from_stored(text) {
        assert_eq!(status.as_stored(), text);
    }
    let _ = Coe::from_stored(text);
    if let Ok(kind) = TaskKind::from_stored(text) {
        assert_eq!(kind.as_stored(), text);
    }
    if let Ok(status) = TaskStatus::from_stored(text) {
        assert_eq!(status.as_stored(), text);
    }
    if let Ok(status) = Status::parse("cluster", text) {
        assert_eq!(status.as_stored(), text);
    }
    let _ = MasterReports::read(text);
    let _ = serde_json::from_str::<crate::join_secrets::JoinSecrets>(text);
    if let Ok(networks) = serde_json::from_str::<Networks>(text) {
        let again = serde_json::to_string(&networks).unwrap_or_default();
        assert_eq!(serde_json::from_str(&again).ok(), Some(networks));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpora_pass() {
        testkit::replay("patch", super::patch);
        testkit::replay("patch_any", super::patch_any);
        testkit::replay("bodies", super::bodies);
        testkit::replay("list_query", super::list_query);
        testkit::replay("agent_reports", super::agent_reports);
        testkit::replay("stored_values", super::stored_values);
    }
}
