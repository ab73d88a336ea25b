//! In-memory views of clusters for the agent sessions of this server. A view is
//! read once for all sessions of a cluster, and again when the key of the
//! cluster is marked. An idle cluster costs no query.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use db::{Dialect, KeyStamp};
use flow::{Latest, Tasks};
use kernel::{Result, ids};
use nodewire::{JoinTicket, Peers};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::kube;
use crate::cluster::KIND;
use crate::coe::Coe;
use crate::coe::kubernetes::networks::Networks;
use crate::join_secrets::{JoinSecrets, open_join_secrets};
use crate::node::{NodeBrief, NodeStatus, Task, brief};
use crate::{ClusterId, ClustersDeps, NodeId};

/// Minimum interval between two reads of the same cluster.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(50);
/// Delay after a failed read.
const RETRY: Duration = Duration::from_secs(1);
/// Interval of the resync, which compares the marks of all clusters that have
/// sessions in one statement: a notification can be lost together with its
/// database connection, …
const RESYNC_INTERVAL: Duration = Duration::from_secs(60);
/// … and on MariaDB servers do not notify each other.
const RESYNC_INTERVAL_WITHOUT_WAKES: Duration = Duration::from_secs(2);

/// The state of one cluster that its agents need.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// Number of the last refresh request that this view answers.
    answers: u64,
    /// `false` if the cluster no longer exists.
    pub(crate) exists: bool,
    pub(crate) nodes: BTreeMap<NodeId, NodeBrief>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) peers: Option<Arc<Peers>>,
    pub(crate) networks: Option<Arc<Networks>>,
    joining: Option<Arc<JoinSecrets>>,
    join_sealed: Option<String>,
}

impl View {
    /// Join secrets of the cluster, available after a master has published
    /// them.
    pub(crate) fn ticket(&self, is_master: bool) -> Option<JoinTicket> {
        self.joining.as_ref().map(|j| j.ticket(is_master))
    }

    /// Returns whether the session is still the current session of the node.
    pub(crate) fn has_session(&self, node: &NodeId, session_hash: &str) -> bool {
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

/// Views of all clusters that have sessions on this server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Feeds(Arc<Inner>);

struct Inner {
    deps: Arc<ClustersDeps>,
    tasks: Tasks,
    feeds: Mutex<BTreeMap<ClusterId, Entry>>,
}

struct Entry {
    feed: Arc<Feed>,
    subscriptions: usize,
}

struct Feed {
    cluster: ClusterId,
    view: Latest<Option<Arc<View>>>,
    /// Requests a new read, and returns the number of the request.
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
    /// Starts the resync task of this server.
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

    /// Returns the number of clusters and of subscriptions.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.0.with(|feeds| {
            let all = feeds.values().map(|e| e.subscriptions).sum();
            (feeds.len(), all)
        })
    }

    /// Keeps the view of a cluster current until the subscription is dropped.
    pub(crate) fn subscribe(&self, cluster: &ClusterId) -> Subscription {
        let inner = &self.0;
        let feed = inner.with(|feeds| {
            let entry = feeds.entry(cluster.clone()).or_insert_with(|| {
                let feed = Arc::new(Feed {
                    cluster: cluster.clone(),
                    view: Latest::default(),
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
            seen: feed.view.version(),
            feeds: inner.clone(),
            feed,
        }
    }
}

impl Inner {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<ClusterId, Entry>) -> T) -> T {
        act(&mut self.feeds.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Access of one session or call to the view of its cluster.
pub(crate) struct Subscription {
    feeds: Arc<Inner>,
    feed: Arc<Feed>,
    /// The version of the view that was returned last.
    seen: u64,
}

impl Subscription {
    /// Returns a view that was read after this call started.
    pub(crate) async fn fresh(&mut self) -> Arc<View> {
        let number = self.feed.want();
        loop {
            let (found, version) = self.feed.view.get();
            self.seen = version;
            if let Some(view) = found.filter(|v| v.answers >= number) {
                return view;
            }
            self.feed.view.changed(&mut self.seen).await;
        }
    }

    /// Returns the next view that differs from the previous one.
    pub(crate) async fn changed(&mut self) -> Arc<View> {
        loop {
            self.feed.view.changed(&mut self.seen).await;
            let (found, version) = self.feed.view.get();
            self.seen = version;
            if let Some(view) = found {
                return view;
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
        // Subscribe before reading, so that no change is missed.
        wakes.mark_unchanged();
        let answers = *wanted.borrow_and_update();
        let (before, _) = feed.view.get();
        match load(d, &feed.cluster, before.as_deref()).await {
            Ok(view) => {
                let view = View { answers, ..view };
                feed.view.modify(|kept| {
                    let news = kept.as_ref().is_none_or(|v| !v.same(&view));
                    if news {
                        *kept = Some(Arc::new(view));
                    }
                    news
                });
            }
            Err(e) => {
                tracing::warn!(cluster = feed.cluster.as_str(), error = %e, "cannot read the cluster");
                sleep(RETRY).await;
                continue;
            }
        }
        sleep(MIN_READ_INTERVAL).await;
        tokio::select! {
            biased;
            _ = wakes.changed() => {}
            _ = wanted.changed() => {}
        }
    }
}

async fn load(d: &ClustersDeps, cluster: &ClusterId, before: Option<&View>) -> Result<View> {
    let Some(row) = brief::cluster(&d.db, cluster).await? else {
        return Ok(View::default());
    };
    let nodes = brief::of_cluster(&d.db, cluster).await?;
    let tasks = brief::tasks(&d.db, cluster).await?;
    // The ranges of a cluster never change.
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
        (Some(sealed), _) => Some(Arc::new(open_join_secrets(d, cluster, sealed)?)),
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

/// Requests a new read of each cluster whose key was marked or run since the
/// last check.
async fn resync(inner: &Inner) {
    let db = &inner.deps.db;
    let has_notifications = db.dialect() != Dialect::Mysql;
    let interval = if has_notifications {
        RESYNC_INTERVAL
    } else {
        RESYNC_INTERVAL_WITHOUT_WAKES
    };
    let mut known: BTreeMap<String, KeyStamp> = BTreeMap::new();
    loop {
        sleep(interval.mul_f64(0.75 + 0.5 * ids::jitter())).await;
        let clusters: Vec<ClusterId> = inner.with(|feeds| feeds.keys().cloned().collect());
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
            let same = match (known.get(cluster.as_str()), now.get(cluster.as_str())) {
                // The first session triggered the first read; later reads
                // follow notifications.
                (None, _) => has_notifications,
                (before, after) => before == after,
            };
            if !same {
                inner.with(|feeds| feeds.get(&cluster).map(|e| e.feed.want()));
            }
        }
        known = now;
    }
}
