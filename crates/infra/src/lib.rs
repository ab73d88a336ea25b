//! Ports to the infrastructure (traits and plain data) and the simulator that
//! implements all of them. Every external object is named after an id that
//! was stored before it is made, and carries the label [`LABEL`]. Every call
//! that changes one says who acts ([`Actor`]); what exists is changed and
//! removed by the id that the engine gave it.

mod host;
mod late;
mod leak;
mod net;
mod origin;
pub mod sim;

pub use host::{
    ContainerHost, ContainerSpec, ContainerState, ContainerView, Endpoint, Events, FileSpec,
    Foreign, HostInfo, ImageStore, ImageView, NodeAccess, Observed, ProgramSpec, VolumeSpec,
    VolumeStore, VolumeView,
};
pub use late::{LateCalls, Looks, backoff};
pub use leak::{Leak, Side, owned};
pub use net::{BridgeSpec, BridgeView, NetworkPlane};
pub use origin::{
    Actor, Relation, foreign, is_stale, is_unusable, relation, stale, stamped, unusable,
};

/// Label key on every container, network and volume that we make; its value
/// is the id of the row it belongs to.
pub const LABEL: &str = "io.jeroboam.id";
/// Label key that says which installation (state directory) made it.
pub const LABEL_INSTALLATION: &str = "io.jeroboam.installation";
/// Label key of the build: a server that is rebuilt and a network that gets
/// another subnet count their builds, so that what an earlier one has left is
/// told apart although it bears the same name.
pub const LABEL_BUILD: &str = "io.jeroboam.build";
/// Label key of the epoch of the lease under which an object was made.
pub const LABEL_EPOCH: &str = "io.jeroboam.epoch";
/// Every name of an external object starts with this.
pub const PREFIX: &str = "jb-";
