//! Keystone-compatible identity.
