//! The table of references as a graph, and the small tables that go with it.

use graph::Edges;
use memory::Addr;

use super::decode::Table;
use crate::{
    BoundRow, CallRow, CodeRow, Graph, Inside, LabelPlaces, LinkLabel, ModuleRow, RegionRow, RootLink, TaskRow, ThreadRow, WeakRow,
};

/// All references, by holder; `rows` is the number of objects.
pub(crate) fn graph(t: &Table, labels: Vec<LinkLabel>, rows: usize) -> Result<Graph, String> {
    let ((label, position), (holder, target)) =
        rayon::join(|| (t.u32s("label"), t.u32s("position")), || (t.u32s("holder"), t.u32s("target")));
    let (label, position, holder, target) = (label?, position?, holder?, target?);
    let known = |column: &[u32], below: usize| column.iter().all(|v| (*v as usize) < below);
    if !known(&holder, rows) || !known(&target, rows) {
        return Err("a reference is of an object that is not there".into());
    }
    if !known(&label, labels.len()) {
        return Err("a reference has a label that is not there".into());
    }
    let edges = u32::try_from(holder.len()).map_err(|_| "more references than are supported")?;
    // The edges' numbers by holder; then each row in the order in which a live look tells it.
    let at = |column: &[u32], i: u32| column.get(i as usize).copied().unwrap_or(0);
    let mut starts = vec![0u32; rows + 1];
    for h in &holder {
        if let Some(count) = starts.get_mut(*h as usize + 1) {
            *count += 1;
        }
    }
    let lengths: Vec<u32> = starts.iter().skip(1).copied().collect();
    let mut end = 0;
    for start in &mut starts {
        end += *start;
        *start = end;
    }
    let mut order = vec![0u32; holder.len()];
    for i in 0..edges {
        if let Some(place) = starts.get_mut(at(&holder, i) as usize) {
            if let Some(slot) = order.get_mut(*place as usize) {
                *slot = i;
            }
            *place += 1;
        }
    }
    drop(holder);
    let mut rest = order.as_mut_slice();
    for length in &lengths {
        let (row, behind) = std::mem::take(&mut rest).split_at_mut(*length as usize);
        row.sort_unstable_by_key(|i| (at(&label, *i), at(&position, *i), at(&target, *i)));
        rest = behind;
    }
    drop(position);
    let targets = order.iter().map(|i| at(&target, *i)).collect();
    let label = order.iter().map(|i| at(&label, *i)).collect::<LabelPlaces>();
    let edges = Edges::from_rows(lengths.into_iter(), targets).ok_or("its references do not add up")?;
    Graph::new(edges, label, labels).ok_or_else(|| "its references do not add up".into())
}

/// The small tables that questions about ownership need; `rows` is the number of objects.
pub(crate) struct Small {
    rows: usize,
}

impl Small {
    pub(crate) fn of(rows: usize) -> Small {
        Small { rows }
    }

    fn known(&self, objects: Vec<u32>) -> Result<Vec<u32>, String> {
        match objects.iter().all(|o| (*o as usize) < self.rows) {
            true => Ok(objects),
            false => Err("a row is about an object that is not there".into()),
        }
    }

    /// A column of rows of which some may have none.
    fn some(&self, t: &Table, column: &str) -> Result<Vec<Option<u32>>, String> {
        let rows = t.optional_u32s(column)?;
        self.known(rows.iter().flatten().copied().collect())?;
        Ok(rows)
    }

    /// Module objects. The first programs that wrote folders did not write their files.
    pub(crate) fn modules(&self, t: &Table) -> Result<Vec<ModuleRow>, String> {
        let objects = self.known(t.u32s("object")?)?;
        let files = if t.has("file") { t.optional_texts("file")? } else { vec![None; objects.len()] };
        let columns = objects.into_iter().zip(t.texts("name")?).zip(files);
        Ok(columns.map(|((object, name), file)| ModuleRow { object, name, file }).collect())
    }

    /// Code objects.
    pub(crate) fn codes(&self, t: &Table) -> Result<Vec<CodeRow>, String> {
        let columns = self.known(t.u32s("object")?)?.into_iter().zip(t.texts("name")?).zip(t.texts("file")?).zip(t.u32s("first_line")?);
        Ok(columns.map(|(((object, name), file), first_line)| CodeRow { object, name, file, first_line }).collect())
    }

    /// References from what is no object.
    pub(crate) fn roots(&self, t: &Table) -> Result<Vec<RootLink>, String> {
        let roots = super::inspect::roots(t)?;
        self.known(roots.iter().map(|root| root.target).collect())?;
        Ok(roots)
    }

    /// Calls that are not at their end.
    pub(crate) fn calls(&self, t: &Table) -> Result<Vec<CallRow>, String> {
        let columns = self.known(t.u32s("object")?)?.into_iter().zip(t.texts("name")?);
        let columns = columns.zip(self.some(t, "code")?).zip(self.some(t, "globals")?).zip(t.optional_u32s("line")?);
        let words = if t.has("inside") { t.optional_texts("inside")? } else { Vec::new() };
        let mut inside = words.into_iter().map(|word| Inside::ALL.into_iter().find(|inside| Some(inside.word()) == word.as_deref()));
        let mut begun = if t.has("begun") { t.flags("begun")? } else { Vec::new() }.into_iter();
        let row = |((((object, name), code), globals), line)| {
            let inside = inside.next().flatten();
            CallRow { object, name, code, globals, line, inside, begun: begun.next().unwrap_or(true) }
        };
        Ok(columns.map(row).collect())
    }

    /// Tasks of asyncio.
    pub(crate) fn tasks(&self, t: &Table) -> Result<Vec<TaskRow>, String> {
        let columns = self.known(t.u32s("object")?)?.into_iter().zip(t.texts("name")?);
        Ok(columns.map(|(object, name)| TaskRow { object, name }).collect())
    }

    /// Containers with a bound of their own.
    pub(crate) fn bounds(&self, t: &Table) -> Result<Vec<BoundRow>, String> {
        let columns = self.known(t.u32s("object")?)?.into_iter().zip(t.optional_u64s("bound")?);
        Ok(columns.map(|(object, bound)| BoundRow { object, bound }).collect())
    }

    /// Weak references, in the order of their rows, each once.
    pub(crate) fn weakrefs(&self, t: &Table) -> Result<Option<Vec<WeakRow>>, String> {
        let columns = self.known(t.u32s("object")?)?.into_iter().zip(self.some(t, "referent")?);
        let columns = columns.zip(t.flags("dead")?).zip(self.some(t, "callback")?);
        let row = |(((object, referent), dead), callback)| WeakRow { object, referent, dead, callback };
        let mut rows: Vec<WeakRow> = columns.map(row).collect();
        rows.sort_unstable();
        rows.dedup_by_key(|row| row.object);
        Ok(Some(rows))
    }

    /// Mapped memory.
    pub(crate) fn regions(t: &Table) -> Result<Vec<RegionRow>, String> {
        let columns = t.u64s("start")?.into_iter().zip(t.u64s("end")?).zip(t.texts("rights")?).zip(t.u64s("offset")?).zip(t.texts("path")?);
        let row = |((((start, end), rights), offset), path)| RegionRow { start: Addr(start), end: Addr(end), rights, offset, path };
        Ok(columns.map(row).collect())
    }

    /// Threads.
    pub(crate) fn threads(t: &Table) -> Result<Vec<ThreadRow>, String> {
        let columns = t.u32s("interpreter")?.into_iter().zip(t.u64s("address")?).zip(t.u64s("thread_id")?);
        Ok(columns.map(|((interpreter, address), thread_id)| ThreadRow { interpreter, address: Addr(address), thread_id }).collect())
    }
}
