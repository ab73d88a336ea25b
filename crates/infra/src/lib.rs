//! Ports to the infrastructure (traits and plain data) and the simulator that
//! implements all of them. Every external object is named after an id that was
//! stored before its creation, and carries the label [`LABEL`]. Every changing
//! call states its actor ([`Actor`]); existing objects are changed and removed
//! by the id that the engine assigned.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "tests read what they may use from the environment, and start tasks"
    )
)]

mod host;
mod late;
mod leak;
mod net;
mod origin;
pub mod sim;

pub use host::{
    ContainerHost, ContainerSpec, ContainerState, ContainerView, Endpoint, Events, FileSpec,
    Foreign, HostInfo, ImageStore, ImageView, InvalidReservation, Isolation, NodeAccess, Observed,
    OfferedIsolation, ProgramSpec, Reservations, VolumeSpec, VolumeStore, VolumeView,
};
pub use late::{LateCalls, SweepSchedule, backoff};
pub use leak::{Leak, Side, owned};
pub use net::{BridgeSpec, BridgeView, NetworkFabric};
pub use origin::{
    Actor, Relation, foreign, is_stale, is_unusable, relation, stale, stamped, unusable,
};

/// Label key on all containers, networks and volumes that we create; the value
/// is the id of the row.
pub const LABEL: &str = "io.jeroboam.id";
/// Label key with the id of the installation (state directory).
pub const LABEL_INSTALLATION: &str = "io.jeroboam.installation";
/// Label key with the number of the build: rebuilt servers and networks with a
/// new subnet count their builds, so that objects of earlier builds can be
/// distinguished although they have the same name.
pub const LABEL_BUILD: &str = "io.jeroboam.build";
/// Label key with the epoch of the lease under which an object was created.
pub const LABEL_EPOCH: &str = "io.jeroboam.epoch";
/// Prefix of the names of all external objects.
pub const PREFIX: &str = "jb-";
