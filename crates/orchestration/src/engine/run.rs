//! The reconciler of kind `stack`: load, decide, commit the intents, call the
//! faces side by side, commit the results.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use compute::face::ServerStatus;
use flow::{Lease, Next, Reconciler};
use kernel::{Ctx, Error, OwnerKey, Result, clock};
use lang::hot::Pseudo;
use tokio::task::JoinSet;

use super::cache::Cache;
use super::conclude::Verdict;
use super::graph::Graph;
use super::parts::Place;
use super::world::{Blocked, Changes, Effect, Model, World};
use crate::face::{Action, Status};
use crate::resource::{Job, Progress, Remotes, Removal, Trouble};
use crate::stack::{self, EventRow, Part, StackRow, Store};

const SERVER: &str = "OS::Nova::Server";
/// From so many servers on they are listed.
const MANY: usize = 8;
/// Effects of one stack at the same time.
const PARALLEL: usize = 64;

pub(crate) struct Engine {
    store: Store,
    remotes: Arc<Remotes>,
    cache: Cache,
}

/// What an effect answered.
enum Answer {
    Progress(std::result::Result<Progress, Trouble>),
    Removal(std::result::Result<Removal, Trouble>),
}

/// An effect whose intent is committed.
struct Call {
    place: Place,
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
        let Some(head) = stack::peek_stack(&self.store.db, &lease.id).await? else {
            return Ok(Next::Gone);
        };
        let kept = self.cache.take(&lease.id, lease.epoch, head.traversal);
        if head.status != Status::InProgress {
            // Something that the stack holds has changed by itself: whoever
            // owns the stack may want to look.
            if let Some(owner) = &head.owner {
                db::fenced!(self.store.db, lease, |tx| {
                    db::mark(tx, &owner.kind, &owner.id).await
                })?;
            }
            return Ok(Next::Done);
        }
        let world = match kept {
            Some(world) => Some(world),
            None => self.load(&lease.id).await?,
        };
        let Some(mut world) = world else {
            return Ok(Next::Again);
        };
        if !world.stack.emptying {
            stack::load_signals(&self.store, &lease.id, &mut world.signals).await?;
        }
        world.stack.deadline_at = head.deadline_at;
        let still = self.still_at_work(&world).await;
        world.begin_run(lease.epoch, clock::now_micros(), &still);
        let s = &world.stack;
        let mut run = Run {
            engine: self,
            lease,
            saved: (s.action, s.status, s.reason.clone()),
            traversal: s.traversal,
            seq: 0,
            unpruned: 0,
            world,
        };
        let next = run.work().await?;
        if matches!(next, Next::After(_)) && run.world.blocked.is_none() {
            self.cache.put(run.world);
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

    /// Servers that compute still builds or removes, where there are so many
    /// that one listing costs less than to ask for each.
    async fn still_at_work(&self, world: &World) -> BTreeSet<Place> {
        let servers: Vec<(Place, &Part)> = world
            .parts
            .open()
            .filter(|(_, p)| p.resource_type == SERVER && p.data.rebuild.is_none())
            .collect();
        if servers.len() < MANY {
            return BTreeSet::new();
        }
        let s = &world.stack;
        let ctx = Ctx::for_project(format!("req-{}", s.id), &s.project_id);
        let owner = OwnerKey::new(crate::KIND, &s.id);
        let listed = match self.remotes.compute.servers.of_owner(&ctx, &owner).await {
            Ok(listed) => listed,
            Err(e) => {
                tracing::debug!(stack = s.id, error = %e, "servers are asked for one by one");
                return BTreeSet::new();
            }
        };
        let status: HashMap<&str, ServerStatus> =
            listed.iter().map(|s| (s.id.as_str(), s.status)).collect();
        let at_work = |p: &Part| {
            let now = p.physical_id.as_deref().and_then(|id| status.get(id));
            let expected = if p.action == Action::Delete {
                ServerStatus::Deleting
            } else {
                ServerStatus::Build
            };
            now == Some(&expected)
        };
        let waiting = servers.into_iter().filter(|(_, p)| at_work(p));
        waiting.map(|(place, _)| place).collect()
    }

    /// A stack as the database has it.
    async fn load(&self, id: &str) -> Result<Option<World>> {
        let Some(row) = stack::load_stack(&self.store, id).await? else {
            return Ok(None);
        };
        let mut blocked = None;
        let parts = match stack::load_parts(&self.store, id).await? {
            Ok(parts) => parts,
            Err(e) => {
                tracing::warn!(stack = id, error = %e, "the resources cannot be read");
                blocked = Some(Blocked {
                    why: format!("The resources of the stack cannot be read: {}", e.message),
                    blind: true,
                });
                Vec::new()
            }
        };
        let mut model = None;
        if !row.emptying && blocked.is_none() {
            match self.model(&row) {
                Ok(bound) => model = Some(bound),
                // It was valid when it was accepted: by another release.
                Err(why) => {
                    tracing::warn!(stack = id, error = why, "the template is rejected");
                    blocked = Some(Blocked {
                        why: format!("This release rejects the template of the stack: {why}"),
                        blind: false,
                    });
                }
            }
        }
        let reports = stack::load_reports(&self.store.db, id, row.traversal).await?;
        let now = clock::now_micros();
        let mut world = World::new(row, model, parts, stack::Signals::default(), now);
        world.blocked = blocked;
        if world.blocked.is_none() && !world.stack.emptying {
            world.take_reports(reports);
        }
        Ok(Some(world))
    }

    fn model(&self, row: &StackRow) -> std::result::Result<Model, String> {
        let pseudo = Pseudo {
            stack_name: row.name.clone(),
            stack_id: row.id.clone(),
            project_id: row.project_id.clone(),
        };
        let templates = &self.store.templates;
        let bound = stack::bind(templates, &row.template, &row.parameters, &pseudo)
            .map_err(|e| e.message)?;
        let graph = Graph::of(&bound).map_err(|circle| circle.to_string())?;
        Ok(Model { bound, graph })
    }
}

/// Runs as a task of its own: an effect may hold the database's one writer
/// while this run waits for it, so it must go on by itself.
async fn perform(remotes: Arc<Remotes>, call: Call) -> (Place, Answer) {
    let Some(worker) = remotes.worker(&call.resource_type) else {
        let why = format!("no worker for {}", call.resource_type);
        let trouble = Trouble::failed("InternalError", why);
        return (call.place, Answer::Progress(Err(trouble)));
    };
    let job = &call.job;
    let answer = match call.effect {
        Effect::Create => Answer::Progress(worker.create(job).await),
        Effect::Check => Answer::Progress(worker.check(job).await),
        Effect::Rebuild => Answer::Progress(worker.rebuild(job).await),
        Effect::Delete => Answer::Removal(worker.delete(job).await),
    };
    (call.place, answer)
}

struct Run<'a> {
    engine: &'a Engine,
    lease: &'a Lease,
    world: World,
    /// What the row says of the stack.
    saved: (Action, Status, String),
    /// The traversal that this run works for.
    traversal: i64,
    /// Orders the events of one moment.
    seq: i64,
    /// Events since the oldest were dropped.
    unpruned: usize,
}

impl Run<'_> {
    async fn work(&mut self) -> Result<Next> {
        let mut waiting: VecDeque<Call> = VecDeque::new();
        let mut flights = JoinSet::new();
        loop {
            let verdict = self.world.decide();
            if verdict == Some(Verdict::Gone) {
                return self.vanish().await;
            }
            let launches = std::mem::take(&mut self.world.launches);
            if !self.flush().await? {
                // The stack has another aim: nothing more is started for
                // this one, and what came back is kept.
                while let Some(answer) = flights.join_next().await {
                    self.apply(answer.map_err(Error::internal)??);
                }
                self.flush().await?;
                return Ok(Next::Again);
            }
            for launch in launches {
                if let Some(part) = self.world.parts.at(launch.place) {
                    waiting.push_back(Call {
                        place: launch.place,
                        effect: launch.effect,
                        resource_type: part.resource_type.clone(),
                        job: self.world.job(part),
                    });
                }
            }
            while flights.len() < PARALLEL
                && let Some(call) = waiting.pop_front()
            {
                let (lease, remotes) = (self.lease.clone(), self.engine.remotes.clone());
                flights.spawn(async move { lease.guard(perform(remotes, call)).await });
            }
            if flights.is_empty() {
                return Ok(match verdict {
                    Some(Verdict::Over) => Next::Done,
                    Some(Verdict::Wait(pause)) => Next::After(pause),
                    Some(Verdict::Again | Verdict::Gone) | None => Next::Again,
                });
            }
            // Results that are ready together are written together.
            if let Some(answer) = flights.join_next().await {
                self.apply(answer.map_err(Error::internal)??);
            }
            while let Some(answer) = flights.try_join_next() {
                self.apply(answer.map_err(Error::internal)??);
            }
        }
    }

    fn apply(&mut self, (place, answer): (Place, Answer)) {
        let world = &mut self.world;
        world.now = clock::now_micros();
        match answer {
            Answer::Progress(result) => world.progressed(place, result),
            Answer::Removal(result) => world.removed(place, result),
        }
        world.look_again(place);
    }

    /// Writes what has gathered, fenced. `false`: the stack has another aim
    /// meanwhile, so nothing more may be started for this one.
    async fn flush(&mut self) -> Result<bool> {
        let s = &self.world.stack;
        let now = (s.action, s.status, s.reason.clone());
        let turned = (now.0, now.1) != (self.saved.0, self.saved.1);
        let aimed = s.traversal != self.traversal;
        if self.world.changes.is_empty() && now == self.saved && !aimed {
            return Ok(true);
        }
        let store = &self.engine.store;
        let mut changes = std::mem::take(&mut self.world.changes);
        let rows = self.rows(&changes)?;
        let mut events = std::mem::take(&mut changes.events);
        // Events above the limit would be pruned at once.
        let excess = events.len().saturating_sub(stack::MAX_EVENTS);
        events.drain(..excess);
        let with_own: Vec<EventRow> = events
            .iter()
            .cloned()
            .chain(turned.then(|| s.event()))
            .collect();
        let seq = self.seq + 1;
        self.seq += i64::try_from(with_own.len()).unwrap_or(0);
        let at = clock::now_micros();
        let over = turned && s.status != Status::InProgress;
        let prune = over || self.unpruned + events.len() > stack::MAX_EVENTS;
        let (saved, traversal) = (&self.saved, self.traversal);
        let ours = db::fenced!(store.db, self.lease, |tx| {
            // Locks the stack: an operation that comes now waits for this commit.
            let ours = if turned || aimed {
                stack::conclude_stack(tx, store.sealer.as_ref(), s, traversal).await?
            } else if now.2 == saved.2 {
                stack::hold_stack(tx, &s.id, s.traversal).await?
            } else {
                stack::touch_stack(tx, s).await?
            };
            stack::upsert_parts(tx, &rows).await?;
            stack::remove_parts(tx, &changes.removed).await?;
            if changes.reports_taken {
                stack::drop_reports(tx, &s.id, traversal).await?;
            }
            let told = if ours { &with_own } else { &events };
            stack::insert_events(tx, &s.id, told, at, seq).await?;
            if prune {
                stack::prune_events(tx, &s.id).await?;
            }
            if ours
                && turned
                && let Some(owner) = &s.owner
            {
                db::mark(tx, &owner.kind, &owner.id).await?;
            }
            Ok(ours)
        })?;
        self.unpruned = if prune {
            0
        } else {
            self.unpruned + events.len()
        };
        if ours {
            self.saved = now;
            self.traversal = s.traversal;
        }
        Ok(ours)
    }

    /// The changed resources as rows, their secrets sealed.
    fn rows(&self, changes: &Changes) -> Result<Vec<Vec<db::Value>>> {
        let sealer = self.engine.store.sealer.as_ref();
        let parts = changes.written.iter();
        parts
            .filter_map(|place| self.world.parts.at(*place))
            .map(|part| stack::part_row(sealer, &self.world.stack.id, part))
            .collect()
    }

    /// The stack goes, and its owner is told in the same transaction.
    async fn vanish(&mut self) -> Result<Next> {
        let (s, traversal) = (&self.world.stack, self.traversal);
        let gone = db::fenced!(self.engine.store.db, self.lease, |tx| {
            if !stack::remove_stack(tx, &s.id, traversal).await? {
                return Ok(false);
            }
            if let Some(owner) = &s.owner {
                db::mark(tx, &owner.kind, &owner.id).await?;
            }
            Ok(true)
        })?;
        Ok(if gone { Next::Gone } else { Next::Again })
    }
}
