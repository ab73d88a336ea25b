//! Command lines of components: one table of flags per component, each flag
//! with the releases that support it. Pure.

mod admission;
mod component;
mod facts;
mod image;
mod paths;
mod tables;

pub(crate) use admission::left_out;
pub(crate) use component::Component;
pub(crate) use facts::{Facts, Member, Minor, is_restricted};
pub(crate) use image::{IMAGE_FACTS, Image, full_name};
pub(crate) use paths::{CONTAINERD_SOCKET, ETC, ETCD_DATA, PKI};

impl Facts {
    /// The arguments of a component, in the order of its table, followed by the
    /// flags of the user, because a component uses the last of two equal flags.
    pub(crate) fn arguments(&self, component: Component) -> Vec<String> {
        let label = match component {
            Component::Apiserver => "kubeapi_options",
            Component::ControllerManager => "kubecontroller_options",
            Component::Scheduler => "kubescheduler_options",
            Component::Kubelet => "kubelet_options",
            Component::Proxy => "kubeproxy_options",
            Component::Containerd | Component::Etcd | Component::Haproxy => "",
        };
        let user_flags = self.plan.options.get(label).map_or("", String::as_str);
        tables::of(component)
            .iter()
            .filter(|flag| flag.releases.contains(&self.minor))
            .filter_map(|flag| {
                let value = (flag.value)(self)?;
                Some(format!("--{}={value}", flag.name))
            })
            .chain(user_flags.split_whitespace().map(str::to_owned))
            .collect()
    }
}

/// The arguments of containerd, which starts before the cluster is known.
pub(crate) fn arguments_of_containerd() -> Vec<String> {
    ["--config=/etc/containerd/config.toml", "--log-level=warn"]
        .map(str::to_owned)
        .to_vec()
}

#[cfg(test)]
pub(crate) mod tests;
