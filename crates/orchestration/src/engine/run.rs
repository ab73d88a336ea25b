//! The reconciler of kind `stack`: load, decide, commit the intents, call the
//! faces side by side, commit the results.

use std::sync::Arc;

use async_trait::async_trait;
use flow::{Lease, Next, Reconciler};
use kernel::{Error, Result, clock};
use lang::hot::Pseudo;
use tokio::task::JoinSet;

use super::conclude::Verdict;
use super::graph::Graph;
use super::world::{Effect, Launch, World, Write};
use crate::face::{Action, Status};
use crate::resource::{Job, Progress, Remotes, Removal, Trouble};
use crate::stack::{self, StackRow, Store};

pub(crate) struct Engine {
    pub store: Store,
    pub remotes: Arc<Remotes>,
}

/// What an effect answered.
enum Answer {
    Progress(std::result::Result<Progress, Trouble>),
    Removal(std::result::Result<Removal, Trouble>),
}

#[async_trait]
impl Reconciler for Engine {
    fn kind(&self) -> &'static str {
        crate::KIND
    }

    async fn run(&self, lease: &Lease) -> Result<Next> {
        let Some(row) = stack::load_stack(&self.store, &lease.id).await? else {
            return Ok(Next::Gone);
        };
        if row.status != Status::InProgress {
            // Something that the stack holds has changed by itself: whoever
            // owns the stack may want to look.
            if let Some(owner) = &row.owner {
                let mut tx = self.store.db.begin().await?;
                db::mark(&mut tx, &owner.kind, &owner.id).await?;
                tx.commit().await?;
            }
            return Ok(Next::Done);
        }
        let mut run = Run {
            engine: self,
            lease,
            saved: (row.action, row.status, row.reason.clone()),
            traversal: row.traversal,
            seq: 0,
            world: self.world(row).await?,
        };
        run.work().await
    }
}

impl Engine {
    async fn world(&self, row: StackRow) -> Result<World> {
        let parts = stack::load_parts(&self.store, &row.id).await?;
        let signals = if row.emptying {
            Vec::new()
        } else {
            stack::load_signals(&self.store, &row.id).await?
        };
        let mut broken = None;
        let (bound, graph) = if row.emptying {
            (None, Graph::default())
        } else {
            let pseudo = Pseudo {
                stack_name: row.name.clone(),
                stack_id: row.id.clone(),
                project_id: row.project_id.clone(),
            };
            match stack::bind(&row.template, &row.parameters, &pseudo) {
                Ok(bound) => match Graph::of(&bound) {
                    Ok(graph) => (Some(bound), graph),
                    Err(circle) => {
                        broken = Some(circle.to_string());
                        (None, Graph::default())
                    }
                },
                Err(e) => {
                    broken = Some(e.message);
                    (None, Graph::default())
                }
            }
        };
        if let Some(why) = broken {
            // Was valid when it was accepted: another version of us wrote it.
            return Err(
                kernel::Error::internal(why).context(format!("template of stack {}", row.id))
            );
        }
        Ok(World::new(
            row,
            bound,
            graph,
            parts,
            signals,
            clock::now_micros(),
        ))
    }
}

/// Runs as a task of its own: an effect may hold the database's one writer
/// while this run waits for it, so it must go on by itself.
async fn perform(
    remotes: Arc<Remotes>,
    launch: Launch,
    job: Job,
    resource_type: String,
) -> (String, Answer) {
    let Some(worker) = remotes.worker(&resource_type) else {
        let why = format!("no worker for {resource_type}");
        return (
            launch.part,
            Answer::Progress(Err(Trouble::failed("InternalError", why))),
        );
    };
    let answer = match launch.effect {
        Effect::Create => Answer::Progress(worker.create(&job).await),
        Effect::Check => Answer::Progress(worker.check(&job).await),
        Effect::Delete => Answer::Removal(worker.delete(&job).await),
    };
    (launch.part, answer)
}

struct Run<'a> {
    engine: &'a Engine,
    lease: &'a Lease,
    world: World,
    /// What the row says of the stack.
    saved: (Action, Status, String),
    /// The traversal that this run works for.
    traversal: i64,
    seq: i64,
}

impl Run<'_> {
    async fn work(&mut self) -> Result<Next> {
        let engine = self.engine;
        let mut flights = JoinSet::new();
        loop {
            let verdict = self.decide();
            if verdict == Some(Verdict::Gone) {
                return self.vanish().await;
            }
            let launches = std::mem::take(&mut self.world.launches);
            let ours = self.flush().await?;
            if ours {
                for launch in launches {
                    if let Some(part) = self.world.part(&launch.part) {
                        let (job, kind) = (self.world.job(part), part.resource_type.clone());
                        flights.spawn(perform(engine.remotes.clone(), launch, job, kind));
                    }
                }
            }
            if flights.is_empty() {
                return Ok(match verdict {
                    _ if !ours => Next::Again,
                    Some(Verdict::Over) => Next::Done,
                    Some(Verdict::Wait(pause)) => Next::After(pause),
                    Some(Verdict::Again | Verdict::Gone) | None => Next::Again,
                });
            }
            // Results that are ready together are written together.
            if let Some(answer) = flights.join_next().await {
                self.apply(answer.map_err(Error::internal)?);
            }
            while let Some(answer) = flights.try_join_next() {
                self.apply(answer.map_err(Error::internal)?);
            }
            if !ours {
                while let Some(answer) = flights.join_next().await {
                    self.apply(answer.map_err(Error::internal)?);
                }
                self.flush().await?;
                return Ok(Next::Again);
            }
        }
    }

    fn apply(&mut self, (part, answer): (String, Answer)) {
        self.world.now = clock::now_micros();
        match answer {
            Answer::Progress(result) => self.world.progressed(&part, result),
            Answer::Removal(result) => self.world.removed(&part, result),
        }
    }

    /// Takes the steps that are ready; a verdict when there is nothing to
    /// wait for in this run.
    fn decide(&mut self) -> Option<Verdict> {
        let world = &mut self.world;
        let failed = !world.stack.emptying && world.first_failure().is_some();
        let late = world.now >= world.stack.deadline_at;
        // After a failure nothing new is started; what runs comes back first.
        let done = !world.stack.emptying && !late && !failed && world.forward();
        let clean = (done || world.stack.emptying) && !late && world.clean();
        let quiet = world.flying.is_empty();
        quiet.then(|| world.conclude(done, clean))
    }

    /// Writes what has gathered, fenced. `false`: the stack has another aim
    /// meanwhile, so nothing more may be started for this one.
    async fn flush(&mut self) -> Result<bool> {
        let s = &self.world.stack;
        let now = (s.action, s.status, s.reason.clone());
        if self.world.writes.is_empty() && now == self.saved && s.traversal == self.traversal {
            return Ok(true);
        }
        let sealer = self.engine.store.sealer.as_ref();
        let mut tx = self.engine.store.db.begin().await?;
        tx.fence(self.lease).await?;
        // Locks the stack: an operation that comes now waits for this commit.
        let turned = (now.0, now.1) != (self.saved.0, self.saved.1);
        let ours = if turned || s.traversal != self.traversal {
            stack::save_stack(&mut tx, sealer, s, self.traversal).await?
        } else {
            stack::touch_stack(&mut tx, s).await?
        };
        let at = clock::now_micros();
        for write in std::mem::take(&mut self.world.writes) {
            match write {
                Write::Insert(part) => stack::insert_part(&mut tx, sealer, &s.id, &part).await?,
                Write::Update(part) => stack::update_part(&mut tx, sealer, &part).await?,
                Write::Remove(id) => stack::remove_part(&mut tx, &id).await?,
                Write::Event(event) => {
                    self.seq += 1;
                    stack::insert_event(&mut tx, &s.id, &event, at, self.seq).await?;
                }
            }
        }
        if ours && turned {
            self.seq += 1;
            stack::insert_event(&mut tx, &s.id, &s.event(), at, self.seq).await?;
            if s.status != Status::InProgress {
                stack::prune_events(&mut tx, &s.id).await?;
            }
            if let Some(owner) = &s.owner {
                db::mark(&mut tx, &owner.kind, &owner.id).await?;
            }
        }
        tx.commit().await?;
        if ours {
            self.saved = now;
            self.traversal = s.traversal;
        }
        Ok(ours)
    }

    /// The stack goes, and its owner is told in the same transaction.
    async fn vanish(&mut self) -> Result<Next> {
        let s = &self.world.stack;
        let mut tx = self.engine.store.db.begin().await?;
        tx.fence(self.lease).await?;
        if !stack::remove_stack(&mut tx, &s.id, self.traversal).await? {
            return Ok(Next::Again);
        }
        if let Some(owner) = &s.owner {
            db::mark(&mut tx, &owner.kind, &owner.id).await?;
        }
        tx.commit().await?;
        Ok(Next::Gone)
    }
}
