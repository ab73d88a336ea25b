//! The HOT template of a cluster: a network, a security group, masters, workers
//! and a wait condition. Our engine and a real Heat use the same text; only
//! parameters change during the life of a cluster. Differences between
//! container engines are in [`CoeParts`].

use std::collections::BTreeMap;

use compute::api::Isolation;
use network::NetworkId;
use serde_json::{Map, Value, json};

use crate::nodegroup;

/// Inputs of the template that are fixed when the cluster is created.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// Prefix of the names of all nodes.
    pub(crate) prefix: String,
    pub(crate) groups: Vec<GroupShape>,
    /// An existing network, used instead of a new one.
    pub(crate) fixed_network: Option<FixedNetwork>,
    pub(crate) external_network: Option<String>,
    pub(crate) keypair: Option<String>,
    pub(crate) dns: Vec<String>,
    /// Range of the new subnet; `None`: one is allocated.
    pub(crate) cidr: Option<String>,
    /// Whether a balancer runs in front of the masters.
    pub(crate) balancer: bool,
    pub(crate) isolation: Isolation,
}

/// A group of nodes in the template.
#[derive(Debug, Clone)]
pub(crate) struct GroupShape {
    /// Name of its resource.
    pub(crate) resource: String,
    /// Part of the names of its nodes and parameters.
    pub(crate) word: String,
    /// Name of the parameter with its image.
    pub(crate) image: String,
    pub(crate) is_master: bool,
}

impl GroupShape {
    pub(crate) fn of(group: &nodegroup::Group) -> Self {
        Self {
            resource: group.resource(),
            word: group.name_part(),
            image: group.image_parameter(),
            is_master: group.is_master(),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FixedNetwork {
    pub(crate) network: NetworkId,
    /// Address of the bootstrap listener from inside the nodes.
    pub(crate) gateway: String,
}

/// Parts of the template that depend on the container engine.
#[derive(Debug, Clone)]
pub(crate) struct CoeParts {
    /// Value of `coe` in the seeds of the nodes.
    pub(crate) coe: &'static str,
    pub(crate) description: &'static str,
    /// Description of the security group.
    pub(crate) traffic: &'static str,
    pub(crate) rules: Vec<Rule>,
}

/// Protocol, first and last port.
pub(crate) type Rule = (&'static str, i64, i64);

/// Name of the resource that receives the signals of nodes.
pub(crate) const HANDLE: &str = "nodes_handle";

/// Name of the resource of the new subnet.
const SUBNET: &str = "subnet";

/// Name of the balancer resource, which is also the suffix of its server name.
pub(crate) const BALANCER: &str = "balancer";

/// The template as text.
pub(crate) fn template(shape: &Shape, parts: &CoeParts) -> String {
    let mut resources = Map::new();
    let (network, gateway, after) = match &shape.fixed_network {
        Some(fixed) => (json!(fixed.network), json!(fixed.gateway), json!([])),
        None => {
            own_network(shape, &mut resources);
            (
                json!({ "get_resource": "network" }),
                json!({ "get_attr": [SUBNET, "gateway_ip"] }),
                json!([SUBNET]),
            )
        }
    };
    let rules: Vec<_> = parts
        .rules
        .iter()
        .map(|(protocol, min, max)| {
            json!({ "protocol": protocol, "port_range_min": min, "port_range_max": max })
        })
        .collect();
    resources.insert(
        "secgroup".into(),
        json!({ "type": "OS::Neutron::SecurityGroup", "properties": {
            "name": { "get_param": "name" },
            "description": parts.traffic, "rules": rules } }),
    );
    let member = |role, word, kind: &GroupShape| Member {
        shape,
        coe: parts.coe,
        role,
        word,
        flavor: format!("{}_flavor", kind.word),
        image: kind.image.clone(),
        network: &network,
        gateway: &gateway,
    };
    for group in &shape.groups {
        let word = group.word.as_str();
        let role = if group.is_master { "manager" } else { "worker" };
        resources.insert(
            group.resource.clone(),
            json!({ "type": "OS::Heat::ResourceGroup", "depends_on": after, "properties": {
                "count": { "get_param": format!("{word}_count") },
                "removal_policies": [{ "resource_list": { "get_param": format!("{word}_removed") } }],
                "resource_def": member(role, word, group).definition(),
            } }),
        );
    }
    // There is one balancer with little load, so it is like a worker.
    let workers = shape.groups.iter().find(|g| !g.is_master);
    if shape.balancer
        && let Some(kind) = workers.or(shape.groups.first())
    {
        let mut one = member(BALANCER, BALANCER, kind).definition();
        one["depends_on"] = after;
        resources.insert(BALANCER.into(), one);
    }
    resources.insert(
        HANDLE.into(),
        json!({ "type": "OS::Heat::WaitConditionHandle" }),
    );
    resources.insert(
        "nodes_ready".into(),
        json!({ "type": "OS::Heat::WaitCondition", "properties": {
            "handle": { "get_resource": HANDLE },
            "count": { "get_param": "wait_count" },
            "timeout": { "get_param": "wait_timeout" } } }),
    );
    let mut outputs = Map::new();
    for group in &shape.groups {
        outputs.insert(
            format!("{}_addresses", group.word),
            json!({ "value": { "get_attr": [group.resource, "first_address"] } }),
        );
    }
    outputs.insert("network".into(), json!({ "value": network }));
    if shape.balancer {
        outputs.insert(
            "balancer_address".into(),
            json!({ "value": { "get_attr": [BALANCER, "first_address"] } }),
        );
    }
    json!({
        "heat_template_version": "2018-08-31",
        "description": parts.description,
        "parameters": declared(shape),
        "resources": resources,
        "outputs": outputs,
    })
    .to_string()
}

fn own_network(shape: &Shape, resources: &mut Map<String, Value>) {
    resources.insert(
        "network".into(),
        json!({ "type": "OS::Neutron::Net", "properties": { "name": { "get_param": "name" } } }),
    );
    let mut subnet = json!({ "network": { "get_resource": "network" },
        "name": { "get_param": "name" }, "ip_version": 4 });
    if let Some(map) = subnet.as_object_mut() {
        if let Some(cidr) = &shape.cidr {
            map.insert("cidr".into(), json!(cidr));
        }
        if !shape.dns.is_empty() {
            map.insert("dns_nameservers".into(), json!(shape.dns));
        }
    }
    resources.insert(
        SUBNET.into(),
        json!({ "type": "OS::Neutron::Subnet", "properties": subnet }),
    );
    let Some(external) = &shape.external_network else {
        return;
    };
    resources.insert(
        "router".into(),
        json!({ "type": "OS::Neutron::Router", "properties": {
            "name": { "get_param": "name" },
            "external_gateway_info": { "network": external } } }),
    );
    resources.insert(
        "router_interface".into(),
        json!({ "type": "OS::Neutron::RouterInterface", "properties": {
            "router": { "get_resource": "router" }, "subnet": { "get_resource": "subnet" } } }),
    );
}

struct Member<'a> {
    shape: &'a Shape,
    coe: &'a str,
    role: &'a str,
    word: &'a str,
    /// Names of the parameters with its flavor and image.
    flavor: String,
    image: String,
    network: &'a Value,
    gateway: &'a Value,
}

impl Member<'_> {
    fn definition(&self) -> Value {
        let word = self.word;
        let prefix = &self.shape.prefix;
        let (name, index, token) = if self.role == BALANCER {
            let token = json!({ "get_param": "balancer_token" });
            (format!("{prefix}-{word}"), "0", token)
        } else {
            let token = json!({ "get_param": [format!("{word}_tokens"), "%index%"] });
            (format!("{prefix}-{word}-%index%"), "%index%", token)
        };
        let seed = format!(
            "{{\"server\":\"$gateway:$port\",\"pin\":\"$pin\",\"token\":\"$token\",\
             \"cluster\":\"$cluster\",\"node\":\"{name}\",\"role\":\"{}\",\"index\":{index},\
             \"coe\":\"{}\"}}",
            self.role, self.coe
        );
        let mut properties = json!({
            "name": name,
            "image": { "get_param": self.image },
            "flavor": { "get_param": self.flavor },
            "networks": [{ "network": self.network }],
            "security_groups": [{ "get_resource": "secgroup" }],
            "user_data_format": "RAW",
            // A rebuilt server gets a new token; a new token never replaces a
            // server.
            "user_data_update_policy": "IGNORE",
            "user_data": { "str_replace": { "template": seed, "params": {
                "$gateway": self.gateway,
                "$port": { "get_param": "bootstrap_port" },
                "$pin": { "get_param": "bootstrap_pin" },
                "$token": token,
                "$cluster": { "get_param": "cluster_uuid" },
            } } },
            "metadata": { "cluster": { "get_param": "cluster_uuid" }, "role": self.role },
        });
        if let Some(key) = &self.shape.keypair {
            properties["key_name"] = json!(key);
        }
        // A hint for host-root as well would change the servers of clusters of
        // earlier releases, and so replace them.
        let level = self.shape.isolation;
        if level != Isolation::default() {
            properties["scheduler_hints"] = json!({ "isolation": level.as_stored() });
        }
        json!({ "type": "OS::Nova::Server", "properties": properties })
    }
}

fn declared(shape: &Shape) -> Value {
    let mut parameters = Map::new();
    if shape.balancer {
        let token = json!({ "type": "string", "hidden": true });
        parameters.insert("balancer_token".into(), token);
    }
    let words = |suffix: &'static str| {
        let words = shape.groups.iter().map(|g| g.word.as_str());
        words.map(move |word| format!("{word}_{suffix}"))
    };
    let texts = ["name", "cluster_uuid"].map(str::to_owned).into_iter();
    let images = shape.groups.iter().map(|g| g.image.clone());
    for name in texts.chain(images).chain(words("flavor")) {
        parameters.insert(name, json!({ "type": "string" }));
    }
    parameters.insert("bootstrap_pin".into(), json!({ "type": "string" }));
    let numbers = ["wait_count", "wait_timeout", "bootstrap_port"].map(str::to_owned);
    for name in words("count").chain(numbers) {
        parameters.insert(name, json!({ "type": "number" }));
    }
    for name in words("tokens") {
        parameters.insert(name, json!({ "type": "json", "hidden": true }));
    }
    for name in words("removed") {
        parameters.insert(
            name,
            json!({ "type": "comma_delimited_list", "default": "" }),
        );
    }
    Value::Object(parameters)
}

/// Parameters that depend on the size of the cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    pub(crate) groups: Vec<GroupSize>,
    /// Number of signals that the wait condition expects over the life of the
    /// cluster.
    pub(crate) wait_count: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct GroupSize {
    /// As in [`GroupShape`].
    pub(crate) word: String,
    pub(crate) count: usize,
    /// One-time tokens of the desired nodes, by index.
    pub(crate) tokens: BTreeMap<String, String>,
    /// Indices that were used and removed.
    pub(crate) removed: Vec<String>,
}

/// Parameters that depend on the size.
pub(crate) fn size_parameters(sizes: &Sizes) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for group in &sizes.groups {
        let word = &group.word;
        out.insert(format!("{word}_count"), json!(group.count));
        out.insert(format!("{word}_tokens"), json!(group.tokens));
        out.insert(format!("{word}_removed"), json!(group.removed));
    }
    out.insert("wait_count".into(), json!(sizes.wait_count.max(1)));
    out
}
