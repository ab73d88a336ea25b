//! Tests of the pure parts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lang::hot::{Bound, Pseudo, Template};
use proptest::prelude::*;

use super::graph::{Graph, sort};

fn graph(text: &str) -> Result<Graph, String> {
    let template = Template::parse(text).expect("a template");
    let bound = Bound::new(template, &BTreeMap::new(), &Pseudo::default()).expect("bound");
    Graph::of(&bound).map_err(|p| p.to_string())
}

proptest! {
    /// Every name comes once, after all that it needs; a circle is told.
    #[test]
    fn the_order_respects_every_need(edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..30)) {
        let names: Vec<String> = (0..12).map(|i| format!("r{i}")).collect();
        let mut deps: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (a, b) in &edges {
            deps.entry(names[*a].clone()).or_default().insert(names[*b].clone());
        }
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        match sort(&list, &deps) {
            Ok(order) => {
                prop_assert_eq!(order.len(), names.len());
                for (name, needs) in &deps {
                    let at = order.iter().position(|n| n == name);
                    for need in needs {
                        prop_assert!(order.iter().position(|n| n == need) < at);
                    }
                }
            }
            Err(circle) => {
                prop_assert!(circle.len() > 1);
                prop_assert_eq!(circle.first(), circle.last());
                for pair in circle.windows(2) {
                    prop_assert!(deps[&pair[0]].contains(&pair[1]));
                }
            }
        }
    }
}

const NET: &str = "heat_template_version: 2021-04-16
parameters: {big: {type: boolean, default: false}}
conditions: {is_big: {get_param: big}}
resources:
  server: {type: OS::Nova::Server, properties: {image: i, flavor: f, networks: [{network: {get_resource: net}}]}}
  other: {type: OS::Nova::Server, properties: {image: i, flavor: f, networks: [{network: elsewhere}]}}
  subnet: {type: OS::Neutron::Subnet, properties: {network_id: {get_resource: net}}}
  net: {type: OS::Neutron::Net, depends_on: extra}
  extra: {type: OS::Heat::None, condition: is_big}
  pick: {type: OS::Heat::Value, properties: {value: {if: [is_big, {get_resource: server}, {get_resource: net}]}}}
";

#[test]
fn implied_needs_and_conditions_count() {
    let g = graph(NET).expect("no circle");
    let needs = |n: &str| g.deps[n].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(needs("server"), ["net", "subnet"], "the subnet is implied");
    assert!(needs("other").is_empty());
    assert!(
        needs("net").is_empty(),
        "what a condition turned off is not waited for"
    );
    assert_eq!(needs("pick"), ["net"], "only the branch that counts");
    assert!(!g.order.contains(&"extra".to_owned()));
}

#[test]
fn a_circle_is_told_with_its_names() {
    let text = "heat_template_version: 2021-04-16\nresources:\n  a: {type: OS::Heat::None, depends_on: b}\n  b: {type: OS::Heat::None, depends_on: a}\n";
    assert_eq!(
        graph(text).unwrap_err(),
        "resources: line 3: Circular Dependency Found: a -> b -> a"
    );
}
