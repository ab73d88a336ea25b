//! Heat-compatible stacks: parse, validate, run a graph of resources on `flow`.
//!
//! `stack` contains the rows and the operations of the interface, `engine` the
//! reconciler, and `resource` one file for each resource type. All slow work happens in the
//! reconciler; an operation only writes rows.

pub mod api;
mod engine;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod ids;
mod resource;
mod sealer;
mod stack;

use std::sync::Arc;

use compute::api::ComputeApi;
use db::{Db, Migration};
use network::api::NetworkApi;

pub(crate) use api::KIND;
pub use api::OrchestrationApi;
pub(crate) use ids::ResourceId;
pub use ids::StackId;
pub use sealer::{PlainSealer, Sealer};

/// The service: its interface and its reconciler.
#[derive(Clone)]
pub struct Orchestration {
    store: stack::Store,
    remotes: Arc<resource::Remotes>,
}

impl Orchestration {
    /// `sealer` encrypts parameters, properties and attributes at rest.
    #[must_use]
    pub fn new(db: Db, network: NetworkApi, compute: ComputeApi, sealer: Arc<dyn Sealer>) -> Self {
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
    pub fn api(&self) -> OrchestrationApi {
        OrchestrationApi {
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

/// The sealed columns of this crate.
#[must_use]
pub fn sealed_columns() -> Vec<db::SealedColumn> {
    stack::sealed_columns()
}
