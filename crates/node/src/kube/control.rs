//! Starting masters and workers once they have certificates: the order of the
//! components, the steps with their timeouts, and the subsequent duties.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper::{Method, StatusCode};
use kernel::{Error, Kind, Result, clock};
use nodewire::{Observed, Welcome};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::components::is_open;
use super::node::{Node, QUORUM, local};
use super::plan::{Component, ETC, ETCD_DATA, Facts, Image, PKI};
use super::{addons, defaults, dns, etcd, observe, plan, tasks};
use crate::boot::Never;
use crate::channel::is_refusal;
use crate::http::{self, Endpoint, JSON, Limits, Server};
use crate::report::plain;
use crate::retry::Backoff;
use crate::seed::write_private;

/// The port in the flag `listen-metrics-urls` of etcd.
const ETCD_METRICS: u16 = 2381;
const ETCD_LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    answer: Duration::from_secs(2),
    bytes: 64 * 1024,
};
const ETCD_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than a running master takes to give this one a vote.
const JOIN_TIMEOUT: Duration = Duration::from_secs(150);
const APISERVER_TIMEOUT: Duration = Duration::from_secs(120);
const CONTROLLERS_TIMEOUT: Duration = Duration::from_secs(60);
const ADDONS_TIMEOUT: Duration = Duration::from_secs(150);
const SOON: Duration = Duration::from_millis(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Node<'_> {
    pub(super) async fn master(
        &self,
        facts: &Facts,
        welcome: &Welcome,
        image: &Image,
    ) -> Result<Never> {
        let reporter = &self.boot.reporter;
        let etcd = async {
            if self.had_etcd_quorum() && !Path::new(ETCD_DATA).join("member").exists() {
                return Err(self.report_lost_etcd(facts).await);
            }
            self.begin(facts, Component::Etcd);
            // A joining member answers clients only when it has a vote.
            let joins = !facts.plan.etcd_join.is_empty() && !self.had_etcd_quorum();
            let (path, time_limit) = if joins {
                ("/readyz", JOIN_TIMEOUT)
            } else {
                ("/health", ETCD_TIMEOUT)
            };
            let check = async || {
                if joins {
                    // etcd writes several lines to its log for each failed check.
                    sleep(POLL_INTERVAL).await;
                }
                etcd_is_healthy(path).await
            };
            self.supervisor
                .until(Component::Etcd, path, time_limit, check)
                .await
        };
        reporter.run("etcd", etcd).await?;
        // Stored before anything is written to this etcd: from now on an empty
        // directory means lost data.
        let mark = self.boot.home.join(QUORUM);
        let mut roles = mark.exists();
        if !roles {
            write_private(&mark, b"")?;
            // A joining member finds existing objects.
            roles = !facts.plan.etcd_join.is_empty() || self.defaults().await;
        }
        let absent = plan::left_out(facts);
        if !absent.is_empty() {
            let text = format!(
                "admission plug-ins that release 1.{} does not have are left out: {}",
                facts.minor,
                absent.join(", ")
            );
            reporter.step("admission", nodewire::StepStatus::Ok, text);
        }
        self.begin(facts, Component::Apiserver);
        let api = Api::new(&facts.api, Path::new(PKI), "admin")?;
        let apiserver = self.supervisor.until(
            Component::Apiserver,
            "the API",
            APISERVER_TIMEOUT,
            async || api.answers().await,
        );
        // The API may still have the status of an earlier boot, so only a status
        // reported from this time on counts.
        let ready_since = clock::now().iso_z();
        // The API server opens its port long before it answers, and lets
        // clients wait: the kubelet can finish its preparation before its first
        // request is answered.
        let kubelet = async {
            self.wait_for(&self.containerd).await;
            while !is_open(facts.api.as_str()).await {
                sleep(SOON).await;
            }
            self.begin(facts, Component::Kubelet);
            std::future::pending().await
        };
        tokio::select! {
            done = reporter.run("apiserver", apiserver) => done?,
            () = kubelet => {}
        }
        link_kubectl();

        let ready = async {
            let addons = async {
                if welcome.first_manager {
                    let work = self.addons(&api, facts, image);
                    reporter.run("addons", work).await?;
                }
                Ok(())
            };
            let (_, uid, ()) = tokio::try_join!(
                self.controllers(facts, (!roles).then_some(&api)),
                self.node(facts, &api, &ready_since),
                addons
            )?;
            self.healthy(&api).await?;
            self.boot.ready(&uid).await
        };
        let peers = self.peers.subscribe();
        let channel = &self.boot.channel;
        // Observations are reported from the start; tasks are accepted only when
        // this master is ready.
        let (ready, never) = (
            async {
                ready.await?;
                tokio::join!(
                    tasks::run(&api, channel).boxed_local(),
                    self.addons.keep(&api, &facts.plan, &peers).boxed_local()
                );
                Err::<Never, _>(Error::internal("a master's duties ended"))
            },
            async {
                observe::observe(&api, channel, facts, &peers, &self.addons).await;
                Err::<Never, _>(Error::internal("observing ended"))
            },
        );
        // A failed master still reports its observations.
        let ready = self.boot.report_failure(ready);
        tokio::try_join!(ready, never).map(|(never, _)| never)
    }

    /// Loads the default objects of the release into etcd and returns whether
    /// they are loaded. Otherwise the API server creates them, which takes longer.
    async fn defaults(&self) -> bool {
        let work = async {
            defaults::load_defaults(&etcd::client()?, Path::new(defaults::IMAGE_DEFAULTS)).await
        };
        let done = work.await;
        let text = match &done {
            Ok(0) => return false,
            Ok(n) => format!("{n} objects of the release"),
            Err(e) => plain(e),
        };
        let reporter = &self.boot.reporter;
        reporter.step("defaults", nodewire::StepStatus::Ok, text);
        done.is_ok()
    }

    /// Reports to the server that the data of etcd is lost, and returns the error.
    /// etcd is not started with the empty directory: a single member would
    /// silently start an empty cluster, and one of several would have forgotten
    /// its votes.
    async fn report_lost_etcd(&self, facts: &Facts) -> Error {
        let (what, remedy) = if facts.several_masters() {
            (
                "the others keep working as long as they are the majority",
                "delete this container and resize the cluster to its present size",
            )
        } else {
            (
                "all data of this cluster is lost",
                "create the cluster again",
            )
        };
        let why = format!(
            "{ETCD_DATA} is empty although this etcd had a quorum before; it is not started, {what}. \
             Put the volume back, or {remedy}"
        );
        let seen = Observed {
            nodes: Vec::new(),
            ipvs: false,
            version: String::new(),
            problem: Some(why.clone()),
            addons: Vec::new(),
        };
        let mut known = self.boot.welcomed.subscribe();
        // `self` holds the sender, so the channel cannot close.
        let _ = known.wait_for(|yes| *yes).await;
        let mut backoff = Backoff::new(100, 5_000);
        while let Err(e) = self.boot.channel.post::<Value>("observed", &seen).await {
            if is_refusal(&e) {
                break;
            }
            backoff.pause().await;
        }
        Error::internal(why)
    }

    pub(super) async fn worker(&self, facts: &Facts) -> Result<Never> {
        let api = Api::new(&facts.api, Path::new(PKI), "kubelet")?;
        let ready_since = clock::now().iso_z();
        let uid = self.node(facts, &api, &ready_since).await?;
        self.boot.ready(&uid).await?;
        std::future::pending().await
    }

    /// Starts the controller manager and the scheduler. If `api` is given, waits
    /// first until that API server has created the default roles.
    async fn controllers(&self, facts: &Facts, api: Option<&Api>) -> Result<()> {
        let both = async {
            // Without the roles all requests of the controllers are refused, and
            // each refusal doubles the delay of the next attempt.
            if let Some(api) = api {
                api.wait_until_allowed("/readyz/poststarthook/rbac/bootstrap-roles")
                    .await;
            }
            self.begin(facts, Component::ControllerManager);
            self.begin(facts, Component::Scheduler);
            let manager = self.supervisor.answers(
                Component::ControllerManager,
                local(10257),
                CONTROLLERS_TIMEOUT,
            );
            let scheduler =
                self.supervisor
                    .answers(Component::Scheduler, local(10259), CONTROLLERS_TIMEOUT);
            tokio::try_join!(manager, scheduler).map(|_| ())
        };
        self.boot.reporter.run("controllers", both).await
    }

    /// Waits until `/readyz` is ok.
    async fn healthy(&self, api: &Api) -> Result<()> {
        let until = Instant::now() + self.supervisor.step_timeout(APISERVER_TIMEOUT);
        loop {
            let why = match api.look("/readyz?verbose").await {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => observe::failed_checks(&answer.text()),
                Err(e) => plain(&e),
            };
            if Instant::now() >= until {
                let e = self
                    .supervisor
                    .component_error(Component::Apiserver, &format!("/readyz: {why}"));
                self.boot
                    .reporter
                    .step("apiserver", nodewire::StepStatus::Failed, plain(&e));
                return Err(e);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Installs the cluster DNS and the policy for pods; returns when the DNS answers
    /// at its address.
    async fn addons(&self, api: &Api, facts: &Facts, image: &Image) -> Result<()> {
        let until = Instant::now() + self.supervisor.step_timeout(ADDONS_TIMEOUT);
        let mut objects = addons::coredns(&facts.plan, &image.images.coredns);
        objects.extend(addons::pod_users(facts));
        let mut backoff = Backoff::new(50, 1_000);
        while let Err(e) = addons::apply(api, &objects).await {
            // A new API server may lack namespaces, kinds or permissions for a
            // while, so such errors are retried. An object that it rejects as
            // invalid stays invalid.
            if matches!(e.kind, Kind::Invalid { .. }) || Instant::now() >= until {
                return Err(e);
            }
            backoff.pause().await;
        }
        let server: std::net::IpAddr = facts
            .plan
            .dns_ip
            .parse()
            .map_err(|_| Error::internal("the plan's dns_ip is not an address"))?;
        let name = format!("kubernetes.default.svc.{}", facts.plan.cluster_domain);
        let mut running = false;
        loop {
            let why = match addons::dns_ready(api).await {
                Ok(true) => {
                    running = true;
                    match dns::query(server, &name).await {
                        Ok(()) => return Ok(()),
                        Err(e) => e,
                    }
                }
                Ok(false) => addons::dns_pod_reasons(api).await,
                Err(e) => plain(&e),
            };
            if Instant::now() >= until {
                let component = if running {
                    Component::Proxy
                } else {
                    Component::ControllerManager
                };
                let what = format!("CoreDNS does not answer on {server}: {why}");
                return Err(self.supervisor.component_error(component, &what));
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// Whether etcd serves: its port is open before enough members are connected.
async fn etcd_is_healthy(path: &str) -> bool {
    let server = Server {
        endpoint: Endpoint::Local(local(ETCD_METRICS)),
        name: "etcd".into(),
        limits: ETCD_LIMITS,
    };
    let work = async {
        let request = http::request(Method::GET, path, JSON, http::full(""))?;
        server.call(request).await
    };
    work.await
        .is_ok_and(|answer| answer.status == StatusCode::OK)
}

/// Makes `docker exec MASTER kubectl …` work.
fn link_kubectl() {
    let dir = Path::new("/root/.kube");
    let _ = std::fs::create_dir_all(dir);
    let _ = std::os::unix::fs::symlink(format!("{ETC}/admin.conf"), dir.join("config"));
}
