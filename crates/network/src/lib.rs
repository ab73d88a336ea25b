//! Networks, subnets, ports, routers and security groups: rows, realised by
//! the `docker-bridge` fabric through the ports of `infra`.

pub mod face;

pub use face::NetworkFace;
