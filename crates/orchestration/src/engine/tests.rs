//! Tests of the pure parts.

use kernel::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use lang::hot::{Bound, Pseudo, Template};
use proptest::prelude::*;

use super::conclude::RunVerdict;
use super::graph::{Graph, sort};
use super::stack_state::{Model, StackState};
use crate::api::{Action, Status};
use crate::stack::{Signals, StackRow};

fn graph(text: &str) -> Result<Graph, String> {
    let template = Template::parse(text).expect("a template");
    let bound = Bound::new(template, &BTreeMap::new(), &Pseudo::default()).expect("bound");
    Graph::of(&bound).map_err(|p| p.to_string())
}

proptest! {
    /// Every name occurs once, after its dependencies; a cycle is reported.
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
fn implicit_dependencies_and_conditions_are_respected() {
    let g = graph(NET).expect("no circle");
    let needs = |n: &str| {
        let number = g.number(n).expect("it exists");
        let needs = g.needs(number).iter();
        needs.map(|n| g.name(*n)).collect::<Vec<_>>()
    };
    assert_eq!(
        needs("server"),
        ["net", "subnet"],
        "the dependency on the subnet is implicit"
    );
    assert!(needs("other").is_empty());
    assert!(
        needs("net").is_empty(),
        "a resource with a false condition is not waited for"
    );
    assert_eq!(needs("pick"), ["net"], "only the chosen branch");
    assert!(g.number("extra").is_none());
}

#[test]
fn a_cycle_is_reported_with_its_names() {
    let text = "heat_template_version: 2021-04-16\nresources:\n  a: {type: OS::Heat::None, depends_on: b}\n  b: {type: OS::Heat::None, depends_on: a}\n";
    assert_eq!(
        graph(text).unwrap_err(),
        "resources: line 3: Circular Dependency Found: a -> b -> a"
    );
}

fn stack(text: &str) -> StackState {
    let template = Template::parse(text).expect("a template");
    let bound = Bound::new(template, &BTreeMap::new(), &Pseudo::default()).expect("bound");
    let graph = Graph::of(&bound).expect("no circle");
    let mut row = StackRow {
        id: "s".into(),
        project_id: "p".into(),
        user_id: "u".into(),
        name: "s".into(),
        template: text.into(),
        parameters: BTreeMap::new(),
        previous: None,
        outputs: BTreeMap::new(),
        timeout_mins: 60,
        disable_rollback: true,
        owner: None,
        action: Action::Create,
        status: Status::InProgress,
        reason: String::new(),
        cause: None,
        emptying: false,
        generation: 1,
        traversal: 0,
        started_at: Timestamp::EPOCH,
        deadline_at: Timestamp::EPOCH,
        created_at: Timestamp::EPOCH,
    };
    row.set_target(Action::Create, Timestamp::EPOCH);
    StackState::new(
        row,
        Some(Model { bound, graph }),
        Vec::new(),
        Signals::default(),
        Timestamp::EPOCH,
    )
}

/// Every resource is stepped when its last dependency is complete, and not
/// before.
#[test]
fn a_chain_takes_one_step_per_resource() {
    let mut text = "heat_template_version: 2021-04-16\nresources:\n".to_owned();
    for i in 0..1000 {
        let after = if i == 0 {
            String::new()
        } else {
            format!(", depends_on: r{}", i - 1)
        };
        text.push_str(&format!("  r{i}: {{type: OS::Heat::None{after}}}\n"));
    }
    let mut state = stack(&text);
    assert_eq!(state.decide(), Some(RunVerdict::Over));
    assert_eq!(state.stack.status, Status::Complete);
    assert_eq!(state.forward.steps, 1000);
    assert_eq!(state.changes.written.len(), 1000, "each is written once");
}

#[test]
fn members_and_results_take_one_step_each() {
    let mut state = stack(
        "heat_template_version: 2021-04-16\nresources:\n  g: {type: OS::Heat::ResourceGroup, properties: {count: 1000, resource_def: {type: OS::Neutron::Net, properties: {name: n-%index%}}}}\n",
    );
    assert_eq!(state.decide(), None, "effects are under way");
    assert_eq!(state.forward.steps, 1001);
    let launches = std::mem::take(&mut state.launches);
    assert_eq!(launches.len(), 1000);
    for launch in launches {
        let done = crate::resource::Progress::Done(serde_json::Map::new());
        state.apply_progress(launch.slot, Ok(done));
        state.requeue(launch.slot);
    }
    assert_eq!(state.decide(), Some(RunVerdict::Over));
    assert_eq!(state.forward.steps, 2001);
    let names = state
        .resources
        .iter()
        .filter_map(|(_, p)| p.props.get("name"));
    assert_eq!(names.filter(|n| *n == "n-7").count(), 1);
}
