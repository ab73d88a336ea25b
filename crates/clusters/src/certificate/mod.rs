//! The CA of a cluster: shown, used to sign, rotated.

pub(crate) mod authorities;
pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod wire;
