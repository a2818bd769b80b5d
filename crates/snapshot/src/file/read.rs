//! The reader: from a folder to a snapshot, as much of it as a question needs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use memory::{Addr, Bytes};

use super::decode::Table;
use super::graph::{graph, Small};
use super::inspect::{contents, inspect, labels, roots, row_at, Found};
use super::known::known;
use super::manifest::{self, Entry, Refused};
use super::{meta, schema, FileError, Kind, FORMAT};
use crate::{ClassRow, Collector, Column, Details, Finalizer, Known, Objects, Snapshot, State, Type};

/// A snapshot's folder whose list of checksums was read.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    entries: Vec<Entry>,
}

impl Reader {
    /// Opens a folder. Files are checked when they are read.
    ///
    /// # Errors
    /// It does not exist, is no snapshot, is newer than this program, or its list is damaged.
    pub fn open(folder: &Path) -> Result<Reader, FileError> {
        let foreign = |why: &str| FileError::Foreign { path: folder.to_path_buf(), why: why.to_string() };
        let there = folder.metadata().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => FileError::Missing(folder.to_path_buf()),
            _ => FileError::io(folder, &e),
        })?;
        if !there.is_dir() {
            return Err(foreign("a snapshot is a folder"));
        }
        let path = folder.join(manifest::FILE);
        let file = File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => foreign("it has no file checksums, which is written last"),
            _ => FileError::io(&path, &e),
        })?;
        let mut text = Vec::new();
        file.take(manifest::BYTES_MOST).read_to_end(&mut text).map_err(|e| FileError::io(&path, &e))?;
        match manifest::parse(&text) {
            Ok(entries) => Ok(Reader { folder: folder.to_path_buf(), entries }),
            Err(Refused::Foreign) => Err(foreign("its file checksums does not begin with the words of a snapshot")),
            Err(Refused::Newer(found)) => Err(FileError::Newer { path: folder.to_path_buf(), found, known: FORMAT }),
            Err(Refused::Damaged(why)) => Err(damaged(folder, manifest::FILE, why)),
        }
    }

    /// Target, coverage, and the types with their sums.
    ///
    /// # Errors
    /// A file is damaged or cannot be read.
    pub fn types(&self) -> Result<Snapshot, FileError> {
        let rows = self.meta_rows()?;
        let (target, coverage) = meta::parse(&rows).map_err(|why| damaged(&self.folder, "meta.parquet", &why))?;
        let types = self.table("types", types)?;
        let ledger = meta::ledger(&rows).map_err(|why| damaged(&self.folder, "meta.parquet", &why))?;
        Ok(Snapshot { target, coverage, types, ledger, ..Snapshot::default() })
    }

    fn meta_rows(&self) -> Result<Vec<(String, String)>, FileError> {
        self.table("meta", |t| Ok(t.texts("key")?.into_iter().zip(t.texts("value")?).collect::<Vec<_>>()))
    }

    /// That, and every object.
    ///
    /// # Errors
    /// A file is damaged or cannot be read.
    pub fn objects(&self) -> Result<Snapshot, FileError> {
        let mut snapshot = self.types()?;
        let types = snapshot.types.len();
        snapshot.objects = Some(self.table("objects", |t| objects(t, types))?);
        Ok(snapshot)
    }

    /// That, and one object with its references, if one stands at the address.
    ///
    /// # Errors
    /// A file is damaged or cannot be read.
    pub fn object(&self, address: Addr) -> Result<Snapshot, FileError> {
        let mut snapshot = self.types()?;
        let objects = self.opened("objects")?;
        let Some(row) = self.right("objects", row_at(&objects, address))? else { return Ok(snapshot) };
        let types = &snapshot.types;
        let contents = self.table("types", contents)?;
        let labels = self.table("labels", |t| labels(t, types.len()))?;
        let found = self.table("references", |t| Found::read(t, &labels, objects.rows(), row))?;
        let mut roots = self.table("roots", roots)?;
        roots.retain(|root| root.target == row);
        let inspected = inspect(&objects, types, &contents, &labels, &found, roots, row);
        snapshot.inspected = self.right("objects", inspected)?;
        Ok(snapshot)
    }

    /// That, and every reference, with what else questions about ownership need.
    ///
    /// # Errors
    /// A file is damaged or cannot be read.
    pub fn graph(&self) -> Result<Snapshot, FileError> {
        let mut snapshot = self.objects()?;
        let (kinds, rows) = (snapshot.types.len(), snapshot.objects.as_ref().map_or(0, Objects::len));
        let labels = self.table("labels", |t| labels(t, kinds))?;
        let mut graph = self.table("references", |t| graph(t, labels, rows))?;
        let small = Small::of(rows);
        let details = Details {
            contents: self.table("types", contents)?,
            modules: self.table("modules", |t| small.modules(t))?,
            roots: self.table("roots", |t| small.roots(t))?,
            codes: self.table("code", |t| small.codes(t))?,
            classes: self.table("types", |t| classes(t, &snapshot.types))?,
            threads: self.table("threads", Small::threads)?,
            regions: self.table("regions", Small::regions)?,
            calls: self.later("calls", |t| small.calls(t))?,
            tasks: self.later("tasks", |t| small.tasks(t))?,
            bounds: self.later("bounds", |t| small.bounds(t))?,
            weakrefs: self.later("weakrefs", |t| small.weakrefs(t))?,
            collectors: self.right("meta", meta::collectors(&self.meta_rows()?))?,
            ..Details::default()
        };
        if let Some(objects) = &mut snapshot.objects {
            // The first programs that wrote folders did not write it.
            let weakly = self.table("objects", |t| if t.has("weakly_held") { t.flags("weakly_held") } else { Ok(Vec::new()) })?;
            objects.hold_weakly(&weakly);
            graph.drop_leftovers(objects, &details.roots);
        }
        (snapshot.graph, snapshot.details) = (Some(graph), Some(details));
        Ok(snapshot)
    }

    /// That, and what is known of objects instead of their values.
    ///
    /// # Errors
    /// A file is damaged or cannot be read.
    pub fn graph_with_facts(&self) -> Result<Snapshot, FileError> {
        let mut snapshot = self.graph()?;
        let types = snapshot.types.len();
        snapshot.facts = Some(self.table("objects", |t| known(t, types))?);
        Ok(snapshot)
    }

    /// Every text of a table, column by column: what of the target's words is in it.
    ///
    /// # Errors
    /// A file is damaged or cannot be read.
    pub fn all_texts(&self, table: &str) -> Result<Vec<String>, FileError> {
        let columns = schema::table(table).map_or(&[][..], |t| t.columns).iter().filter(|c| c.kind == Kind::Text);
        self.table(table, |t| {
            let mut all = Vec::new();
            for c in columns.filter(|c| t.has(c.name)) {
                match c.optional {
                    true => all.extend(t.optional_texts(c.name)?.into_iter().flatten()),
                    false => all.extend(t.texts(c.name)?),
                }
            }
            Ok(all)
        })
    }

    /// A column of numbers or flags; nothing where the folder is of an earlier program that did not write it yet.
    ///
    /// # Errors
    /// A file is damaged or cannot be read, or has no column of numbers of this name.
    pub fn numbers(&self, table: &str, column: &str) -> Result<Option<Vec<Option<u64>>>, FileError> {
        let known = schema::table(table).and_then(|t| t.columns.iter().find(|c| c.name == column));
        self.table(table, |t| {
            let known = known.ok_or("no column of this name is known")?;
            if !t.has(column) {
                return Ok(None);
            }
            let all = |v: Vec<u64>| v.into_iter().map(Some).collect();
            let wide = |v: Vec<u32>| v.into_iter().map(u64::from).collect();
            Ok(Some(match (known.kind, known.optional) {
                (Kind::Code | Kind::Row, true) => t.optional_u32s(column)?.into_iter().map(|v| v.map(u64::from)).collect(),
                (Kind::Code | Kind::Row, false) => all(wide(t.u32s(column)?)),
                (Kind::Size | Kind::Address | Kind::Hash, true) => t.optional_u64s(column)?,
                (Kind::Size | Kind::Address | Kind::Hash, false) => all(t.u64s(column)?),
                (Kind::Flag, _) => all(t.flags(column)?.into_iter().map(u64::from).collect()),
                (Kind::Text, _) => return Err("it is a column of text".into()),
            }))
        })
    }

    /// A column of text; nothing where the folder is of an earlier program that did not write it yet.
    ///
    /// # Errors
    /// A file is damaged or cannot be read, or has no column of text of this name.
    pub fn texts(&self, table: &str, column: &str) -> Result<Option<Vec<Option<String>>>, FileError> {
        let known = schema::table(table).and_then(|t| t.columns.iter().find(|c| c.name == column && c.kind == Kind::Text));
        self.table(table, |t| {
            let known = known.ok_or("no column of text of this name is known")?;
            if !t.has(column) {
                return Ok(None);
            }
            Ok(Some(match known.optional {
                true => t.optional_texts(column)?,
                false => t.texts(column)?.into_iter().map(Some).collect(),
            }))
        })
    }

    /// Opens a table and reads from it.
    fn table<R>(&self, name: &str, read: impl FnOnce(&Table) -> Result<R, String>) -> Result<R, FileError> {
        self.right(name, read(&self.opened(name)?))
    }

    /// The same of a table that the first programs which wrote folders did not write.
    fn later<R: Default>(&self, name: &str, read: impl FnOnce(&Table) -> Result<R, String>) -> Result<R, FileError> {
        let is_there = schema::table(name).is_some_and(|spec| self.entries.iter().any(|e| e.name == spec.file()));
        if is_there {
            self.table(name, read)
        } else {
            Ok(R::default())
        }
    }

    /// Opens a table after its checksum was found right.
    fn opened(&self, name: &str) -> Result<Table, FileError> {
        let Some(spec) = schema::table(name) else { return Err(damaged(&self.folder, name, "no table of this name is known")) };
        let file = spec.file();
        let Some(entry) = self.entries.iter().find(|e| e.name == file) else {
            return Err(damaged(&self.folder, manifest::FILE, &format!("{file} is not in it")));
        };
        let opened = self.checked(entry)?;
        self.right(name, Table::open(opened, entry.bytes, spec))
    }

    /// What was read of a table; where it does not fit, the table is damaged.
    fn right<R>(&self, name: &str, read: Result<R, String>) -> Result<R, FileError> {
        read.map_err(|why| damaged(&self.folder, &format!("{name}.parquet"), &why))
    }

    /// A file whose length and checksum are those of the list.
    fn checked(&self, entry: &Entry) -> Result<File, FileError> {
        let path = self.folder.join(&entry.name);
        let mut file = File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => damaged(&self.folder, &entry.name, "it is missing"),
            _ => FileError::io(&path, &e),
        })?;
        let io = |e| FileError::io(&path, &e);
        let bytes = file.metadata().map_err(io)?.len();
        if bytes != entry.bytes {
            return Err(damaged(&self.folder, &entry.name, &format!("it has {bytes} bytes instead of {}", entry.bytes)));
        }
        let mut crc = crc32fast::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(io)? {
                0 => break,
                n => crc.update(buffer.get(..n).unwrap_or_default()),
            }
        }
        if crc.finalize() != entry.crc {
            return Err(damaged(&self.folder, &entry.name, "its checksum differs"));
        }
        Ok(file)
    }
}

fn damaged(folder: &Path, file: &str, why: &str) -> FileError {
    FileError::Damaged { path: folder.to_path_buf(), file: file.to_string(), why: why.to_string() }
}

fn types(t: &Table) -> Result<Vec<Type>, String> {
    let mut names = t.texts("name")?.into_iter();
    let known = t.texts("known")?;
    let [addresses, counts, own, footprint] =
        [t.u64s("address")?, t.u64s("count")?, t.u64s("own_bytes")?, t.u64s("footprint_bytes")?].map(Vec::into_iter);
    let rows = addresses.zip(counts).zip(own.zip(footprint)).zip(known);
    rows.map(|(((address, count), (own, footprint)), known)| {
        Ok(Type {
            name: names.next().ok_or("a type without a name")?,
            address: Addr(address),
            count,
            own_bytes: Bytes(own),
            footprint_bytes: Bytes(footprint),
            known: match known.as_str() {
                "exact" => Known::Exact,
                "derived" => Known::Derived,
                "scanned" => Known::Scanned,
                _ => return Err(format!("a type is known as {known:?}")),
            },
        })
    })
    .collect()
}

/// The classes. The first programs that wrote folders did not write their lines.
fn classes(t: &Table, types: &[Type]) -> Result<Vec<ClassRow>, String> {
    let lines = if t.has("first_line") { t.optional_u32s("first_line")? } else { Vec::new() };
    let line = |i: usize| lines.get(i).copied().flatten();
    let words = if t.has("finalizer") { t.optional_texts("finalizer")? } else { Vec::new() };
    let finalizer = |i: usize| Finalizer::of_word(words.get(i).and_then(|word| word.as_deref()));
    let row = |(i, t): (usize, &Type)| ClassRow { address: t.address, name: t.name.clone(), first_line: line(i), finalizer: finalizer(i) };
    Ok(types.iter().enumerate().map(row).collect())
}

pub(crate) fn objects(t: &Table, types: usize) -> Result<Objects, String> {
    let ((address, kind), ((own, footprint), (refcount, (collector, (found, immortal))))) = rayon::join(
        || (t.u64s("address"), t.u32s("type")),
        || {
            (
                (t.u64s("own_bytes"), t.u64s("footprint_bytes")),
                (t.u64s("refcount"), (t.u32s("collector"), (t.u32s("found"), t.flags("immortal")))),
            )
        },
    );
    let kind = kind?;
    if kind.iter().any(|k| *k as usize >= types) {
        return Err("an object is of a type that is not there".into());
    }
    let (collector, found, immortal) = (collector?, found?, immortal?);
    let state = collector.into_iter().zip(found).zip(immortal).map(|((c, f), immortal)| {
        let collector = Collector::ALL.get(c as usize).ok_or("an object has an unknown state of the collector")?;
        let found = crate::Found::ALL.get(f as usize).ok_or("an object was found by an unknown witness")?;
        Ok(State::new(*collector, *found, immortal))
    });
    let state = state.collect::<Result<Vec<State>, String>>()?;
    let bytes = |v: Vec<u64>| v.into_iter().map(Bytes).collect::<Column<Bytes>>();
    let address = address?.into_iter().map(Addr).collect();
    Objects::of_columns(address, kind, bytes(own?), bytes(footprint?), refcount?.into_iter().collect(), state)
        .ok_or_else(|| "its columns differ in length".into())
}
