//! Keypairs. Containers run no sshd; templates name one all the same.

mod ops;
mod table;

pub(crate) use table::seed;
