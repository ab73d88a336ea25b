//! Keystone-compatible identity: users, projects, domains, roles, Fernet
//! tokens with a catalogue. Validation on the hot path reads a short-lived
//! cache, not the database.

mod bootstrap;
mod catalog;
mod dialect;
mod password;
mod project;
mod role;
mod schema;
mod service;
mod token;
mod user;

pub use bootstrap::Bootstrapped;
pub use catalog::CatalogEntry;
pub use schema::migrations;
pub use service::Identity;
pub use token::keyring::Keyring;
