//! Magnum-compatible clusters, templates, certificates; COE drivers.
