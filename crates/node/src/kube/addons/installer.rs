//! Installs and removes the add-ons of a cluster as its labels request.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel::{Kind, Result};
use nodewire::{Addon, KubePlan, Peers, Role};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::apply::{self, apply};
use super::catalogue::{AddonSpec, CATALOGUE, Options};
use super::images::AddonImages;
use super::metadata::is_ours;
use super::metrics_server;
use super::state::{self, addon};
use crate::engine::text;
use crate::kube::api::Api;
use crate::kube::drain;
use crate::kube::plan::IMAGE_FACTS;
use crate::report::{log_line, plain};
use crate::retry::Backoff;

/// Timeout for nodes to become Ready, so that a missing node does not block
/// add-ons.
const NODES_TIMEOUT: Duration = Duration::from_secs(60);

/// State of the add-ons on this node.
pub(crate) struct AddonInstaller {
    /// Labels sent by the server in this boot; until then the stored ones.
    options: watch::Sender<Option<Options>>,
    /// Add-on images in the node image; `None`: the image was not built by
    /// Jeroboam.
    addon_images: Option<AddonImages>,
    /// The error for each add-on whose objects the API server rejected.
    rejected: Mutex<BTreeMap<&'static str, String>>,
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

    pub(super) fn with(addon_images: Option<AddonImages>) -> Self {
        Self {
            options: watch::channel(None).0,
            addon_images,
            rejected: Mutex::default(),
        }
    }

    /// Sets the labels sent by the server.
    pub(crate) fn set_options(&self, options: &Options) {
        self.options.send_if_modified(|known| {
            let changed = known.as_ref() != Some(options);
            *known = Some(options.clone());
            changed
        });
    }

    /// The value of the label if it requests the add-on. The defaults apply only to
    /// images that Jeroboam built.
    pub(super) fn requested_value<'a>(
        &self,
        spec: &AddonSpec,
        options: &'a Options,
    ) -> Option<&'a str> {
        let is_set = options
            .get(spec.label)
            .is_some_and(|v| !v.trim().is_empty());
        spec.requested_value(options)
            .filter(|_| is_set || self.addon_images.is_some())
    }

    /// The plan with the newest labels.
    pub(super) fn plan(&self, plan: &KubePlan) -> KubePlan {
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
        for spec in &CATALOGUE {
            let Some(value) = self.requested_value(spec, &plan.options) else {
                continue;
            };
            let why = spec
                .missing_requirement(value, addon_images)
                .or_else(|| self.rejected().get(spec.name).cloned());
            all.push(match why {
                Some(why) => addon(spec.name, "failed", why),
                None => state::of(api, spec.name, &(spec.objects)(&plan, addon_images)).await?,
            });
        }
        Ok(all)
    }

    /// Installs and removes add-ons as the labels request, once every known node
    /// is Ready, and again when the labels change. Runs until dropped.
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
                .map(|spec| self.settle(api, &plan, addon_images, spec));
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
    async fn settle(
        &self,
        api: &Api,
        plan: &KubePlan,
        addon_images: &AddonImages,
        spec: &AddonSpec,
    ) {
        let wanted = self
            .requested_value(spec, &plan.options)
            .is_some_and(|value| spec.missing_requirement(value, addon_images).is_none());
        let objects = (spec.objects)(plan, addon_images);
        let mut backoff = Backoff::new(200, 10_000);
        loop {
            let done = if wanted {
                install(api, spec.name, &objects).await
            } else {
                remove(api, &objects).await
            };
            let Err(e) = done else {
                self.rejected().remove(spec.name);
                return;
            };
            log_line(format_args!("add-on {}: {}", spec.name, plain(&e)));
            if matches!(e.kind, Kind::Invalid { .. } | Kind::Forbidden) {
                self.rejected().insert(spec.name, plain(&e));
            }
            backoff.pause().await;
        }
    }

    fn rejected(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn install(api: &Api, name: &str, objects: &[Value]) -> Result<()> {
    if name == metrics_server::NAME {
        metrics_server::install(api, objects).await
    } else {
        apply(api, objects).await
    }
}

/// Removes an add-on. Most clusters never had it, so its workload is looked up
/// first: without the workload the other objects are not looked up.
async fn remove(api: &Api, objects: &[Value]) -> Result<()> {
    let is_workload = |o: &&Value| o["kind"] == "Deployment" || o["kind"] == "DaemonSet";
    let Some(workload) = objects.iter().find(is_workload) else {
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
                let mut nodes = known
                    .as_ref()?
                    .nodes
                    .iter()
                    .filter(|p| p.role != Role::Balancer);
                nodes
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
