//! What is installed into a cluster, by server-side apply; and what of it
//! works. The DNS comes with every cluster and completes it; add-ons come by
//! label, once every node is Ready, and nothing waits for them.

mod apply;
mod coredns;
mod ingress;
mod metrics_server;
mod monitoring;
mod state;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel::{Kind, Result};
use nodewire::{Addon, KubePlan, Peers, Role};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use apply::apply;
pub(crate) use coredns::coredns;
pub(crate) use state::{dns_ready, pods_words};

use self::state::addon;
use super::api::Api;
use super::drain;
use super::plan::{IMAGE_FACTS, full_name};
use crate::engine::text;
use crate::report::{plain, say};
use crate::retry::Backoff;

const SYSTEM: &str = "kube-system";
const OURS: (&str, &str) = ("app.kubernetes.io/managed-by", "jeroboam");
/// Selects what we made in a list or a watch.
pub(super) const SELECTOR: &str = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Djeroboam";
/// A node that does not come does not keep add-ons from the others.
const NODES_PATIENCE: Duration = Duration::from_secs(60);

/// Names of the images that the node image brought for add-ons, by part.
type Held = BTreeMap<String, String>;

/// The cluster's labels.
type Options = BTreeMap<String, String>;

/// What an add-on is made of.
struct Parts {
    /// Whether it is there without its label, on nodes of our own.
    default: bool,
    label: &'static str,
    name: &'static str,
    images: &'static [&'static str],
    objects: fn(&KubePlan, &Held) -> Vec<Value>,
}

fn nothing(_: &KubePlan, _: &Held) -> Vec<Value> {
    Vec::new()
}

/// All that labels can ask for. An image that no recipe makes keeps its
/// add-on from being there, and is told.
const CATALOGUE: [Parts; 5] = [
    Parts {
        default: true,
        label: "metrics_server_enabled",
        name: metrics_server::NAME,
        images: &[metrics_server::IMAGE],
        objects: metrics_server::objects,
    },
    Parts {
        default: false,
        label: "monitoring_enabled",
        name: "monitoring",
        images: &[monitoring::PROMETHEUS, monitoring::EXPORTER],
        objects: monitoring::objects,
    },
    Parts {
        default: false,
        label: "ingress_controller",
        name: "ingress",
        images: &[ingress::IMAGE],
        objects: ingress::objects,
    },
    Parts {
        default: false,
        label: "kube_dashboard_enabled",
        name: "dashboard",
        images: &["dashboard"],
        objects: nothing,
    },
    Parts {
        default: false,
        label: "auto_scaling_enabled",
        name: "autoscaler",
        images: &["autoscaler"],
        objects: nothing,
    },
];

impl Parts {
    /// What the label asks for; `None`: nothing.
    fn asked<'a>(&self, options: &'a Options) -> Option<&'a str> {
        let value = options.get(self.label).map(|v| v.trim());
        match value.unwrap_or_default() {
            "" => self.default.then_some("true"),
            no if ["false", "0", "no", "off", "f", "n"].contains(&no.to_lowercase().as_str()) => {
                None
            }
            yes => Some(yes),
        }
    }

    /// Why it cannot be had, for people.
    fn lacks(&self, asked: &str, held: &Held) -> Option<String> {
        let label = self.label;
        if self.name == "ingress" && !asked.eq_ignore_ascii_case(ingress::CONTROLLER) {
            return Some(format!(
                "label {label}: there is no image of {asked}; {} is the controller to ask for",
                ingress::CONTROLLER
            ));
        }
        let missing: Vec<&str> = self
            .images
            .iter()
            .filter(|part| !held.contains_key(**part))
            .copied()
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "label {label}: the node image does not hold the image of {}",
                missing.join(" and ")
            )
        })
    }
}

fn image(held: &Held, part: &str) -> String {
    full_name(held.get(part).map_or(part, String::as_str))
}

/// Metadata of an object of ours; without a namespace for what has none.
fn meta(name: &str, namespace: Option<&str>) -> Value {
    // Roles have colons in their names, labels may not.
    let label = name.rsplit(':').next().unwrap_or(name);
    let mut meta = json!({ "name": name, "labels": {
        "app.kubernetes.io/name": label, OURS.0: OURS.1,
    } });
    if let Some(space) = namespace {
        meta["namespace"] = json!(space);
    }
    meta
}

/// The labels that a workload's pods have and it finds them by.
fn selector(name: &str) -> Value {
    json!({ "app.kubernetes.io/name": name })
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][OURS.0] == OURS.1
}

/// What this node knows of add-ons.
pub(crate) struct Desk {
    /// As the server said since this boot; until then what it said before
    /// counts.
    options: watch::Sender<Option<Options>>,
    /// What the node image brought; `None`: the image is not ours.
    held: Option<Held>,
    /// What the API server said of objects that it did not take.
    refused: Mutex<BTreeMap<&'static str, String>>,
}

impl Desk {
    /// Reads what the node image brought.
    pub(crate) fn new() -> Self {
        let text = std::fs::read_to_string(IMAGE_FACTS).ok();
        let facts = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let held = facts.map(|f| serde_json::from_value(f["addons"].clone()).unwrap_or_default());
        Self::with(held)
    }

    fn with(held: Option<Held>) -> Self {
        Self {
            options: watch::channel(None).0,
            held,
            refused: Mutex::default(),
        }
    }

    /// The cluster's labels, as the server says.
    pub(crate) fn ask(&self, options: &Options) {
        self.options.send_if_modified(|known| {
            let news = known.as_ref() != Some(options);
            *known = Some(options.clone());
            news
        });
    }

    /// `None`: nothing asks for it.
    fn asked<'a>(&self, parts: &Parts, options: &'a Options) -> Option<&'a str> {
        let named = options
            .get(parts.label)
            .is_some_and(|v| !v.trim().is_empty());
        let asked = parts.asked(options);
        asked.filter(|_| named || self.held.is_some())
    }

    fn plan(&self, plan: &KubePlan) -> KubePlan {
        let mut plan = plan.clone();
        if let Some(options) = self.options.borrow().as_ref() {
            plan.options.clone_from(options);
        }
        plan
    }

    /// What the cluster's labels asked for, and what became of it.
    ///
    /// # Errors
    /// As the API.
    pub(crate) async fn states(&self, api: &Api, plan: &KubePlan) -> Result<Vec<Addon>> {
        let (plan, none) = (self.plan(plan), Held::new());
        let held = self.held.as_ref().unwrap_or(&none);
        let mut all = vec![state::dns(api).await?];
        for parts in &CATALOGUE {
            let Some(asked) = self.asked(parts, &plan.options) else {
                continue;
            };
            let why = parts
                .lacks(asked, held)
                .or_else(|| self.refused().get(parts.name).cloned());
            all.push(match why {
                Some(why) => addon(parts.name, "failed", why),
                None => state::of(api, parts.name, &(parts.objects)(&plan, held)).await?,
            });
        }
        Ok(all)
    }

    /// Keeps the cluster as its labels ask, until dropped: installs once
    /// every node that is known is Ready, and again when the labels change.
    pub(crate) async fn keep(
        &self,
        api: &Api,
        plan: &KubePlan,
        peers: &watch::Receiver<Option<Peers>>,
    ) {
        let mut options = self.options.subscribe();
        let Some(held) = &self.held else { return };
        let _ = timeout(NODES_PATIENCE, all_ready(api, peers)).await;
        loop {
            options.mark_unchanged();
            let plan = self.plan(plan);
            let all = CATALOGUE
                .iter()
                .map(|parts| self.settle(api, &plan, held, parts));
            let work = async {
                futures_util::future::join_all(all).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = work => {}
                changed = options.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// One add-on is there, or gone.
    async fn settle(&self, api: &Api, plan: &KubePlan, held: &Held, parts: &Parts) {
        let wanted = self
            .asked(parts, &plan.options)
            .is_some_and(|asked| parts.lacks(asked, held).is_none());
        let objects = (parts.objects)(plan, held);
        let mut backoff = Backoff::new(200, 10_000);
        loop {
            let done = if wanted {
                install(api, parts.name, &objects).await
            } else {
                remove(api, &objects).await
            };
            let Err(e) = done else {
                self.refused().remove(parts.name);
                return;
            };
            say(format_args!("add-on {}: {}", parts.name, plain(&e)));
            if matches!(e.kind, Kind::Invalid { .. } | Kind::Forbidden) {
                self.refused().insert(parts.name, plain(&e));
            }
            backoff.pause().await;
        }
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn install(api: &Api, name: &str, objects: &[Value]) -> Result<()> {
    if name == metrics_server::NAME {
        metrics_server::install(api, objects).await
    } else {
        apply(api, objects).await
    }
}

/// Most clusters never had it: one look tells.
async fn remove(api: &Api, objects: &[Value]) -> Result<()> {
    let works = |o: &&Value| o["kind"] == "Deployment" || o["kind"] == "DaemonSet";
    let Some(workload) = objects.iter().find(works) else {
        return Ok(());
    };
    match api.get(&apply::path_of(workload)?).await {
        Ok(now) if is_ours(&now) => apply::remove(api, objects).await,
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Ok(()),
        Err(e) => Err(e),
    }
}

/// Until every node that the server knows of is a Ready Node: what add-ons
/// take of the processors, nodes that still start would miss.
async fn all_ready(api: &Api, peers: &watch::Receiver<Option<Peers>>) {
    let mut ready = BTreeMap::new();
    let mut backoff = Backoff::new(100, 2_000);
    loop {
        let path = "/api/v1/nodes?watch=true&timeoutSeconds=60";
        let seen = api
            .watch(path, |_, node| {
                ready.insert(text(&node["metadata"]["name"]), drain::is_ready(node));
                let known = peers.borrow();
                let mut members = known
                    .as_ref()?
                    .nodes
                    .iter()
                    .filter(|p| p.role != Role::Balancer);
                members
                    .all(|p| ready.get(&p.node) == Some(&true))
                    .then_some(())
            })
            .await;
        if let Ok(Some(())) = seen {
            return;
        }
        backoff.pause().await;
    }
}

#[cfg(test)]
mod tests;
