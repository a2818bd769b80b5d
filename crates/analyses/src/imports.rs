//! What imports cost, and which of them could wait until they are used.
//!
//! Holds: [`Measured`] (what the program that imports wrote down), [`Imports`] with its tree, [`Lazy`]. Never does: run anything.
//! How: every import's cost is a difference of two readings of what is resident, so that start, exclusive costs and end add up by
//! construction. What would be saved by a lazy import is what no other import reaches any more: the edges are the import statements of
//! all files that were imported, and, where no statement explains one, what was seen.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

/// Deeper than this imports are told as if they were beside each other: Python's own recursion ends before.
const DEPTH_MOST: usize = 400;
/// What could be lazy is tried for so many modules.
const TRIED_MOST: usize = 2000;
/// Less than this of both is not worth a change.
const WORTH_BYTES: i64 = 256 << 10;
const WORTH_MS: f64 = 5.0;

/// What the importing program wrote down (`trial/python/imports.py`).
#[derive(Clone, Debug, Deserialize)]
pub struct Measured {
    /// `3.12.1`.
    pub release: String,
    /// The interpreter.
    pub executable: String,
    /// Folders of the library and of packages: what lies in them is not the user's to change.
    pub prefixes: Vec<String>,
    /// Resident before the first import: the interpreter and what it imports at its start.
    pub start_bytes: i64,
    /// Resident after the last.
    pub end_bytes: i64,
    /// Time from there to there.
    pub ms: f64,
    /// Imports by other threads, which are not told apart.
    pub elsewhere: u64,
    /// Why it did not come to its end, where it did not.
    pub ended: Option<String>,
    /// With which exception.
    pub ended_with: Option<String>,
    nodes: Vec<Node>,
    statements: FxHashMap<String, Vec<Statement>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Node {
    depth: usize,
    module: String,
    file: Option<String>,
    bytes: i64,
    anonymous: i64,
    ms: f64,
    error: Option<String>,
}

/// An import statement that runs when its file is imported.
#[derive(Clone, Debug, Deserialize)]
struct Statement {
    line: u32,
    brings: Vec<String>,
    /// No name that it binds is used before a function runs.
    later: bool,
    /// A function uses one.
    used: bool,
}

/// One import.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// As `sys.modules` names it.
    pub module: String,
    /// Its file, if it has one.
    pub file: Option<String>,
    /// What became resident with all that it imported first, in bytes; less than nothing where memory was given back meanwhile.
    pub inclusive_bytes: i64,
    /// Without that.
    pub exclusive_bytes: i64,
    /// Of the inclusive bytes those that no file has, which no other process can share.
    pub anonymous_bytes: i64,
    /// By the clock, as the bytes.
    pub inclusive_ms: f64,
    /// Without what it imported first.
    pub exclusive_ms: f64,
    /// The exception that it ended with, by type.
    pub error: Option<String>,
    /// What it imported first, in that order.
    pub children: Vec<usize>,
    /// How deep it is.
    pub depth: usize,
}

/// An import that could wait until it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Lazy {
    /// What is imported.
    pub module: String,
    /// Where: file and line, all of which have to change.
    pub places: Vec<(String, u32)>,
    /// What would not become resident unless it is used, in bytes: it and all that only it brings.
    pub saved_bytes: i64,
    /// The time that would not be spent.
    pub saved_ms: f64,
    /// Modules of that.
    pub modules: usize,
    /// No function of these files uses it either.
    pub unused: bool,
}

/// All imports, as they came.
#[derive(Clone, Debug)]
pub struct Imports {
    /// What was measured around them.
    pub measured: Measured,
    /// Each before what it imported.
    pub imports: Vec<Import>,
    /// Those that nothing else imported.
    pub roots: Vec<usize>,
    /// What could be lazy, biggest first.
    pub lazy: Vec<Lazy>,
}

/// Reads what one run wrote down.
///
/// # Errors
/// It is not what `imports.py` writes.
pub fn read(text: &str) -> Result<Imports, serde_json::Error> {
    let measured: Measured = serde_json::from_str(text)?;
    let (imports, roots) = tree(&measured.nodes);
    let lazy = lazy(&measured, &imports, &roots);
    Ok(Imports { measured, imports, roots, lazy })
}

fn tree(nodes: &[Node]) -> (Vec<Import>, Vec<usize>) {
    let mut imports: Vec<Import> = Vec::with_capacity(nodes.len());
    let (mut roots, mut above): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for (i, node) in nodes.iter().enumerate() {
        above.truncate(node.depth.min(DEPTH_MOST));
        let depth = above.len();
        match above.last().and_then(|&parent| imports.get_mut(parent)) {
            Some(parent) => {
                parent.exclusive_bytes = parent.exclusive_bytes.saturating_sub(node.bytes);
                parent.exclusive_ms -= node.ms;
                parent.children.push(i);
            }
            None => roots.push(i),
        }
        imports.push(Import {
            module: node.module.clone(),
            file: node.file.clone(),
            inclusive_bytes: node.bytes,
            exclusive_bytes: node.bytes,
            anonymous_bytes: node.anonymous,
            inclusive_ms: node.ms,
            exclusive_ms: node.ms,
            error: node.error.clone(),
            children: Vec::new(),
            depth,
        });
        above.push(i);
    }
    (imports, roots)
}

/// Who imports whom, by number; a module that was imported twice (the first time in vain) is one.
struct Edges<'m> {
    numbers: FxHashMap<&'m str, usize>,
    /// From, to, and the statement that is the reason, by its place in `statements`.
    edges: Vec<Vec<(usize, Option<usize>)>>,
    statements: Vec<(&'m str, &'m Statement)>,
    roots: Vec<usize>,
    bytes: Vec<i64>,
    ms: Vec<f64>,
}

impl<'m> Edges<'m> {
    fn new(measured: &'m Measured, imports: &'m [Import], roots: &[usize]) -> Edges<'m> {
        let mut numbers = FxHashMap::default();
        for import in imports {
            let next = numbers.len();
            numbers.entry(import.module.as_str()).or_insert(next);
        }
        let number = |module: &str| numbers.get(module).copied();
        let (mut bytes, mut ms) = (vec![0i64; numbers.len()], vec![0.0; numbers.len()]);
        let mut edges = vec![Vec::new(); numbers.len()];
        let mut statements = Vec::new();
        let mut explained: FxHashSet<(usize, usize)> = FxHashSet::default();
        for (module, made) in &measured.statements {
            let Some(from) = number(module) else { continue };
            for statement in made {
                // What brings `a.b` brings `a` for the same reason.
                let brought = statement.brings.iter().flat_map(|brought| with_packages(brought));
                for to in brought.filter_map(number) {
                    explained.insert((from, to));
                    if let Some(room) = edges.get_mut(from) {
                        room.push((to, Some(statements.len())));
                    }
                }
                statements.push((module.as_str(), statement));
            }
        }
        for import in imports {
            let Some(from) = number(&import.module) else { continue };
            if let (Some(bytes), Some(ms)) = (bytes.get_mut(from), ms.get_mut(from)) {
                *bytes = bytes.saturating_add(import.exclusive_bytes);
                *ms += import.exclusive_ms;
            }
            let seen = import.children.iter().filter_map(|&c| number(&imports.get(c)?.module));
            // A package is there before what is in it, whatever a statement says.
            let package = import.module.rsplit_once('.').and_then(|(package, _)| number(package));
            let unexplained: Vec<usize> = seen.filter(|to| !explained.contains(&(from, *to))).chain(package).collect();
            if let Some(room) = edges.get_mut(from) {
                room.extend(unexplained.into_iter().map(|to| (to, None)));
            }
        }
        let roots = roots.iter().filter_map(|&r| number(&imports.get(r)?.module)).collect();
        Edges { numbers, edges, statements, roots, bytes, ms }
    }

    /// What is reached from the roots without these statements.
    fn reached(&self, without: &FxHashSet<usize>) -> Vec<bool> {
        let mut reached = vec![false; self.edges.len()];
        let mut ahead = self.roots.clone();
        while let Some(at) = ahead.pop() {
            match reached.get_mut(at) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            let next = self.edges.get(at).into_iter().flatten();
            ahead.extend(next.filter(|(_, reason)| reason.is_none_or(|r| !without.contains(&r))).map(|(to, _)| *to));
        }
        reached
    }
}

/// `a.b.c`, `a.b`, `a`.
fn with_packages(module: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(module), |module| module.rsplit_once('.').map(|(package, _)| package))
}

fn lazy(measured: &Measured, imports: &[Import], roots: &[usize]) -> Vec<Lazy> {
    let edges = Edges::new(measured, imports, roots);
    let files: FxHashMap<&str, &str> = imports.iter().filter_map(|i| Some((i.module.as_str(), i.file.as_deref()?))).collect();
    let theirs =
        |module: &str| files.get(module).is_none_or(|file| measured.prefixes.iter().any(|prefix| file.starts_with(prefix.as_str())));
    // What is brought by the user's own files, and by which statements.
    let mut brought: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
    for (i, (module, statement)) in edges.statements.iter().enumerate() {
        if !theirs(module) {
            if let Some(first) = statement.brings.first().filter(|first| edges.numbers.contains_key(first.as_str())) {
                brought.entry(first.as_str()).or_default().push(i);
            }
        }
    }
    let before = edges.reached(&FxHashSet::default());
    let mut found = Vec::new();
    for (module, statements) in brought.into_iter().take(TRIED_MOST) {
        let those = || statements.iter().filter_map(|&i| edges.statements.get(i));
        if !those().all(|(_, statement)| statement.later) {
            continue;
        }
        let after = edges.reached(&statements.iter().copied().collect());
        let gone: Vec<usize> = (0..before.len()).filter(|&i| before.get(i) == Some(&true) && after.get(i) == Some(&false)).collect();
        let saved_bytes = gone.iter().filter_map(|&i| edges.bytes.get(i)).sum();
        let saved_ms = gone.iter().filter_map(|&i| edges.ms.get(i)).sum();
        if saved_bytes < WORTH_BYTES && saved_ms < WORTH_MS {
            continue;
        }
        let mut places: Vec<(String, u32)> =
            those().filter_map(|(from, statement)| Some(((*files.get(from)?).to_owned(), statement.line))).collect();
        places.sort();
        let unused = those().all(|(_, statement)| !statement.used);
        found.push(Lazy { module: module.to_owned(), places, saved_bytes, saved_ms, modules: gone.len(), unused });
    }
    found.sort_by(|a, b| b.saved_bytes.cmp(&a.saved_bytes).then_with(|| a.module.cmp(&b.module)));
    found
}

impl Imports {
    /// Bytes that all imports brought, and the way to them: the exclusive ones of each, and what is between the roots.
    pub fn brought_bytes(&self) -> i64 {
        self.measured.end_bytes.saturating_sub(self.measured.start_bytes)
    }

    /// Bytes that became resident between imports: the measuring's own and what a file did at its end.
    pub fn between_bytes(&self) -> i64 {
        let roots: i64 = self.roots.iter().filter_map(|&r| Some(self.imports.get(r)?.inclusive_bytes)).sum();
        self.brought_bytes().saturating_sub(roots)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PROGRAM: &str = r#"{
        "release": "3.12.1", "executable": "/usr/bin/python3", "prefixes": ["/usr/lib/python3.12"],
        "start_bytes": 10000000, "end_bytes": 75000000, "ms": 100.0, "elsewhere": 0, "ended": null, "ended_with": null,
        "nodes": [
            {"depth": 0, "module": "app", "file": "/srv/app.py", "bytes": 64000000, "anonymous": 60000000, "ms": 99.0, "error": null},
            {"depth": 1, "module": "heavy", "file": "/usr/lib/python3.12/heavy.py", "bytes": 50000000, "anonymous": 0, "ms": 70.0, "error": null},
            {"depth": 2, "module": "shared", "file": "/usr/lib/python3.12/shared.py", "bytes": 20000000, "anonymous": 0, "ms": 30.0, "error": null},
            {"depth": 2, "module": "_c", "file": null, "bytes": 10000000, "anonymous": 0, "ms": 5.0, "error": null},
            {"depth": 1, "module": "used", "file": "/srv/used.py", "bytes": 9000000, "anonymous": 0, "ms": 9.0, "error": null},
            {"depth": 1, "module": "pack", "file": null, "bytes": 3000000, "anonymous": 0, "ms": 3.0, "error": null},
            {"depth": 1, "module": "pack.part", "file": null, "bytes": 1000000, "anonymous": 0, "ms": 1.0, "error": null},
            {"depth": 1, "module": "nothere", "file": null, "bytes": 4096, "anonymous": 0, "ms": 0.5, "error": "ModuleNotFoundError"}
        ],
        "statements": {
            "app": [
                {"line": 1, "brings": ["heavy"], "later": true, "used": true},
                {"line": 2, "brings": ["used"], "later": false, "used": false},
                {"line": 3, "brings": ["pack.part"], "later": true, "used": false}
            ],
            "heavy": [{"line": 1, "brings": ["shared"], "later": true, "used": true}],
            "used": [{"line": 1, "brings": ["shared"], "later": false, "used": true}]
        }
    }"#;

    #[test]
    fn the_costs_add_up() {
        let imports = read(PROGRAM).unwrap();
        let exclusive: i64 = imports.imports.iter().map(|i| i.exclusive_bytes).sum();
        assert_eq!(imports.measured.start_bytes + exclusive + imports.between_bytes(), imports.measured.end_bytes);
        assert_eq!(imports.between_bytes(), 1_000_000);
        assert_eq!(imports.imports[0].exclusive_bytes, 64_000_000 - 50_000_000 - 9_000_000 - 4_000_000 - 4096);
        assert_eq!((imports.roots.as_slice(), imports.imports[1].children.as_slice()), (&[0][..], &[2, 3][..]));
    }

    #[test]
    fn what_something_else_needs_is_not_saved() {
        let imports = read(PROGRAM).unwrap();
        // `shared` is needed by `used`; `_c` came with heavy, by no statement. What the library's own files could do is theirs.
        let [lazy, package] = imports.lazy.as_slice() else { panic!("{:?}", imports.lazy) };
        assert_eq!((lazy.module.as_str(), lazy.saved_bytes, lazy.modules, lazy.unused), ("heavy", 30_000_000, 2, false));
        assert_eq!(lazy.places, [("/srv/app.py".to_owned(), 1)]);
        assert!((lazy.saved_ms - 40.0).abs() < 1e-9);
        // A part of a package brings the package.
        assert_eq!((package.module.as_str(), package.saved_bytes, package.modules, package.unused), ("pack.part", 4_000_000, 2, true));
    }

    #[test]
    fn an_import_that_is_used_at_once_cannot_wait() {
        let text = PROGRAM.replace(r#""brings": ["heavy"], "later": true"#, r#""brings": ["heavy"], "later": false"#);
        assert!(read(&text).unwrap().lazy.iter().all(|lazy| lazy.module != "heavy"));
    }

    #[test]
    fn any_depth_and_any_order_is_borne() {
        for depths in [vec![9, 0, 7, 7], vec![0, 1, 5, 1, 1], (0..3000).collect()] {
            let node = |d: &usize| {
                format!(r#"{{"depth": {d}, "module": "m{d}", "file": null, "bytes": 1, "anonymous": 0, "ms": 1, "error": null}}"#)
            };
            let nodes: Vec<String> = depths.iter().map(node).collect();
            let text = format!(
                r#"{{"release": "", "executable": "", "prefixes": [], "start_bytes": 0, "end_bytes": 0, "ms": 0, "elsewhere": 0,
                "ended": null, "ended_with": null, "nodes": [{}], "statements": {{}}}}"#,
                nodes.join(",")
            );
            let imports = read(&text).unwrap();
            assert!(imports.imports.len() == depths.len() && imports.imports.iter().all(|i| i.depth <= DEPTH_MOST));
        }
    }
}
