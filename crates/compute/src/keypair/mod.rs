//! Keypairs. Containers run no sshd, but templates require a keypair.

mod ops;
mod table;

#[cfg(test)]
pub(crate) use table::KeypairRow;
pub(crate) use table::seed;
