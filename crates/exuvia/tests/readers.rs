//! What others make of a snapshot's folder: DuckDB runs the queries of docs/snapshot-format.md, pandas and polars read every
//! table, with as many rows. Asked for with `EXUVIA_PYPI=1`; and a folder of an earlier version is read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{may_trace, python, root, run};
use testbed::Scratch;

/// Packages that read Parquet.
const READERS: &[&str] = &["duckdb", "pandas", "polars", "pyarrow"];

/// Prints for each table its rows as pandas and polars count them, then for each query of stdin how many rows it has.
const SCRIPT: &str = "
import sys, glob, os, duckdb, pandas, polars
os.chdir(sys.argv[1])
for f in sorted(glob.glob('*.parquet')):
    a, b, c = len(pandas.read_parquet(f)), polars.read_parquet(f).height, duckdb.sql(f\"SELECT count(*) FROM '{f}'\").fetchall()[0][0]
    assert a == b == c, (f, a, b, c)
    print('table', f, a)
for query in sys.stdin.read().split(';'):
    if query.strip():
        print('query', len(duckdb.sql(query).fetchall()))
";

#[test]
fn others_read_it_unmodified() {
    if !may_trace() {
        return;
    }
    if !testbed::packages::wanted() {
        println!("left out: DuckDB, pandas and polars come from PyPI: EXUVIA_PYPI=1");
        return;
    }
    let venv = testbed::packages::folder().join("readers");
    let venv_python = venv.join("bin/python3");
    if !venv.join("installed").exists() {
        let make = |program: &Path, args: &[&str]| {
            let out = Command::new(program).args(args).output().unwrap();
            assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        };
        // The newest releases have no wheels of everything yet, and Debian's have no ensurepip: who reads is any that has both.
        let all = &testbed::interpreters().found;
        let reader = all.iter().filter(|py| py.minor <= 13 && !py.name.contains('(')).max_by_key(|py| py.minor).expect("one of pyenv's");
        make(&reader.path, &["-m", "venv", venv.to_str().unwrap()]);
        make(&venv_python, &[&["-m", "pip", "install", "--quiet", "--only-binary", ":all:"], READERS].concat());
        std::fs::write(venv.join("installed"), "").unwrap();
    }
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("shop");
    let app = root().join("examples/shop/app.py");
    let ran = run(&["snapshot", "-o", folder.to_str().unwrap(), "--", python().path.to_str().unwrap(), app.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");

    let page = std::fs::read_to_string(root().join("docs/snapshot-format.md")).unwrap();
    let queries: Vec<&str> = page.split("```sql\n").skip(1).filter_map(|p| p.split("```").next()).collect();
    assert_eq!(queries.len(), 10);
    let file = scratch.path().join("queries.sql");
    std::fs::write(&file, queries.concat()).unwrap();
    let mut readers = Command::new(&venv_python);
    readers.args(["-c", SCRIPT, folder.to_str().unwrap()]).stdin(std::fs::File::open(file).unwrap());
    let out = readers.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    let rows = |word: &str| {
        text.lines().filter(|l| l.starts_with(word)).map(|l| l.rsplit(' ').next().unwrap().parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(rows("table").len(), snapshot::file::TABLES.len(), "{text}");
    assert_eq!(rows("query").len(), 10, "{text}");
    // The shop has no container with a bound of its own, and no asyncio.
    let empty: Vec<&str> = text.lines().filter(|l| l.starts_with("table") && l.ends_with(" 0")).collect();
    assert_eq!(empty, ["table bounds.parquet 0", "table tasks.parquet 0"], "{text}");
    assert!(rows("query").iter().all(|n| *n > 0), "{text}");
}

/// A folder as format 1 was first written. Later versions must read it with the same numbers.
#[test]
fn a_kept_snapshot_of_format_1_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept/format-1");
    let folder = folder.to_str().unwrap();
    let answer: serde_json::Value = serde_json::from_str(run(&["types", "--json", folder]).answered()).unwrap();
    assert_eq!(answer["coverage"]["objects"], 15427);
    assert_eq!(answer["target"]["python"], "3.11.2");
    let row = answer["types"].as_array().unwrap().iter().find(|t| t["type"] == "__main__.Kept").unwrap().clone();
    assert_eq!(row["count"], 100);
    let listed = run(&["objects", "--json", "--limit", "1", "--type", "__main__.Kept", folder]);
    let object: serde_json::Value = serde_json::from_str(listed.answered().lines().nth(1).unwrap()).unwrap();
    let shown = run(&["object", folder, object["address"].as_str().unwrap()]);
    assert!([".n ", ".name ", ".more "].iter().all(|name| shown.answered().contains(name)), "{shown:#?}");
}

/// A folder of the same format with what was added since: references by holder, facts about contents. Later versions must read it with the
/// same numbers.
#[test]
fn a_kept_snapshot_with_facts_and_its_graph_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept/format-1-facts");
    let folder = folder.to_str().unwrap();
    let answer: serde_json::Value = serde_json::from_str(run(&["retained", "--json", "--limit", "0", folder]).answered()).unwrap();
    assert_eq!(answer["coverage"]["objects"], 15631);
    let rows = answer["owners"].as_array().unwrap().iter().find(|o| o["path"] == "__main__.rows").unwrap().clone();
    assert_eq!((rows["retained_bytes"].as_u64(), rows["objects"].as_u64()), (Some(57_620), Some(668)), "{rows}");
    let reader = snapshot::file::Reader::open(Path::new(folder)).unwrap();
    let told = reader.numbers("objects", "fingerprint").unwrap().expect("the column is there");
    assert!(told.iter().flatten().count() > 5000);
}
