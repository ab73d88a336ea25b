//! Servers as containers, flavors, keypairs, images and hosts.

pub mod face;

pub use face::ComputeFace;
