//! Holds the look of a parity test: a frozen target or a core file, every object of it, and what the comparison wants to know of each.
//! Never forgives anything: see `explained`.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use capture::{Keep, Reached, Source, World};
use cpython::layout::proof::{identify, prove, Proved};
use cpython::layout::Table;
use cpython::types::{flags, Known};
use cpython::visit::Torn;
use cpython::{Label, LayoutError, Visitor};
use memory::Addr;
use snapshot::{Collector, Snapshot};
use target::{CorePlaces, Dump, Kept, TakeOptions};
use testbed::truth::TrueCount;
use testbed::{Found, Target, Truth};

use crate::origins::origins;

/// Every object that exuvia finds, and the snapshot that its commands would show.
pub(crate) struct Looked {
    pub(crate) found: Vec<Found>,
    pub(crate) snapshot: Snapshot,
}

/// What one object tells of itself.
#[derive(Default)]
pub(crate) struct Told {
    /// Its type's name.
    pub(crate) class: Arc<str>,
    /// Its decoder is exact.
    pub(crate) exact: bool,
    /// What the collector would see.
    pub(crate) visible: Vec<u64>,
    /// All that it leads to, and how.
    pub(crate) held: Vec<(Addr, &'static str)>,
    /// Inline attributes of an instance: visible ones.
    inline: Vec<u64>,
    /// The dict that shares them, as the instance knows it; their values, as the dict does.
    sharing: Vec<u64>,
    /// It tells of that dict too.
    has_dict: bool,
}

impl Told {
    /// Inline attributes stand in one place and are held once; the decoders give them to the instance. An interpreter that lets the
    /// dict tell of them says the same in other words.
    fn shared_attributes(&mut self, dict_tells: bool) {
        if dict_tells && (self.has_dict || !self.sharing.is_empty()) {
            // Each as often as it is an attribute: an attribute may be the instance's class, which is held for its own sake too.
            for to in &self.inline {
                if let Some(at) = self.visible.iter().position(|held| held == to) {
                    self.visible.swap_remove(at);
                }
            }
            self.visible.append(&mut self.sharing);
        }
    }
}

/// Freezes the target as the command does and reads all of it with the layout tables given.
pub(crate) fn look(target: &Target, truth: &Truth, tables: &[Table]) -> Result<Looked, LayoutError> {
    let process = target::open(target.pid() as i32).unwrap();
    let python = process.python().unwrap();
    let frozen = target::take(&process, &options()).unwrap();
    let image = frozen.image();
    let source =
        Source { image: &image, python: &python, mappings: frozen.mappings(), tables, moment: capture::Moment::Still, residency: None };
    read(source, truth)
}

/// The same of a core file, as the command reads it.
pub(crate) fn look_at_core(path: &Path, truth: &Truth, tables: &[Table]) -> Result<Looked, LayoutError> {
    let core = target::open_core(path, &CorePlaces::default()).unwrap();
    let pythons = core.pythons().unwrap();
    let image = core.image();
    let (moment, mappings) = (capture::Moment::Still, core.mappings());
    read(Source { image: &image, python: &pythons[0], mappings, tables, moment, residency: None }, truth)
}

/// Writes a core of the target as `exuvia snapshot --core --compress` does.
pub(crate) fn write_core(target: &Target, path: &Path) {
    let process = target::open(target.pid() as i32).unwrap();
    let python = process.python().unwrap();
    let frozen = target::take(&process, &options()).unwrap();
    let dump = Dump {
        pid: process.pid(),
        exe: &process.exe(),
        threads: frozen.threads(),
        mappings: frozen.mappings(),
        image: &frozen.image(),
        pythons: &[python],
        kept: &Kept::default(),
        compress: true,
    };
    target::write_core(&mut File::create(path).unwrap(), dump).unwrap();
}

fn read(source: Source<'_>, truth: &Truth) -> Result<Looked, LayoutError> {
    let proved = capture::prove(source)?;
    let world = World::open(source, &proved);
    let mut reached = Reached::all(&world, Keep::Rows);
    let mut told = decode_all(&reached, truth.header.dict_tells_attributes);
    let snapshot = reached.snapshot();
    let rows = snapshot.objects.as_ref().unwrap();
    let origins = origins(truth, rows, &told, &world.heap);
    let nobody: Arc<str> = "".into();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let Told { class, exact, visible, .. } = told.remove(&row.address).unwrap_or_default();
        let collector = row.state.collector();
        found.push(Found {
            id: row.address.0,
            type_name: class,
            type_id: snapshot.types[row.type_index as usize].address.0,
            own_bytes: row.own_bytes.0,
            refcount: if row.state.immortal() { TrueCount::Immortal } else { TrueCount::Counted(row.refcount as i64) },
            referents: visible,
            exact,
            tracked: !matches!(collector, Collector::Without | Collector::Untracked),
            generation: match collector {
                Collector::Without | Collector::Untracked => None,
                Collector::Generation0 => Some(0),
                Collector::Generation1 => Some(1),
                Collector::Generation2 => Some(2),
                Collector::Frozen => Some(3),
            },
            origin: origins.get(&row.address).unwrap_or(&nobody).clone(),
        });
    }
    Ok(Looked { found, snapshot })
}

/// Freezes the target once and tries each of these lists of tables on it: what the proof says to each.
pub(crate) fn prove_each(target: &Target, lists: &[Vec<Table>]) -> Vec<Result<Proved, LayoutError>> {
    let process = target::open(target.pid() as i32).unwrap();
    let python = process.python().unwrap();
    let identity = identify(&process, &python).unwrap();
    let frozen = target::take(&process, &options()).unwrap();
    let image = frozen.image();
    lists.iter().map(|tables| prove(&image, &identity, &python, tables, capture::Moment::Still)).collect()
}

pub(crate) fn options() -> TakeOptions {
    TakeOptions {
        guardian: env!("CARGO_BIN_EXE_exuvia").into(),
        // A loaded machine is no reason to fail: the pause is not what is tested here.
        max_pause: std::time::Duration::from_secs(60),
        ..TakeOptions::default()
    }
}

fn decode_all(reached: &Reached<'_, '_>, dict_tells: bool) -> HashMap<Addr, Told> {
    let heap = &reached.world().heap;
    let parts = reached.for_each(
        || (HashMap::<u32, Arc<str>>::new(), Vec::new()),
        |(names, all), o, t| {
            let class = names.entry(t.index).or_insert_with(|| t.name.as_str().into()).clone();
            let mut told = Told { class, exact: t.known != Known::Scanned && t.scan.is_empty(), ..Told::default() };
            // What cannot be read is a gap of the snapshot already, and differs from the truth here.
            let _ = heap.decode(o, t, &mut told);
            told.shared_attributes(dict_tells && (t.is_dict() || t.flags & flags::INLINE_VALUES != 0));
            all.push((o.addr, told));
        },
    );
    parts.into_iter().flat_map(|(_, all)| all).collect()
}

impl Visitor for Told {
    fn reference(&mut self, to: Addr, label: Label) {
        self.visible.push(to.0);
        if let Label::Attribute(_) = label {
            self.inline.push(to.0);
        }
        self.has_dict |= label == Label::Field("__dict__");
        self.held.push((to, word(label)));
    }

    fn hidden(&mut self, to: Addr, label: Label) {
        if label == Label::Field("__dict__") {
            self.sharing.push(to.0);
        }
        self.held.push((to, word(label)));
    }

    fn weak(&mut self, to: Addr, label: Label) {
        if let Label::Value(_) = label {
            self.sharing.push(to.0);
        }
    }

    fn scanned(&mut self, word: Addr, label: Label) {
        // The interpreter's table of interned strs, which does not count what it holds; from 3.14 every dict is tracked.
        if let Label::Key(_) = label {
            self.visible.push(word.0);
        }
        self.held.push((word, "scanned"));
    }

    fn owns(&mut self, _: Addr, _: u64) {}

    fn torn(&mut self, _: Torn) {}
}

fn word(label: Label) -> &'static str {
    match label {
        Label::Type => "class",
        Label::Field(name) => name,
        Label::Attribute(_) => "attribute",
        Label::Key(_) => "key",
        Label::Member => "member",
        Label::Value(_) => "value",
        Label::Item(_) => "item",
        Label::Slot(_) => "slot",
        Label::Local(_) => "local",
        Label::Stack(_) => "stack",
        Label::Scanned(_) | Label::ScannedBlock(_) => "scanned",
    }
}
