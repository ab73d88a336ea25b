//! Add-ons installed into a cluster by server-side apply, and their states. DNS
//! is part of every cluster; the other add-ons are selected by labels and
//! installed once every node is Ready, without delaying the bootstrap.

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
pub(crate) use state::{dns_pod_reasons, dns_ready};

use self::state::addon;
use super::api::Api;
use super::drain;
use super::plan::{IMAGE_FACTS, full_name};
use crate::engine::text;
use crate::report::{log_line, plain};
use crate::retry::Backoff;

const SYSTEM: &str = "kube-system";
const OURS: (&str, &str) = ("app.kubernetes.io/managed-by", "jeroboam");
/// Selects our objects in a list or a watch.
pub(super) const SELECTOR: &str = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Djeroboam";
/// Timeout for nodes to become Ready, so that a missing node does not block
/// add-ons.
const NODES_TIMEOUT: Duration = Duration::from_secs(60);

/// Names of the add-on images in the node image, by part.
type AddonImages = BTreeMap<String, String>;

/// The cluster's labels.
type Options = BTreeMap<String, String>;

/// The parts of an add-on.
struct Parts {
    /// Whether it is installed without its label, on nodes of our image.
    default: bool,
    label: &'static str,
    name: &'static str,
    images: &'static [&'static str],
    objects: fn(&KubePlan, &AddonImages) -> Vec<Value>,
}

fn nothing(_: &KubePlan, _: &AddonImages) -> Vec<Value> {
    Vec::new()
}

/// All add-ons that labels can select. If the node image lacks an image of an
/// add-on, the add-on is not installed and reported as failed.
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
    /// The requested value of the label; `None`: not requested.
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

    /// The reason why the add-on cannot be installed, for display.
    fn missing_requirement(&self, asked: &str, addon_images: &AddonImages) -> Option<String> {
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
            .filter(|part| !addon_images.contains_key(**part))
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

fn image(addon_images: &AddonImages, part: &str) -> String {
    full_name(addon_images.get(part).map_or(part, String::as_str))
}

/// Metadata of our objects; `None` for kinds without a namespace.
fn meta(name: &str, namespace: Option<&str>) -> Value {
    // Names of roles contain colons, which labels must not.
    let label = name.rsplit(':').next().unwrap_or(name);
    let mut meta = json!({ "name": name, "labels": {
        "app.kubernetes.io/name": label, OURS.0: OURS.1,
    } });
    if let Some(space) = namespace {
        meta["namespace"] = json!(space);
    }
    meta
}

/// The labels by which a workload selects its pods.
fn selector(name: &str) -> Value {
    json!({ "app.kubernetes.io/name": name })
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][OURS.0] == OURS.1
}

/// State of the add-ons on this node.
pub(crate) struct AddonInstaller {
    /// Labels sent by the server in this boot; until then the stored ones.
    options: watch::Sender<Option<Options>>,
    /// Add-on images in the node image; `None`: the image was not built by
    /// Jeroboam.
    addon_images: Option<AddonImages>,
    /// Errors of the API server for rejected objects.
    refused: Mutex<BTreeMap<&'static str, String>>,
}

impl AddonInstaller {
    /// Reads the list of add-on images.
    pub(crate) fn new() -> Self {
        let text = std::fs::read_to_string(IMAGE_FACTS).ok();
        let facts = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let addon_images =
            facts.map(|f| serde_json::from_value(f["addons"].clone()).unwrap_or_default());
        Self::with(addon_images)
    }

    fn with(addon_images: Option<AddonImages>) -> Self {
        Self {
            options: watch::channel(None).0,
            addon_images,
            refused: Mutex::default(),
        }
    }

    /// Sets the labels sent by the server.
    pub(crate) fn ask(&self, options: &Options) {
        self.options.send_if_modified(|known| {
            let news = known.as_ref() != Some(options);
            *known = Some(options.clone());
            news
        });
    }

    /// `None`: not requested.
    fn asked<'a>(&self, parts: &Parts, options: &'a Options) -> Option<&'a str> {
        let named = options
            .get(parts.label)
            .is_some_and(|v| !v.trim().is_empty());
        let asked = parts.asked(options);
        asked.filter(|_| named || self.addon_images.is_some())
    }

    fn plan(&self, plan: &KubePlan) -> KubePlan {
        let mut plan = plan.clone();
        if let Some(options) = self.options.borrow().as_ref() {
            plan.options.clone_from(options);
        }
        plan
    }

    /// The states of the requested add-ons.
    ///
    /// # Errors
    /// Fails if the API request fails.
    pub(crate) async fn states(&self, api: &Api, plan: &KubePlan) -> Result<Vec<Addon>> {
        let (plan, none) = (self.plan(plan), AddonImages::new());
        let addon_images = self.addon_images.as_ref().unwrap_or(&none);
        let mut all = vec![state::dns(api).await?];
        for parts in &CATALOGUE {
            let Some(asked) = self.asked(parts, &plan.options) else {
                continue;
            };
            let why = parts
                .missing_requirement(asked, addon_images)
                .or_else(|| self.refused().get(parts.name).cloned());
            all.push(match why {
                Some(why) => addon(parts.name, "failed", why),
                None => state::of(api, parts.name, &(parts.objects)(&plan, addon_images)).await?,
            });
        }
        Ok(all)
    }

    /// Keeps the add-ons as requested by the labels, until dropped: installs
    /// them once every known node is Ready, and again when the labels change.
    pub(crate) async fn keep(
        &self,
        api: &Api,
        plan: &KubePlan,
        peers: &watch::Receiver<Option<Peers>>,
    ) {
        let mut options = self.options.subscribe();
        let Some(addon_images) = &self.addon_images else {
            return;
        };
        let _ = timeout(NODES_TIMEOUT, all_ready(api, peers)).await;
        loop {
            options.mark_unchanged();
            let plan = self.plan(plan);
            let all = CATALOGUE
                .iter()
                .map(|parts| self.settle(api, &plan, addon_images, parts));
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

    /// Installs or removes one add-on.
    async fn settle(&self, api: &Api, plan: &KubePlan, addon_images: &AddonImages, parts: &Parts) {
        let wanted = self
            .asked(parts, &plan.options)
            .is_some_and(|asked| parts.missing_requirement(asked, addon_images).is_none());
        let objects = (parts.objects)(plan, addon_images);
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
            log_line(format_args!("add-on {}: {}", parts.name, plain(&e)));
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

/// Most clusters never had it, so a single check suffices.
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

/// Waits until every known node is Ready, because add-ons compete for CPU with
/// starting nodes.
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
