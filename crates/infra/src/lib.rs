//! Ports to the infrastructure (traits and plain data) and the simulator that
//! implements all of them. Every external object is named after an id that
//! was stored before it is made, and carries the label [`LABEL`].

mod host;
mod leak;
mod net;
pub mod sim;

pub use host::{
    ContainerHost, ContainerSpec, ContainerState, ContainerView, Endpoint, FileSpec, Foreign,
    HostInfo, ImageView, NodeAccess, Observed, ProgramSpec, VolumeSpec, VolumeView,
};
pub use leak::{Leak, Side, owned};
pub use net::{BridgeSpec, BridgeView, NetworkPlane};

/// Label key on every container, network and volume that we make; its value
/// is the id of the row it belongs to.
pub const LABEL: &str = "io.jeroboam.id";
/// Label key that says which installation (state directory) made it.
pub const LABEL_INSTALLATION: &str = "io.jeroboam.installation";
/// Every name of an external object starts with this.
pub const PREFIX: &str = "jb-";
