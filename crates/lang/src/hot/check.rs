//! Static checks of the function calls in a node: unknown parameters, unsupported
//! functions and the form of arguments.

use super::bound::Bound;
use super::condition::YAQL;
use super::version;
use crate::{Kind, Node, Path, Problem};

/// Adds the problems of all function calls inside a node.
pub fn check(bound: &Bound, node: &Node, path: &Path<'_>, problems: &mut Vec<Problem>) {
    let Some((name, args)) = version::call(node, bound.template.version) else {
        match &node.kind {
            Kind::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    check(bound, item, &path.index(i), problems);
                }
            }
            Kind::Map(map) => {
                for (key, entry) in map {
                    check(bound, &entry.value, &path.key(key), problems);
                }
            }
            _ => {}
        }
        return;
    };
    let here = path.key(name);
    let before = problems.len();
    if let Err(why) = check_form(bound, name, args) {
        problems.push(Problem::new(here, args.pos, why));
    }
    if problems.len() == before {
        check_arguments(bound, name, args, &here, problems);
    }
}

/// Checks the arguments of a call. As in Heat, only the selected branch of an `if` is
/// checked.
fn check_arguments(
    bound: &Bound,
    name: &str,
    args: &Node,
    path: &Path<'_>,
    problems: &mut Vec<Problem>,
) {
    let ("if", Some([condition, branches @ ..])) = (name, args.as_list()) else {
        check(bound, args, path, problems);
        return;
    };
    match super::condition::inline(bound, condition, path) {
        Ok(taken) => {
            let at = usize::from(!taken);
            if let Some(branch) = branches.get(at) {
                check(bound, branch, &path.index(at + 1), problems);
            }
        }
        Err(problem) => problems.push(problem),
    }
}

/// Checks the form of the arguments of a call.
fn check_form(bound: &Bound, name: &str, args: &Node) -> Result<(), String> {
    let items = args.as_list().unwrap_or_default();
    let computed = |n: &Node| version::call(n, bound.template.version).is_some();
    let ok = |yes: bool, why: &str| if yes { Ok(()) } else { Err(why.to_owned()) };
    match name {
        "get_param" => {
            let first = if args.as_list().is_some() { items.first() } else { Some(args) };
            match first {
                Some(n) if computed(n) => Ok(()),
                Some(Node { kind: Kind::Text(p), .. }) => match bound.param(p) {
                    Some(_) => Ok(()),
                    None => Err(format!("The Parameter ({p}) was not provided.")),
                },
                _ => Err("\"get_param\" takes a name or [name, key, …].".into()),
            }
        }
        "get_resource" => ok(
            args.as_text().is_some() || computed(args),
            "\"get_resource\" takes the name of a resource.",
        ),
        "get_attr" => ok(
            items.first().is_some_and(|n| n.as_text().is_some() || computed(n)),
            "\"get_attr\" takes [resource, attribute, key, …].",
        ),
        "str_replace" | "str_replace_strict" | "str_replace_vstrict" => {
            let map = args.as_map();
            let both = map.is_some_and(|m| {
                m.len() == 2 && m.contains_key("template") && m.contains_key("params")
            });
            ok(
                both,
                "\"str_replace\" takes {template: text, params: map}.",
            )
        }
        "repeat" => ok(
            args.get("template").is_some() && args.get("for_each").is_some(),
            "\"repeat\" takes {template, for_each: {variable: list}}.",
        ),
        "if" => ok(
            items.len() == 3 || (items.len() == 2 && bound.template.version >= "2021-04-16"),
            "\"if\" takes [condition, value if true, value if false].",
        ),
        "digest" => ok(items.len() == 2, "\"digest\" takes [algorithm, text]."),
        "list_join" => ok(
            items.len() >= 2 || computed(args),
            "\"list_join\" takes [delimiter, list, …].",
        ),
        "str_split" => ok(
            items.len() == 2 || items.len() == 3 || computed(args),
            "\"str_split\" takes [delimiter, text] or [delimiter, text, index].",
        ),
        "map_merge" => ok(
            args.as_list().is_some() || computed(args),
            "\"map_merge\" takes a list of maps.",
        ),
        "map_replace" => ok(
            items.len() == 2 || computed(args),
            "\"map_replace\" takes [map, {keys: map, values: map}].",
        ),
        "yaql" => Err(YAQL.into()),
        "get_file" => Err("The function get_file is not supported yet; put the content into the template or a parameter.".into()),
        "make_url" | "resource_facade" => Err(format!("The function {name} is not supported yet.")),
        _ => Ok(()),
    }
}
