//! Keystone-compatible identity: users, projects, domains, roles, Fernet tokens
//! with a catalogue. Validation uses a short-lived cache instead of the
//! database.

mod access_rule;
mod app_credential;
mod assignment;
mod attributes;
mod bootstrap;
mod call;
mod cascade;
mod catalog;
mod delegation;
mod dialect;
mod domain;
mod domain_config;
mod ec2_token;
mod endpoint_filter;
mod envelope;
mod errors;
mod fields;
mod filter;
mod foreign_roles;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod grant;
mod group;
mod ids;
mod legacy_policy;
mod listing;
mod oauth_consumer;
mod options;
mod password;
mod policy;
mod project;
mod role;
mod schema;
mod service;
mod state;
mod tags;
mod token;
mod trust;
mod user;
mod user_credential;
mod version;

pub use bootstrap::Bootstrapped;
pub use catalog::CatalogEntry;
pub use policy::policies;
pub use schema::{migrations, sealed_columns};
pub use service::Identity;
pub use token::keyring::{FernetKey, Keyring};
