//! Checks of documents against the tree, and of every file for words that have no place in a public repository.
//!
//! Holds: those. Never: changes a document.

use std::collections::BTreeSet;

use super::{Complaint, Tree};
use crate::{bench, matrix};

const LAYOUTS: &str = "crates/cpython/src/layout/";

/// No file names the host of a package registry or mirror, or a path of somebody's machine. (Lock files name registries by design.)
pub(crate) fn hosts_and_paths(tree: &Tree) -> Vec<Complaint> {
    // Composed, so that this file does not complain of itself.
    let hosts =
        [("pypi", "org"), ("pythonhosted", "org"), ("crates", "io"), ("deb.debian", "org"), ("npmjs", "org"), ("rust-lang", "org/dist")]
            .map(|(name, end)| format!("{name}.{end}"));
    let hosts: Vec<String> = hosts.into_iter().chain([["proxy", "golang", "org"].join(".")]).collect();
    let paths = [["", "root", ""].join("/"), ["", "work", ""].join("/"), ["", "tmp", "bash_jobs"].join("/")];
    let mut complaints = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| !path.ends_with(".lock")) {
        for (index, line) in text.lines().enumerate() {
            let host = hosts.iter().find(|host| line.contains(host.as_str()));
            let machine = paths.iter().find(|one| is_absolute_in(line, one));
            if let Some(found) = host.or(machine) {
                complaints.push(format!("{path}:{}: {found}", index + 1));
            }
        }
    }
    complaints
}

/// Whether `path` stands in `line` as the start of a path, not within one, as in `/proc/PID/root/x`.
fn is_absolute_in(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| line[..at].chars().next_back().is_none_or(|before| " \t\"'`(=:,<>|[".contains(before)))
}

/// The first cells of the table below "## Crates" are the crates, and xtask.
pub(crate) fn architecture(tree: &Tree) -> Vec<Complaint> {
    const PAGE: &str = "ARCHITECTURE.md";
    let Some(page) = tree.files.get(PAGE) else { return vec![format!("{PAGE}: not there")] };
    let section = page.split("\n## ").find(|section| section.starts_with("Crates\n")).unwrap_or("");
    let listed: BTreeSet<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let there: BTreeSet<&str> =
        tree.files.keys().filter_map(|path| path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")).chain(["xtask"]).collect();
    let missing = there.difference(&listed).map(|name| format!("{PAGE}: the table below \"## Crates\" lacks `{name}`"));
    let gone = listed.difference(&there).map(|name| format!("{PAGE}: there is no crate `{name}`"));
    missing.chain(gone).collect()
}

/// `docs/GLOSSARY.md` holds the words.
pub(crate) fn glossary(tree: &Tree) -> Vec<Complaint> {
    match tree.files.get("docs/GLOSSARY.md").is_some_and(|text| !text.trim().is_empty()) {
        true => Vec::new(),
        false => vec!["docs/GLOSSARY.md: not there".to_owned()],
    }
}

/// `tables![…]` in the layout module names each file below `tables/`: a table that is not in the list is never tried.
pub(crate) fn tables(tree: &Tree) -> Vec<Complaint> {
    let module = format!("{LAYOUTS}mod.rs");
    let text = tree.files.get(&module).map_or("", String::as_str);
    let list = text.split("\ntables![").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or("");
    let listed: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    let there: BTreeSet<&str> =
        tree.files.keys().filter_map(|path| path.strip_prefix(LAYOUTS)?.strip_prefix("tables/")?.strip_suffix(".txt")).collect();
    let missing = there.difference(&listed).map(|name| format!("{module}: the list `tables!` lacks \"{name}\""));
    let gone = listed.difference(&there).map(|name| format!("{module}: there is no table {name}.txt"));
    missing.chain(gone).collect()
}

/// docs/support-matrix.md names no test that is not there, and has a column for each supported minor release.
pub(crate) fn support_matrix(tree: &Tree) -> Vec<Complaint> {
    let Some(page) = tree.files.get(matrix::PAGE) else { return vec![format!("{}: not there; run cargo xtask matrix", matrix::PAGE)] };
    let mut complaints = Vec::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).filter(|row| *row != "test" && *row != "---") {
        let function = format!("fn {}(", row.replace(' ', "_"));
        if !tree.files.iter().any(|(path, text)| path.ends_with(".rs") && text.contains(&function)) {
            complaints.push(format!("{}: there is no test \"{row}\" any more; run cargo xtask matrix after the tests", matrix::PAGE));
        }
    }
    for table in tree.files.keys().filter_map(|path| path.strip_prefix(LAYOUTS)?.strip_prefix("tables/")) {
        let minor: Vec<&str> = table.split('.').take(2).collect();
        if !page.contains(&format!("| {}.", minor.join("."))) {
            complaints.push(format!("{}: no column for {}; run cargo xtask matrix after the tests", matrix::PAGE, minor.join(".")));
        }
    }
    complaints
}

/// The benchmark's section of the README is what the kept runs say.
pub(crate) fn bench_section(tree: &Tree) -> Vec<Complaint> {
    const PAGE: &str = "README.md";
    let Some(page) = tree.files.get(PAGE) else { return vec![format!("{PAGE}: not there")] };
    let records = match bench::kept(tree.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))) {
        Ok(records) => records,
        Err(trouble) => return vec![trouble.to_string()],
    };
    match bench::table::written_into(page, &bench::table::section(&records)) {
        None => vec![format!("{PAGE}: no place for the benchmark's table ({})", bench::table::BEGIN)],
        Some(current) if current == *page => Vec::new(),
        Some(_) => vec![format!("{PAGE}: the benchmark's table is not what bench/runs says; run cargo xtask bench --table")],
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn hosts_and_machine_paths_are_found() {
        let check = |text: &str| hosts_and_paths(&tree(&[("docs/a.md", text)])).len();
        assert_eq!(check(&format!("see {}", ["https://pypi", "org/simple"].join("."))), 1);
        assert_eq!(check(&format!("run {}", ["", "root", ".pyenv"].join("/"))), 1);
        assert_eq!(check(&format!("PATH={}", ["", "work", "x"].join("/"))), 1);
        assert_eq!(check("open /proc/PID/root/usr, docs/work/x and target/work/y"), 0);
        assert_eq!(hosts_and_paths(&tree(&[("Cargo.lock", &["crates", "io"].join("."))])), Vec::<String>::new());
    }

    #[test]
    fn a_crate_that_the_page_forgets_is_found() {
        let page =
            |rows: &str| format!("# Architecture\n\n## Crates\n\n| crate | holds |\n| --- | --- |\n{rows}\n## Next\n| `ghost` | |\n");
        let check = |rows: &str| {
            let page = page(rows);
            architecture(&tree(&[("ARCHITECTURE.md", &page), ("crates/memory/Cargo.toml", ""), ("crates/alloc/Cargo.toml", "")]))
        };
        assert_eq!(check("| `memory` | x |\n| `alloc` | y |\n| `xtask` | z |\n"), Vec::<String>::new());
        assert_eq!(check("| `memory` | x |\n| `xtask` | z |\n| `tui` | z |\n").len(), 2);
        assert_eq!(architecture(&tree(&[])).len(), 1);
    }

    #[test]
    fn a_stale_benchmark_is_found() {
        let record = bench::table::tests::record("2026-01-02T00:00:00Z", "cpu", &[("exuvia", 500.0)]);
        let text = serde_json::to_string(&record).expect("a record is JSON");
        let page = |section: &str| format!("# x\n{}\n{section}{}\n", bench::table::BEGIN, bench::table::END);
        let check = |section: &str| bench_section(&tree(&[("README.md", &page(section)), ("bench/runs/a.json", &text)]));
        assert_eq!(check(&bench::table::section(&[record])), Vec::<String>::new());
        assert_eq!(check("old\n").len(), 1);
        assert_eq!(bench_section(&tree(&[("README.md", "no place")])).len(), 1);
    }

    #[test]
    fn a_stale_support_matrix_is_found() {
        let check = |page: &str| {
            let table = format!("{LAYOUTS}tables/3.12.1.txt");
            support_matrix(&tree(&[(matrix::PAGE, page), (&table, ""), ("crates/a/tests/a.rs", "fn all_found() {}\n")])).len()
        };
        assert_eq!(check("| test | 3.12.1 |\n| --- | :-: |\n| all found | ✓ |\n"), 0);
        assert_eq!(check("| test | 3.12.1 |\n| --- | :-: |\n| gone since | ✓ |\n"), 1);
        assert_eq!(check("| test | 3.11.7 |\n| --- | :-: |\n| all found | ✓ |\n"), 1);
        assert_eq!(support_matrix(&tree(&[])).len(), 1);
    }

    #[test]
    fn a_missing_glossary_is_found() {
        assert_eq!(glossary(&tree(&[("docs/GLOSSARY.md", "# Words\n")])), Vec::<String>::new());
        assert_eq!(glossary(&tree(&[])).len(), 1);
    }

    #[test]
    fn a_table_outside_the_list_is_found() {
        let check = |list: &str| {
            let module = format!("macro_rules! tables {{}}\n\ntables![{list}];\n");
            tables(&tree(&[("crates/cpython/src/layout/mod.rs", &module), ("crates/cpython/src/layout/tables/3.12.1.txt", "")]))
        };
        assert_eq!(check("\"3.12.1\""), Vec::<String>::new());
        assert_eq!(check("").len(), 1);
        assert_eq!(check("\"3.12.1\", \"3.13.0\"").len(), 1);
    }
}
