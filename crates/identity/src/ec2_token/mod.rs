//! Tokens for requests to other services that are signed with a key pair of EC2: the
//! service sends the signature here, and gets a token of the owner of the key pair.

pub(crate) mod http;
mod ops;
pub(crate) mod request;
pub(crate) mod s3;
pub(crate) mod signature;
