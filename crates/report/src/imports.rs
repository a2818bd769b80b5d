//! `imports`: what each import cost, as a tree, and what could be lazy, in both forms.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use analyses::imports::{Import, Imports, Lazy};
use memory::Bytes;
use serde::Serialize;

use crate::{head, json, text, Style};

/// Imports that the first screen names.
pub const FIRST_SCREEN: usize = 12;
/// Of what could be lazy, on the first screen.
const LAZY: usize = 3;

/// How it was measured, besides what the run itself wrote down.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Bytes that the imports brought in each run, least first; shown is the middle one.
    pub brought_bytes: Vec<i64>,
    /// An end was asked for before all were done.
    pub stopped: bool,
    /// Files are shown as they are named from here.
    pub folder: PathBuf,
}

/// The whole, the tree, what could be lazy.
pub fn table(out: &mut dyn Write, imports: &Imports, runs: &Runs, limit: Option<usize>, style: &Style) -> io::Result<()> {
    let measured = &imports.measured;
    let mut line = |text: String| head::write_cut(out, &text, style);
    let spread = match (runs.brought_bytes.first(), runs.brought_bytes.last()) {
        (Some(low), Some(high)) if runs.brought_bytes.len() > 1 => {
            Some(format!("{} runs: {} to {} of imports; the middle one is shown", runs.brought_bytes.len(), bytes(*low), bytes(*high)))
        }
        _ => None,
    };
    line(format!(
        "{} at the start + {} of imports = {} resident",
        bytes(measured.start_bytes),
        bytes(imports.brought_bytes()),
        bytes(measured.end_bytes)
    ))?;
    line(format!(
        "{} in {}, CPython {}",
        text::counted(imports.imports.len() as u64, "import"),
        text::duration_ms(measured.ms),
        text::escaped(&measured.release)
    ))?;
    if let Some(spread) = spread {
        line(spread)?;
    }
    if let Some(ended) = &measured.ended {
        let with = measured.ended_with.as_ref().map_or(String::new(), |with| format!(": {with}"));
        line(format!("not to its end: {}", text::escaped(&format!("{ended}{with}"))))?;
    }
    if runs.stopped {
        line("stopped before all runs were done".to_owned())?;
    }
    if measured.elsewhere > 0 {
        line(format!("{} by other threads are not told apart", text::counted(measured.elsewhere, "import")))?;
    }
    line(String::new())?;
    line(format!("{:>10} {:>10} {:>9}  module", "inclusive", "exclusive", "ms"))?;
    let shown = shown(imports, limit);
    let mut ahead: Vec<usize> = imports.roots.iter().rev().copied().collect();
    while let Some(i) = ahead.pop() {
        let Some(import) = imports.imports.get(i).filter(|_| shown.get(i) == Some(&true)) else { continue };
        let mut children = import.children.clone();
        children.sort_by_key(|&c| imports.imports.get(c).map_or(0, |child| child.inclusive_bytes));
        ahead.extend(children);
        let error = import.error.as_ref().map_or(String::new(), |error| format!(" ({error})"));
        let name = format!("{}{}{error}", "  ".repeat(import.depth.min(20)), import.module);
        line(format!(
            "{:>10} {:>10} {:>9.1}  {}",
            bytes(import.inclusive_bytes),
            bytes(import.exclusive_bytes),
            import.inclusive_ms,
            text::escaped(&name)
        ))?;
    }
    let hidden: Vec<&Import> = imports.imports.iter().zip(&shown).filter(|(_, shown)| !**shown).map(|(import, _)| import).collect();
    if !hidden.is_empty() {
        let sum: i64 = hidden.iter().map(|import| import.exclusive_bytes).sum();
        let ms: f64 = hidden.iter().map(|import| import.exclusive_ms).sum();
        line(format!("{:>10} {:>10} {ms:>9.1}  … {} more (--limit 0 shows all)", "", bytes(sum), text::grouped(hidden.len() as u64)))?;
    }
    line(String::new())?;
    lazy(out, imports, &runs.folder, limit, style)
}

fn lazy(out: &mut dyn Write, imports: &Imports, folder: &Path, limit: Option<usize>, style: &Style) -> io::Result<()> {
    let mut line = |text: String| head::write_cut(out, &text, style);
    if imports.lazy.is_empty() {
        return line("nothing to make lazy: what costs is used as soon as it is imported".to_owned());
    }
    line("could wait until it is used (import it in the function; 3.15 has lazy import)".to_owned())?;
    let most = limit.map_or(usize::MAX, |_| LAZY);
    let from_here = |file: &str| Path::new(file).strip_prefix(folder).map_or_else(|_| file.to_owned(), |path| path.display().to_string());
    for one in imports.lazy.iter().take(most) {
        let places: Vec<String> = one.places.iter().take(3).map(|(file, row)| format!("{}:{row}", from_here(file))).collect();
        let more = if one.places.len() > places.len() { ", …" } else { "" };
        let unused = if one.unused { " (not used there)" } else { "" };
        let text = format!("{}{unused} in {}{more}", one.module, places.join(", "));
        line(format!("{:>10} {:>20.1}  {}", bytes(one.saved_bytes), one.saved_ms, text::escaped(&text)))?;
    }
    if imports.lazy.len() > most {
        line(format!("{:>32}  … {} more", "", imports.lazy.len() - most))?;
    }
    Ok(())
}

/// Which imports are shown: the biggest, and all that leads to them.
fn shown(imports: &Imports, limit: Option<usize>) -> Vec<bool> {
    let all = imports.imports.len();
    let mut shown = vec![limit.is_none(); all];
    let Some(limit) = limit else { return shown };
    let mut parent = vec![None; all];
    for (i, import) in imports.imports.iter().enumerate() {
        for &child in &import.children {
            if let Some(room) = parent.get_mut(child) {
                *room = Some(i);
            }
        }
    }
    let mut order: Vec<usize> = (0..all).collect();
    order.sort_by_key(|&i| imports.imports.get(i).map_or((0, 0), |import| (-import.inclusive_bytes, import.depth)));
    let mut count = 0;
    for i in order {
        let mut way: Vec<usize> = std::iter::successors(Some(i), |&i| parent.get(i).copied().flatten()).collect();
        way.retain(|&i| shown.get(i) == Some(&false));
        if count + way.len() > limit {
            break;
        }
        count += way.len();
        for i in way {
            if let Some(room) = shown.get_mut(i) {
                *room = true;
            }
        }
    }
    shown
}

/// Bytes that may be less than none.
fn bytes(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "" };
    format!("{sign}{}", Bytes(n.unsigned_abs()))
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    python: Python<'a>,
    start_bytes: i64,
    end_bytes: i64,
    imports_bytes: i64,
    between_bytes: i64,
    ms: f64,
    runs_bytes: &'a [i64],
    stopped: bool,
    ended: Option<&'a str>,
    ended_with: Option<&'a str>,
    other_threads: u64,
    tree: Vec<Node<'a>>,
    could_be_lazy: Vec<Waits<'a>>,
}

#[derive(Serialize)]
struct Python<'a> {
    release: &'a str,
    executable: &'a str,
}

#[derive(Serialize)]
struct Node<'a> {
    module: &'a str,
    file: Option<&'a str>,
    inclusive_bytes: i64,
    exclusive_bytes: i64,
    anonymous_bytes: i64,
    inclusive_ms: f64,
    exclusive_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    imports: Vec<Node<'a>>,
}

#[derive(Serialize)]
struct Waits<'a> {
    module: &'a str,
    saved_bytes: i64,
    saved_ms: f64,
    modules: usize,
    used_later: bool,
    places: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: u32,
}

/// All of it; the tree whole.
pub fn json(out: &mut dyn Write, imports: &Imports, runs: &Runs) -> io::Result<()> {
    let measured = &imports.measured;
    let answer = Answer {
        schema: "exuvia/imports/1",
        python: Python { release: &measured.release, executable: &measured.executable },
        start_bytes: measured.start_bytes,
        end_bytes: measured.end_bytes,
        imports_bytes: imports.brought_bytes(),
        between_bytes: imports.between_bytes(),
        ms: measured.ms,
        runs_bytes: &runs.brought_bytes,
        stopped: runs.stopped,
        ended: measured.ended.as_deref(),
        ended_with: measured.ended_with.as_deref(),
        other_threads: measured.elsewhere,
        tree: nodes(imports),
        could_be_lazy: imports.lazy.iter().map(waits).collect(),
    };
    json::line(out, &answer)
}

/// From the last to the first, so that children are made before their parents, without recursion.
fn nodes(imports: &Imports) -> Vec<Node<'_>> {
    let mut made: Vec<Option<Node<'_>>> = imports.imports.iter().map(|_| None).collect();
    for (i, import) in imports.imports.iter().enumerate().rev() {
        let children = import.children.iter().filter_map(|&c| made.get_mut(c)?.take()).collect();
        if let Some(room) = made.get_mut(i) {
            *room = Some(Node {
                module: &import.module,
                file: import.file.as_deref(),
                inclusive_bytes: import.inclusive_bytes,
                exclusive_bytes: import.exclusive_bytes,
                anonymous_bytes: import.anonymous_bytes,
                inclusive_ms: import.inclusive_ms,
                exclusive_ms: import.exclusive_ms,
                error: import.error.as_deref(),
                imports: children,
            });
        }
    }
    imports.roots.iter().filter_map(|&r| made.get_mut(r)?.take()).collect()
}

fn waits(lazy: &Lazy) -> Waits<'_> {
    Waits {
        module: &lazy.module,
        saved_bytes: lazy.saved_bytes,
        saved_ms: lazy.saved_ms,
        modules: lazy.modules,
        used_later: !lazy.unused,
        places: lazy.places.iter().map(|(file, line)| Place { file, line: *line }).collect(),
    }
}
