//! `cargo xtask layouts`: the layout tables below `crates/cpython/src/layout/tables`, made from builds that this machine has.
//!
//! Holds: the command's arguments, the list of builds, writing and checking. Never: touches the reader of the tables.
//! See CONTRIBUTING.md, "Add a CPython release".

mod builds;
mod changes;
mod debian;
mod dwarf;
mod headers;
mod table;
mod usage;
mod wanted;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use builds::{Build, Named, Outcome};
use table::Table;

use crate::pythons::{numbers, pyenv};
use crate::trouble::{Doing, Done, Trouble};

/// What `cargo xtask layouts --help` says.
pub(crate) const HELP: &str = "\
cargo xtask layouts                       make every table that this machine can make again
  --fetch                                 get Debian's debug information of its releases first (apt, below target/)
  --check                                 write nothing; fail where a table would change
  --interpreter PATH                      only from this interpreter (built with debug information)
  --debug-info DIR --release 3.13.5 [--label debian]
                                          only from a folder of detached debug information
  --headers DIR [--label WHO] [--inherit 3.11.7]
                                          only from these C headers; what is private to .c files is taken over
  --show STRUCT [--interpreter PATH]      all members of a struct, as each interpreter's build has it
  --diff OLD NEW                          what changed between two tables
  --unused                                what fields.txt asks for and no source in crates/ names
  --compare DIR                           against JSON layouts from elsewhere, field by field";

const FIELDS: &str = "crates/cpython/src/layout/fields.txt";
const TABLES: &str = "crates/cpython/src/layout/tables";
const SCRATCH: &str = "target/layouts";

#[derive(Debug, Default)]
struct Arguments {
    fetch: bool,
    check: bool,
    unused: bool,
    interpreters: Vec<PathBuf>,
    debug_info: Option<PathBuf>,
    release: Option<String>,
    headers: Option<PathBuf>,
    label: Option<String>,
    inherit: Option<String>,
    show: Option<String>,
    diff: Option<(String, String)>,
    compare: Option<PathBuf>,
}

impl Arguments {
    fn read(words: &[String]) -> Done<Arguments> {
        let mut read = Arguments::default();
        let mut words = words.iter().cloned();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| Trouble::new(format!("{word}: a value is missing\n\n{HELP}")));
            match word.as_str() {
                "--fetch" => read.fetch = true,
                "--check" => read.check = true,
                "--unused" => read.unused = true,
                "--interpreter" => read.interpreters.push(value()?.into()),
                "--debug-info" => read.debug_info = Some(value()?.into()),
                "--release" => read.release = Some(value()?),
                "--headers" => read.headers = Some(value()?.into()),
                "--label" => read.label = Some(value()?),
                "--inherit" => read.inherit = Some(value()?),
                "--show" => read.show = Some(value()?),
                "--diff" => read.diff = Some((value()?, value()?)),
                "--compare" => read.compare = Some(value()?.into()),
                _ => return Err(Trouble::new(format!("{word}: not an option of this task\n\n{HELP}"))),
            }
        }
        Ok(read)
    }
}

/// Runs the task in the workspace at `root`.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    let arguments = Arguments::read(words)?;
    let tables = root.join(TABLES);
    if let Some((old, new)) = &arguments.diff {
        for line in changes::diff(&load(&tables, old)?, &load(&tables, new)?) {
            println!("{line}");
        }
        return Ok(());
    }
    if let Some(dir) = &arguments.compare {
        return compare(&tables, dir);
    }
    if let Some(name) = &arguments.show {
        return show(&arguments, name);
    }
    let scratch = root.join(SCRATCH);
    if arguments.fetch {
        debian::fetch(&scratch.join("debian"))?;
    }
    let path = root.join(FIELDS);
    let wanted = wanted::parse(&std::fs::read_to_string(&path).doing(path.display())?)?;
    if arguments.unused {
        let words = usage::words(&root.join("crates"))?;
        for line in usage::unused(&wanted, &words) {
            println!("{line}");
        }
        return Ok(());
    }
    let mut made: BTreeMap<String, Table> = BTreeMap::new();
    for build in chosen(&arguments, &scratch) {
        eprintln!("  reading {}", build.words());
        let older = |release: &str| match &arguments.inherit {
            Some(name) => Ok((name.clone(), load(&tables, name)?)),
            None => same_minor(release, &made, &tables),
        };
        let table = match build.table(&wanted, &scratch, older) {
            Err(trouble) if arguments.check && newer_than_all(build.release(), &load_all(&tables)?) => {
                println!("not covered: {}: newer than every table of its series, and none can be made of it: {trouble}", build.words());
                continue;
            }
            table => table?,
        };
        match table {
            Outcome::Unfit(why) => eprintln!("  left out {}: {why}", build.words()),
            Outcome::Table((name, table)) => {
                made.entry(name).or_insert(table);
            }
        }
    }
    if made.is_empty() && !arguments.check {
        return Err(Trouble::new("no build of CPython here that a table can be made of"));
    }
    match arguments.check {
        true => check(&tables, &made),
        false => write(&tables, &made, &wanted),
    }
}

/// The builds that were asked for, or all that the machine has: interpreters first, since headers inherit from them.
fn chosen(arguments: &Arguments, scratch: &Path) -> Vec<Build> {
    let mut builds: Vec<Build> = arguments.interpreters.iter().cloned().map(Build::Interpreter).collect();
    if let (Some(dir), Some(release)) = (&arguments.debug_info, &arguments.release) {
        builds.push(Build::DebugInfo(dir.clone(), release.clone(), arguments.label.clone()));
    }
    if let Some(dir) = &arguments.headers {
        builds.push(Build::Headers(dir.clone(), arguments.label.clone()));
    }
    if builds.is_empty() {
        builds = pyenv().into_iter().map(|(_, path)| Build::Interpreter(path)).collect();
        let fetched = debian::fetched(&scratch.join("debian"));
        builds.extend(fetched.into_iter().map(|(dir, release)| Build::DebugInfo(dir, release, Some("debian".to_owned()))));
        let distributor = distributor();
        for minor in 8..32 {
            let dir = PathBuf::from(format!("/usr/include/python3.{minor}"));
            if dir.join("internal").is_dir() {
                builds.push(Build::Headers(dir, distributor.clone()));
            }
        }
    }
    builds
}

/// Whether a release is newer than every table of its series: such a one appears in Debian's sid whenever it pleases.
fn newer_than_all(release: Option<&str>, kept: &BTreeMap<String, Table>) -> bool {
    let Some(release) = release.and_then(numbers) else { return false };
    let series = |release: &[u32]| release.iter().take(2).copied().collect::<Vec<_>>();
    let held: Vec<_> = kept.values().filter_map(|t| numbers(&t.release)).filter(|held| series(held) == series(&release)).collect();
    !held.is_empty() && held.iter().all(|held| *held < release)
}

fn distributor() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    text.lines().find_map(|line| line.strip_prefix("ID=")).map(|id| id.trim_matches('"').to_owned())
}

/// The newest table of the same minor that was made from an interpreter.
fn same_minor(release: &str, made: &BTreeMap<String, Table>, tables: &Path) -> Done<Named> {
    let minor = numbers(release).map(|numbers| numbers.into_iter().take(2).collect::<Vec<_>>());
    let mut known = load_all(tables)?;
    known.extend(made.iter().map(|(name, table)| (name.clone(), table.clone())));
    known
        .into_iter()
        .filter(|(_, table)| table.inherited.is_none())
        .filter(|(_, table)| numbers(&table.release).map(|numbers| numbers.into_iter().take(2).collect::<Vec<_>>()) == minor)
        .max_by_key(|(_, table)| numbers(&table.release))
        .ok_or_else(|| Trouble::new(format!("{release}: no table of the same minor from an interpreter to inherit private structs from")))
}

fn load(tables: &Path, name: &str) -> Done<Table> {
    let path = tables.join(format!("{name}.txt"));
    Table::parse(&std::fs::read_to_string(&path).doing(path.display())?).doing(path.display())
}

fn load_all(tables: &Path) -> Done<BTreeMap<String, Table>> {
    let mut all = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(tables) else { return Ok(all) };
    for entry in entries {
        let path = entry.doing(tables.display())?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".txt")) {
            all.insert(name.to_owned(), load(tables, name)?);
        }
    }
    Ok(all)
}

fn write(tables: &Path, made: &BTreeMap<String, Table>, wanted: &[wanted::WantedStruct]) -> Done<()> {
    std::fs::create_dir_all(tables).doing(tables.display())?;
    let kept = load_all(tables)?;
    for (name, table) in made {
        // Private structs change within a minor too (3.13.5's Pickler grew by a field), so what was inherited never replaces what was seen.
        if table.inherited.is_some() && kept.get(name).is_some_and(|held| held.inherited.is_none()) {
            println!("{name}: kept, it is from debug information and this machine has only headers");
            continue;
        }
        let path = tables.join(format!("{name}.txt"));
        std::fs::write(&path, table.text()).doing(path.display())?;
        println!(
            "{name}: {} structs, {} fields",
            table.structs.len(),
            table.structs.values().map(|layout| layout.fields.len()).sum::<usize>()
        );
    }
    // A misspelt name would be absent from every table without a word.
    let all = load_all(tables)?;
    for one in wanted {
        let layouts: Vec<_> = all.values().filter_map(|table| table.structs.get(one.name())).collect();
        if layouts.is_empty() {
            println!("in no table: {}", one.name());
            continue;
        }
        for field in &one.fields {
            if !layouts.iter().any(|layout| layout.fields.contains_key(field.name())) {
                println!("in no table: {}.{}", one.name(), field.name());
            }
        }
    }
    Ok(())
}

fn check(tables: &Path, made: &BTreeMap<String, Table>) -> Done<()> {
    let kept = load_all(tables)?;
    let mut stale = Vec::new();
    for (name, table) in made {
        match kept.get(name) {
            None => println!("{name}: not checked in, made here without trouble"),
            Some(held) if held == table => println!("{name}: as checked in"),
            Some(held) if held.inherited.is_none() && table.inherited.is_some() => {
                let (held, table) = (held.without(table), table.without(table));
                match changes::diff(&held, &table) {
                    changes if changes.is_empty() => println!("{name}: as checked in, {} structs that headers tell", table.structs.len()),
                    changes => stale.push(format!("{name}\n  {}", changes.join("\n  "))),
                }
            }
            Some(held) => stale.push(format!("{name}\n  {}", changes::diff(held, table).join("\n  "))),
        }
    }
    let absent: Vec<&str> = kept.keys().filter(|name| !made.contains_key(*name)).map(String::as_str).collect();
    println!("{} tables: {} checked, {} not on this machine ({})", kept.len(), kept.len() - absent.len(), absent.len(), absent.join(", "));
    match stale.is_empty() {
        true => Ok(()),
        false => Err(Trouble::new(format!("tables that are not what their builds say; run cargo xtask layouts:\n{}", stale.join("\n")))),
    }
}

fn compare(tables: &Path, dir: &Path) -> Done<()> {
    let all = load_all(tables)?;
    let main = |minor: &str| {
        all.iter()
            // A distributor's build has its label after a dash.
            .filter(|(name, table)| !name.contains('-') && table.release.rsplit_once('.').is_some_and(|(head, _)| head == minor))
            .map(|(name, _)| name.clone())
            .next_back()
    };
    for (file, name, outcome) in changes::compare(dir, &all, main)? {
        let differences = outcome.differences.len();
        println!("{file} with {name}: {} agree, {differences} differ, {} only there", outcome.agreed, outcome.only_foreign);
        for line in outcome.differences {
            println!("  {line}");
        }
    }
    Ok(())
}

fn show(arguments: &Arguments, name: &str) -> Done<()> {
    let interpreters = if arguments.interpreters.is_empty() {
        pyenv().into_iter().map(|(_, path)| path).collect()
    } else {
        arguments.interpreters.clone()
    };
    for path in interpreters {
        println!("{}", path.display());
        for file in builds::files(&path)? {
            for (source, size, members) in dwarf::members(&file, name)? {
                println!("  {name} {size} ({source})");
                for member in members {
                    let size = member.place.size.unwrap_or(0);
                    let bits = if member.is_bits { " (bits)" } else { "" };
                    println!("    {}={}:{size}{bits} {}", member.name, member.place.offset, member.type_name);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_are_read_or_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let read = Arguments::read(&words("--check --diff 3.12.1 3.13.0")).unwrap();
        assert!(read.check && read.diff == Some(("3.12.1".into(), "3.13.0".into())));
        assert!(Arguments::read(&words("--diff 3.12.1")).is_err());
        assert!(Arguments::read(&words("--chekc")).is_err());
    }

    #[test]
    fn a_release_newer_than_every_table_of_its_series_is_told() {
        let table = |release: &str| Table { release: release.to_owned(), build: String::new(), inherited: None, structs: BTreeMap::new() };
        let kept: BTreeMap<String, Table> = ["3.13.18", "3.14.9", "3.14.10"].map(|r| (r.to_owned(), table(r))).into();
        assert!(newer_than_all(Some("3.14.11"), &kept));
        for release in ["3.14.10", "3.14.8", "3.13.18", "3.16.0"] {
            assert!(!newer_than_all(Some(release), &kept), "{release}");
        }
        assert!(!newer_than_all(None, &kept));
    }

    #[test]
    fn the_newest_micro_release_is_inherited_from() {
        let table = |release: &str, inherited: bool| Table {
            release: release.into(),
            build: String::new(),
            inherited: inherited.then(|| ("x".to_owned(), Default::default())),
            structs: BTreeMap::new(),
        };
        let made = BTreeMap::from([
            ("3.11.9".to_owned(), table("3.11.9", false)),
            ("3.11.10".to_owned(), table("3.11.10", false)),
            ("3.11.12-debian".to_owned(), table("3.11.12", true)),
            ("3.12.1".to_owned(), table("3.12.1", false)),
        ]);
        assert_eq!(same_minor("3.11.2", &made, Path::new("/nonexistent")).unwrap().0, "3.11.10");
        assert!(same_minor("3.13.2", &made, Path::new("/nonexistent")).is_err());
    }
}
