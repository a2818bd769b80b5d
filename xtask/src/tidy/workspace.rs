//! Checks of the manifests: who may depend on whom, and why each dependency is there.
//!
//! Holds: the two. Never: resolves versions; cargo does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Complaint, Tree};

/// Crates right of the snapshot, which are pure functions of it.
const RIGHT_OF_SNAPSHOT: &[&str] = &["exuvia-snapshot", "exuvia-analyses", "exuvia-report", "exuvia-graph"];

/// What could reach a process.
const REACHES_PROCESSES: &[&str] = &["exuvia-target", "exuvia-capture", "nix", "libc", "rustix"];

/// The crates right of the snapshot depend, through whatever crates of ours, on nothing that could reach a process.
pub(crate) fn right_of_snapshot(tree: &Tree) -> Vec<Complaint> {
    let depends = dependencies(&tree.metadata);
    let mut complaints = Vec::new();
    for start in RIGHT_OF_SNAPSHOT.iter().filter(|name| depends.contains_key(**name)) {
        let mut ahead = vec![(*start).to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(name) = ahead.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            if REACHES_PROCESSES.contains(&name.as_str()) {
                complaints.push(format!("{start} depends on {name}"));
            }
            ahead.extend(depends.get(&name).into_iter().flatten().cloned());
        }
    }
    complaints
}

/// Workspace member → what its shipped code depends on.
fn dependencies(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
    let array = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let shipped = |dependency: &Value| dependency.get("kind").is_none_or(Value::is_null);
    array(metadata, "packages")
        .iter()
        .map(|package| (name(package), array(package, "dependencies").iter().filter(|one| shipped(one)).map(name).collect()))
        .collect()
}

/// In the root manifest a line `# name: why.` stands above each foreign dependency (one line for several that belong together); the other
/// manifests take theirs from there.
pub(crate) fn reasons(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let mut section = "";
        let mut reasoned: Vec<&str> = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
                reasoned.clear();
            } else if let Some(reason) = line.strip_prefix('#') {
                if let Some((names, why)) = reason.split_once(':') {
                    reasoned = if why.trim().is_empty() { Vec::new() } else { names.split(',').map(str::trim).collect() };
                }
            } else if let (true, Some((key, value))) = (section.ends_with("dependencies]"), line.split_once('=')) {
                let name = key.trim().trim_end_matches(".workspace");
                let is_ours = value.contains("path");
                if section == "[workspace.dependencies]" {
                    if !is_ours && !reasoned.contains(&name) {
                        complaints.push(format!("{path}: {name} without a line `# {name}: why it is there`"));
                    }
                } else if !is_ours && !line.replace(' ', "").contains("workspace=true") {
                    complaints.push(format!("{path}: {name} is not taken from the workspace"));
                }
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_way_back_to_a_process_is_found() {
        let check = |capture_kind: Value| {
            let metadata = serde_json::json!({"packages": [
                {"name": "exuvia-analyses", "dependencies": [{"name": "exuvia-snapshot", "kind": null}, {"name": "rayon", "kind": null}]},
                {"name": "exuvia-snapshot", "dependencies": [{"name": "exuvia-helper", "kind": capture_kind}]},
                {"name": "exuvia-helper", "dependencies": [{"name": "libc", "kind": null}]},
                {"name": "exuvia-capture", "dependencies": [{"name": "exuvia-target", "kind": null}]},
            ]});
            right_of_snapshot(&Tree { metadata, ..Tree::default() })
        };
        assert_eq!(check(Value::Null), ["exuvia-snapshot depends on libc", "exuvia-analyses depends on libc"]);
        assert_eq!(check("dev".into()), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let check = |text: &str| reasons(&tree(&[("Cargo.toml", text)])).len();
        assert_eq!(check("[workspace.dependencies]\nmemory = { path = \"crates/memory\" }\n# serde, serde_json: JSON.\nserde = \"1\"\nserde_json = \"1\"\n"), 0);
        assert_eq!(check("[workspace.dependencies]\n# serde: JSON.\nserde = \"1\"\nrayon = \"1\"\n"), 1);
        assert_eq!(check("[workspace.dependencies]\n# serde:\nserde = \"1\"\n"), 1);
        let member = |line: &str| reasons(&tree(&[("crates/a/Cargo.toml", &format!("[dependencies]\n{line}\n"))])).len();
        assert_eq!((member("serde.workspace = true"), member("object = { workspace = true }"), member("serde = \"1\"")), (0, 0, 1));
    }
}
