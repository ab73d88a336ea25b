//! Ids, clock, errors, request context, policy port, paging: pure values used
//! by all crates. No I/O, no async, no OpenStack resource.

mod access;
pub mod clock;
mod ctx;
mod error;
mod event;
mod id;
pub mod ids;
mod page;
mod policy;
mod rule;
mod scope;
mod timestamp;

pub use access::AccessRule;
pub use ctx::Ctx;
pub use error::{Error, Kind, Result};
pub use event::{Event, OwnerKey};
pub use id::{DomainId, DomainKind, Id, IdKind, ProjectId, ProjectKind, UserId, UserKind};
pub use page::{Page, SortDir};
pub use policy::{Enforcer, Target};
pub use rule::{Granted, Rule, Scopes};
pub use scope::Scope;
pub use timestamp::Timestamp;
