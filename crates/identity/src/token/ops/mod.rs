//! Issuing, validating and revoking tokens.

mod authenticate;
mod delegation;
mod enabled_user;
pub(crate) mod issue;
mod load;
mod lookup;
pub(crate) mod revoke;
mod scope;
pub(crate) mod validate;
