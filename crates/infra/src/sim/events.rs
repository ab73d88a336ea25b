//! Events of the simulated engine.

use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::engine_process::Listener;
use super::fault_injector::Delivery;
use super::simulator::Simulator;
use crate::{Events, Observed};

/// A listener with more pending events than this loses its stream.
const MAX_PENDING_EVENTS: usize = 4096;

impl Simulator {
    /// Subscribes to the events that happen from now on.
    pub(super) fn listen(&self, networks: bool) -> Events {
        let (sender, receiver) = mpsc::channel(MAX_PENDING_EVENTS);
        self.engine_process.state().listeners.push(Listener {
            networks,
            process: self.process.clone(),
            sender,
        });
        Box::pin(stream::unfold(receiver, |mut r| async move {
            r.recv().await.map(|event| (event, r))
        }))
    }

    /// Sends an event to the listeners of all processes. A listener that does
    /// not keep up loses its stream and has to list again.
    #[expect(clippy::disallowed_methods, reason = "an event may be late")]
    pub(super) fn notify_listeners(&self, networks: bool, event: &Observed) {
        let fault_injector = self.fault_injector.clone();
        self.engine_process.state().listeners.retain(|l| {
            if l.networks != networks {
                return !l.sender.is_closed();
            }
            match fault_injector.decide_delivery(event, &l.process) {
                Delivery::Now => l.sender.try_send(event.clone()).is_ok(),
                Delivery::Lost => !l.sender.is_closed(),
                Delivery::After(wait) => {
                    let (sender, event) = (l.sender.clone(), event.clone());
                    tokio::spawn(async move {
                        sleep(wait).await;
                        // A closed stream needs no event.
                        let _ = sender.try_send(event);
                    });
                    true
                }
            }
        });
    }
}

/// An event; `id` is the label of its object.
pub(super) fn observed(id: &str, name: &str, action: &str) -> Observed {
    Observed {
        id: id.into(),
        name: name.into(),
        action: action.into(),
    }
}
