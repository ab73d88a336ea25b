//! What the agents of a cluster are told, in memory: read once for all of
//! its sessions on this server, and again when the cluster's key wakes.
//! While nothing happens, nothing is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use db::{Dialect, KeyStamp};
use flow::Tasks;
use kernel::{Result, ids};
use nodewire::{JoinTicket, Peers};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::kube;
use super::ops::{self, Joining};
use crate::ClustersDeps;
use crate::cluster::KIND;
use crate::coe::Coe;
use crate::coe::kubernetes::networks::Networks;
use crate::node::{NodeBrief, NodeStatus, Task, brief};

/// However often a cluster changes, it is not read more often than this.
const GAP: Duration = Duration::from_millis(50);
/// After a read that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How often one statement asks for the marks of all clusters with sessions:
/// a wake may get lost with the connection that brings it …
const RESYNC_INTERVAL: Duration = Duration::from_secs(60);
/// … and on MariaDB no other server wakes this one.
const RESYNC_INTERVAL_WITHOUT_WAKES: Duration = Duration::from_secs(2);

/// A cluster as its agents have to know it.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// The requests for a fresh view that this one answers.
    answers: u64,
    /// `false` once the cluster is gone.
    pub(crate) exists: bool,
    pub(crate) nodes: BTreeMap<String, NodeBrief>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) peers: Option<Arc<Peers>>,
    pub(crate) networks: Option<Arc<Networks>>,
    joining: Option<Arc<Joining>>,
    join_sealed: Option<String>,
}

impl View {
    /// How a node joins, once a master has published it.
    pub(crate) fn ticket(&self, is_master: bool) -> Option<JoinTicket> {
        self.joining.as_ref().map(|j| j.ticket(is_master))
    }

    /// Whether a session is still the one of its node.
    pub(crate) fn holds(&self, node: &str, session_hash: &str) -> bool {
        let found = self.nodes.get(node).filter(|_| self.exists);
        found.is_some_and(|n| {
            n.status != NodeStatus::Removed && n.session_hash.as_deref() == Some(session_hash)
        })
    }

    fn same(&self, other: &Self) -> bool {
        self.answers == other.answers
            && self.exists == other.exists
            && self.nodes == other.nodes
            && self.tasks == other.tasks
            && self.peers == other.peers
            && self.join_sealed == other.join_sealed
    }
}

/// The views of all clusters that have sessions on this server. Cheap to
/// clone.
#[derive(Clone)]
pub(crate) struct Feeds(Arc<Inner>);

struct Inner {
    deps: Arc<ClustersDeps>,
    tasks: Tasks,
    feeds: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    feed: Arc<Feed>,
    subscriptions: usize,
}

struct Feed {
    cluster: String,
    view: watch::Sender<Option<Arc<View>>>,
    /// Counts requests for a view that is read after the request.
    wanted: watch::Sender<u64>,
    stop: CancellationToken,
}

impl Feed {
    fn want(&self) -> u64 {
        let mut number = 0;
        self.wanted.send_modify(|n| {
            *n += 1;
            number = *n;
        });
        number
    }
}

impl Feeds {
    /// Starts the one resync of this server.
    pub(crate) fn new(deps: Arc<ClustersDeps>, tasks: &Tasks) -> Self {
        let inner = Arc::new(Inner {
            deps,
            tasks: tasks.clone(),
            feeds: Mutex::default(),
        });
        let (own, stop) = (inner.clone(), tasks.token());
        tasks.spawn("resync agent sessions", async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = resync(&own) => {}
            }
        });
        Self(inner)
    }

    /// How many clusters and subscriptions there are.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.0.with(|feeds| {
            let all = feeds.values().map(|e| e.subscriptions).sum();
            (feeds.len(), all)
        })
    }

    /// Follows a cluster until the subscription is dropped.
    pub(crate) fn subscribe(&self, cluster: &str) -> Subscription {
        let inner = &self.0;
        let feed = inner.with(|feeds| {
            let entry = feeds.entry(cluster.to_owned()).or_insert_with(|| {
                let feed = Arc::new(Feed {
                    cluster: cluster.to_owned(),
                    view: watch::channel(None).0,
                    wanted: watch::channel(0).0,
                    stop: inner.tasks.token().child_token(),
                });
                let (deps, own) = (inner.deps.clone(), feed.clone());
                inner.tasks.spawn("cluster of agents", async move {
                    tokio::select! {
                        biased;
                        () = own.stop.cancelled() => {}
                        () = follow(&deps, &own) => {}
                    }
                });
                Entry {
                    feed,
                    subscriptions: 0,
                }
            });
            entry.subscriptions += 1;
            entry.feed.clone()
        });
        Subscription {
            view: feed.view.subscribe(),
            feeds: inner.clone(),
            feed,
        }
    }
}

impl Inner {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Entry>) -> T) -> T {
        act(&mut self.feeds.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One session's or call's sight of its cluster.
pub(crate) struct Subscription {
    feeds: Arc<Inner>,
    feed: Arc<Feed>,
    view: watch::Receiver<Option<Arc<View>>>,
}

impl Subscription {
    /// A view that was read after this call began.
    pub(crate) async fn fresh(&mut self) -> Option<Arc<View>> {
        let number = self.feed.want();
        loop {
            let found = self.view.borrow_and_update().clone();
            if let Some(view) = found.filter(|v| v.answers >= number) {
                return Some(view);
            }
            self.view.changed().await.ok()?;
        }
    }

    /// The next view that differs from the last one.
    pub(crate) async fn changed(&mut self) -> Option<Arc<View>> {
        loop {
            self.view.changed().await.ok()?;
            let found = self.view.borrow_and_update().clone();
            if found.is_some() {
                return found;
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feeds.with(|feeds| {
            let Some(entry) = feeds.get_mut(&self.feed.cluster) else {
                return;
            };
            entry.subscriptions -= 1;
            if entry.subscriptions == 0 {
                entry.feed.stop.cancel();
                feeds.remove(&self.feed.cluster);
            }
        });
    }
}

/// Keeps the view of one cluster.
async fn follow(d: &ClustersDeps, feed: &Feed) {
    let mut wakes = d.db.wakes().subscribe_key(KIND, &feed.cluster);
    let mut wanted = feed.wanted.subscribe();
    loop {
        // What happens from now on is not missed.
        wakes.mark_unchanged();
        let answers = *wanted.borrow_and_update();
        let before = feed.view.borrow().clone();
        match load(d, &feed.cluster, before.as_deref()).await {
            Ok(view) => {
                let view = View { answers, ..view };
                feed.view.send_if_modified(|kept| {
                    let news = kept.as_ref().is_none_or(|v| !v.same(&view));
                    if news {
                        *kept = Some(Arc::new(view));
                    }
                    news
                });
            }
            Err(e) => {
                tracing::warn!(cluster = feed.cluster, error = %e, "what agents are told");
                sleep(RETRY).await;
                continue;
            }
        }
        sleep(GAP).await;
        tokio::select! {
            biased;
            _ = wakes.changed() => {}
            _ = wanted.changed() => {}
        }
    }
}

async fn load(d: &ClustersDeps, cluster: &str, before: Option<&View>) -> Result<View> {
    let Some(row) = brief::cluster(&d.db, cluster).await? else {
        return Ok(View::default());
    };
    let nodes = brief::of_cluster(&d.db, cluster).await?;
    let tasks = brief::tasks(&d.db, cluster).await?;
    // Ranges never change.
    let mut networks = before.and_then(|v| v.networks.clone());
    let mut peers = None;
    if Coe::parse(&row.coe)? == Coe::Kubernetes {
        let ranges = match networks {
            Some(ranges) => ranges,
            None => Arc::new(crate::kube::table::load(&d.db, cluster).await?.networks),
        };
        peers = Some(Arc::new(kube::peers(
            &nodes,
            row.api_address.as_deref(),
            &ranges,
        )?));
        networks = Some(ranges);
    }
    let joining = match (&row.join_sealed, before) {
        (Some(sealed), Some(v)) if v.join_sealed.as_ref() == Some(sealed) => v.joining.clone(),
        (Some(sealed), _) => Some(Arc::new(ops::joining(d, cluster, sealed)?)),
        (None, _) => None,
    };
    Ok(View {
        answers: 0,
        exists: true,
        nodes: brief::by_id(nodes),
        tasks,
        peers,
        networks,
        joining,
        join_sealed: row.join_sealed,
    })
}

/// Has the clusters read again whose keys were marked or run since the last
/// look.
async fn resync(inner: &Inner) {
    let db = &inner.deps.db;
    let told = db.dialect() != Dialect::Mysql;
    let interval = if told {
        RESYNC_INTERVAL
    } else {
        RESYNC_INTERVAL_WITHOUT_WAKES
    };
    let mut known: BTreeMap<String, KeyStamp> = BTreeMap::new();
    loop {
        sleep(interval.mul_f64(0.75 + 0.5 * ids::jitter())).await;
        let clusters: Vec<String> = inner.with(|feeds| feeds.keys().cloned().collect());
        if clusters.is_empty() {
            continue;
        }
        let now = match db::key_stamps(db, KIND, &clusters).await {
            Ok(stamps) => stamps,
            Err(e) => {
                tracing::warn!(error = %e, "resync of agent sessions");
                continue;
            }
        };
        for cluster in clusters {
            let same = match (known.get(&cluster), now.get(&cluster)) {
                // Read when its first session came; wakes tell of the rest.
                (None, _) => told,
                (before, after) => before == after,
            };
            if !same {
                inner.with(|feeds| feeds.get(&cluster).map(|e| e.feed.want()));
            }
        }
        known = now;
    }
}
