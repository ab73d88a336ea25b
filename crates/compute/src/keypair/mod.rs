//! Keypairs. Containers run no sshd; templates name one all the same.

mod ops;
mod table;

#[cfg(test)]
pub(crate) use table::KeypairRow;
pub(crate) use table::seed;
