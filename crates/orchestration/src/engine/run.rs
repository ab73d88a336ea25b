//! The reconciler of kind `stack`: loads the stack, decides, commits the intents,
//! calls the services concurrently, and commits the results.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use compute::api::ServerStatus;
use flow::{Lease, Next, Reconciler};
use kernel::{Ctx, Error, Result, clock};
use lang::hot::Pseudo;
use tokio::task::JoinSet;

use super::cache::Cache;
use super::changes::Changes;
use super::conclude::RunVerdict;
use super::effect::Effect;
use super::graph::Graph;
use super::resource_index::Slot;
use super::stack_state::{Blocked, Model, StackState};
use crate::StackId;
use crate::api::{Action, Status};
use crate::resource::{Job, Progress, Remotes, Removal, StepError};
use crate::stack::{self, EventRow, ResourceRow, StackRow, Store};

const SERVER: &str = "OS::Nova::Server";
/// From this number on, servers are listed instead of queried one by one.
const LIST_THRESHOLD: usize = 8;
/// Maximum number of concurrent effects of one stack.
const MAX_CONCURRENT_EFFECTS: usize = 64;

pub(crate) struct Engine {
    store: Store,
    remotes: Arc<Remotes>,
    cache: Cache,
}

/// The result of an effect.
enum Answer {
    Progress(std::result::Result<Progress, StepError>),
    Removal(std::result::Result<Removal, StepError>),
}

/// An effect whose intent is committed.
struct Call {
    slot: Slot,
    effect: Effect,
    resource_type: String,
    job: Job,
}

#[async_trait]
impl Reconciler for Engine {
    fn kind(&self) -> &'static str {
        crate::KIND
    }

    async fn run(&self, lease: &Lease) -> Result<Next> {
        let id = StackId::from(&lease.id);
        let Some(head) = stack::load_stack_head(&self.store.db, &id).await? else {
            return Ok(Next::Gone);
        };
        let cached = self.cache.take(&id, lease.epoch, head.traversal);
        if head.status != Status::InProgress {
            // The stack was marked without an action, so its owner may have to
            // react.
            if let Some(owner) = &head.owner {
                db::fenced!(self.store.db, lease, |tx| {
                    db::mark(tx, &owner.kind, &owner.id).await
                })?;
            }
            return Ok(Next::Done);
        }
        let state = match cached {
            Some(state) => Some(state),
            None => self.load(&id).await?,
        };
        let Some(mut state) = state else {
            return Ok(Next::Again);
        };
        if !state.stack.emptying {
            stack::load_signals(&self.store, &id, &mut state.signals).await?;
        }
        state.stack.deadline_at = head.deadline_at;
        let in_progress = self.slots_in_progress(&state).await;
        state.begin_run(lease.epoch, clock::now(), &in_progress);
        let s = &state.stack;
        let mut run = Run {
            engine: self,
            lease,
            saved: (s.action, s.status, s.reason.clone()),
            traversal: s.traversal,
            seq: 0,
            unpruned: 0,
            state,
        };
        let next = run.work().await?;
        if matches!(next, Next::After(_)) && run.state.blocked.is_none() {
            self.cache.put(run.state);
        }
        Ok(next)
    }
}

impl Engine {
    pub(crate) fn new(store: Store, remotes: Arc<Remotes>) -> Self {
        Self {
            store,
            remotes,
            cache: Cache::default(),
        }
    }

    /// Servers that compute is still building or removing, if there are so many
    /// that one list is cheaper than separate queries.
    async fn slots_in_progress(&self, state: &StackState) -> BTreeSet<Slot> {
        let servers: Vec<(Slot, &ResourceRow)> = state
            .resources
            .open()
            .filter(|(_, p)| p.resource_type == SERVER && p.data.rebuild.is_none())
            .collect();
        if servers.len() < LIST_THRESHOLD {
            return BTreeSet::new();
        }
        let s = &state.stack;
        let ctx = Ctx::for_project(format!("req-{}", s.id), &s.project_id);
        let owner = crate::api::owner_of_resources(&s.id);
        let listed = match self.remotes.compute.servers.of_owner(&ctx, &owner).await {
            Ok(listed) => listed,
            Err(e) => {
                tracing::debug!(stack = s.id.as_str(), error = %e, "servers are queried one by one");
                return BTreeSet::new();
            }
        };
        let status: HashMap<&str, ServerStatus> =
            listed.iter().map(|s| (s.id.as_str(), s.status)).collect();
        let is_in_progress = |p: &ResourceRow| {
            let now = p.physical_id.as_deref().and_then(|id| status.get(id));
            let expected = if p.action == Action::Delete {
                ServerStatus::Deleting
            } else {
                ServerStatus::Build
            };
            now == Some(&expected)
        };
        let waiting = servers.into_iter().filter(|(_, p)| is_in_progress(p));
        waiting.map(|(slot, _)| slot).collect()
    }

    /// Loads a stack from the database.
    async fn load(&self, id: &StackId) -> Result<Option<StackState>> {
        let Some(row) = stack::load_stack(&self.store, id).await? else {
            return Ok(None);
        };
        let mut blocked = None;
        let resources = match stack::load_resources(&self.store, id).await? {
            Ok(resources) => resources,
            Err(e) => {
                tracing::warn!(stack = id.as_str(), error = %e, "the resources cannot be read");
                blocked = Some(Blocked {
                    why: format!("The resources of the stack cannot be read: {}", e.message),
                    resources_unknown: true,
                });
                Vec::new()
            }
        };
        let mut model = None;
        if !row.emptying && blocked.is_none() {
            match self.model(&row) {
                Ok(bound) => model = Some(bound),
                // Another release has accepted the template.
                Err(why) => {
                    tracing::warn!(stack = id.as_str(), error = why, "the template is rejected");
                    blocked = Some(Blocked {
                        why: format!("This release rejects the template of the stack: {why}"),
                        resources_unknown: false,
                    });
                }
            }
        }
        let reports = stack::load_reports(&self.store.db, id, row.traversal).await?;
        let now = clock::now();
        let mut state = StackState::new(row, model, resources, stack::Signals::default(), now);
        state.blocked = blocked;
        if state.blocked.is_none() && !state.stack.emptying {
            state.take_reports(reports);
        }
        Ok(Some(state))
    }

    fn model(&self, row: &StackRow) -> std::result::Result<Model, String> {
        let pseudo = Pseudo {
            stack_name: row.name.clone(),
            stack_id: row.id.to_string(),
            project_id: row.project_id.to_string(),
        };
        let templates = &self.store.templates;
        let bound = stack::bind(templates, &row.template, &row.parameters, &pseudo)
            .map_err(|e| e.message)?;
        let graph = Graph::of(&bound).map_err(|cycle| cycle.to_string())?;
        Ok(Model { bound, graph })
    }
}

/// Performs a call. It runs as a separate task, because an effect may hold the
/// single writer of the database while the run of the stack waits for that writer.
async fn perform(remotes: Arc<Remotes>, call: Call) -> (Slot, Answer) {
    let Some(worker) = remotes.worker(&call.resource_type) else {
        let why = format!("no worker for {}", call.resource_type);
        let error = StepError::failed("InternalError", why);
        return (call.slot, Answer::Progress(Err(error)));
    };
    let job = &call.job;
    let answer = match call.effect {
        Effect::Create => Answer::Progress(worker.create(job).await),
        Effect::Check => Answer::Progress(worker.check(job).await),
        Effect::Rebuild => Answer::Progress(worker.rebuild(job).await),
        Effect::Delete => Answer::Removal(worker.delete(job).await),
    };
    (call.slot, answer)
}

struct Run<'a> {
    engine: &'a Engine,
    lease: &'a Lease,
    state: StackState,
    /// The stored state of the stack.
    saved: (Action, Status, String),
    /// The traversal of this run.
    traversal: i64,
    /// Sequence number of the last event, which orders events with the same time.
    seq: i64,
    /// Number of events since the last pruning.
    unpruned: usize,
}

impl Run<'_> {
    async fn work(&mut self) -> Result<Next> {
        let mut waiting: VecDeque<Call> = VecDeque::new();
        let mut calls = JoinSet::new();
        loop {
            let verdict = self.state.decide();
            if verdict == Some(RunVerdict::Gone) {
                return self.delete_stack().await;
            }
            let launches = std::mem::take(&mut self.state.launches);
            if !self.flush().await? {
                // The stack has another target. Nothing more is started for this
                // one, and the results of running effects are stored.
                while let Some(answer) = calls.join_next().await {
                    self.apply(answer.map_err(Error::internal)??);
                }
                self.flush().await?;
                return Ok(Next::Again);
            }
            for launch in launches {
                if let Some(resource) = self.state.resources.at(launch.slot) {
                    waiting.push_back(Call {
                        slot: launch.slot,
                        effect: launch.effect,
                        resource_type: resource.resource_type.clone(),
                        job: self.state.job(resource),
                    });
                }
            }
            while calls.len() < MAX_CONCURRENT_EFFECTS
                && let Some(call) = waiting.pop_front()
            {
                let (lease, remotes) = (self.lease.clone(), self.engine.remotes.clone());
                calls.spawn(async move { lease.guard(perform(remotes, call)).await });
            }
            if calls.is_empty() {
                return Ok(match verdict {
                    Some(RunVerdict::Over) => Next::Done,
                    Some(RunVerdict::Wait(pause)) => Next::After(pause),
                    Some(RunVerdict::Again | RunVerdict::Gone) | None => Next::Again,
                });
            }
            // Results that are ready together are written together.
            if let Some(answer) = calls.join_next().await {
                self.apply(answer.map_err(Error::internal)??);
            }
            while let Some(answer) = calls.try_join_next() {
                self.apply(answer.map_err(Error::internal)??);
            }
        }
    }

    fn apply(&mut self, (slot, answer): (Slot, Answer)) {
        let state = &mut self.state;
        state.now = clock::now();
        match answer {
            Answer::Progress(result) => state.apply_progress(slot, result),
            Answer::Removal(result) => state.removed(slot, result),
        }
        state.requeue(slot);
    }

    /// Writes the collected changes under the lease. Returns `false` if another
    /// operation has given the stack a new target, so that nothing more may be
    /// started for this one.
    async fn flush(&mut self) -> Result<bool> {
        let s = &self.state.stack;
        let now = (s.action, s.status, s.reason.clone());
        let status_changed = (now.0, now.1) != (self.saved.0, self.saved.1);
        let target_changed = s.traversal != self.traversal;
        if self.state.changes.is_empty() && now == self.saved && !target_changed {
            return Ok(true);
        }
        let store = &self.engine.store;
        let mut changes = std::mem::take(&mut self.state.changes);
        let rows = self.rows(&changes)?;
        let mut events = std::mem::take(&mut changes.events);
        // Events beyond the limit would be pruned immediately.
        let excess = events.len().saturating_sub(stack::MAX_EVENTS);
        events.drain(..excess);
        let with_stack_event: Vec<EventRow> = events
            .iter()
            .cloned()
            .chain(status_changed.then(|| s.event()))
            .collect();
        let seq = self.seq + 1;
        self.seq += i64::try_from(with_stack_event.len()).unwrap_or(0);
        let at = clock::now();
        let ended = status_changed && s.status != Status::InProgress;
        let prune = ended || self.unpruned + events.len() > stack::MAX_EVENTS;
        let (saved, traversal) = (&self.saved, self.traversal);
        let is_current = db::fenced!(store.db, self.lease, |tx| {
            // The stack is locked, so a concurrent operation waits for this commit.
            let is_current = if status_changed || target_changed {
                stack::conclude_stack(tx, store.sealer.as_ref(), s, traversal).await?
            } else if now.2 == saved.2 {
                stack::lock_stack_traversal(tx, &s.id, s.traversal).await?
            } else {
                stack::save_stack_reason(tx, s).await?
            };
            stack::upsert_resources(tx, &rows).await?;
            stack::remove_resources(tx, &changes.removed).await?;
            if changes.reports_taken {
                stack::remove_reports(tx, &s.id, traversal).await?;
            }
            let logged_events = if is_current {
                &with_stack_event
            } else {
                &events
            };
            stack::insert_events(tx, &s.id, logged_events, at, seq).await?;
            if prune {
                stack::prune_events(tx, &s.id).await?;
            }
            if is_current
                && status_changed
                && let Some(owner) = &s.owner
            {
                db::mark(tx, &owner.kind, &owner.id).await?;
            }
            Ok(is_current)
        })?;
        self.unpruned = if prune {
            0
        } else {
            self.unpruned + events.len()
        };
        if is_current {
            self.saved = now;
            self.traversal = s.traversal;
        }
        Ok(is_current)
    }

    /// The changed resources as rows, with sealed secrets.
    fn rows(&self, changes: &Changes) -> Result<Vec<Vec<db::Value>>> {
        let sealer = self.engine.store.sealer.as_ref();
        let resources = changes.written.iter();
        resources
            .filter_map(|slot| self.state.resources.at(*slot))
            .map(|resource| stack::resource_row(sealer, &self.state.stack.id, resource))
            .collect()
    }

    /// Deletes the stack, and marks its owner in the same transaction.
    async fn delete_stack(&mut self) -> Result<Next> {
        let (s, traversal) = (&self.state.stack, self.traversal);
        let deleted = db::fenced!(self.engine.store.db, self.lease, |tx| {
            if !stack::remove_stack(tx, &s.id, traversal).await? {
                return Ok(false);
            }
            if let Some(owner) = &s.owner {
                db::mark(tx, &owner.kind, &owner.id).await?;
            }
            Ok(true)
        })?;
        Ok(if deleted { Next::Gone } else { Next::Again })
    }
}
