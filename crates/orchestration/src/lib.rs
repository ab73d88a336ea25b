//! Heat-compatible stacks: parse, validate, run a graph of resources on `flow`.
//!
//! `stack` keeps the rows and the operations, `engine` decides and acts,
//! `resource` holds one file per resource type. Everything slow happens in
//! the reconciler of kind [`KIND`]; an operation only writes rows.

mod engine;
pub mod face;
mod resource;
mod sealer;
mod stack;

use std::sync::Arc;

use compute::face::ComputeFace;
use db::{Db, Migration};
use network::face::NetworkFace;

pub use face::OrchestrationFace;
pub use sealer::{PlainSealer, Sealer};

/// The reconciler's kind; the id of its keys is the stack's id.
pub const KIND: &str = "stack";

/// The service: its face and its reconciler.
#[derive(Clone)]
pub struct Orchestration {
    store: stack::Store,
    remotes: Arc<resource::Remotes>,
}

impl Orchestration {
    /// `sealer` protects parameters, properties and attributes at rest.
    #[must_use]
    pub fn new(
        db: Db,
        network: NetworkFace,
        compute: ComputeFace,
        sealer: Arc<dyn Sealer>,
    ) -> Self {
        Self {
            store: stack::Store {
                db,
                sealer,
                templates: Arc::default(),
            },
            remotes: Arc::new(resource::Remotes { network, compute }),
        }
    }

    #[must_use]
    pub fn face(&self) -> OrchestrationFace {
        OrchestrationFace {
            stacks: Arc::new(stack::Ops(self.store.clone())),
        }
    }

    #[must_use]
    pub fn reconcilers(&self) -> Vec<Arc<dyn flow::Reconciler>> {
        let (store, remotes) = (self.store.clone(), self.remotes.clone());
        vec![Arc::new(engine::Engine::new(store, remotes))]
    }
}

/// The tables of this crate.
#[must_use]
pub fn migrations() -> &'static [Migration] {
    stack::MIGRATIONS
}
