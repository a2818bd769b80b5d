//! Sums per type, kept by each worker and joined at the end.

use std::sync::Arc;

use cpython::types::TypeInfo;

/// The sums of one type.
#[derive(Clone, Default)]
pub(crate) struct Sum {
    pub(crate) info: Option<Arc<TypeInfo>>,
    pub(crate) count: u64,
    pub(crate) own: u64,
    pub(crate) footprint: u64,
    /// Of that, in arenas of pymalloc.
    pub(crate) in_arenas: u64,
}

/// Sums by the number of the type.
#[derive(Default)]
pub(crate) struct Tally {
    sums: Vec<Sum>,
}

impl Tally {
    /// Adds one object.
    #[inline]
    pub(crate) fn add(&mut self, t: &Arc<TypeInfo>, own: u64, footprint: u64, in_arenas: u64) {
        let i = t.index as usize;
        if i >= self.sums.len() {
            self.sums.resize(i + 1, Sum::default());
        }
        if let Some(s) = self.sums.get_mut(i) {
            if s.info.is_none() {
                s.info = Some(Arc::clone(t));
            }
            s.count += 1;
            s.own = s.own.saturating_add(own);
            s.footprint = s.footprint.saturating_add(footprint);
            s.in_arenas = s.in_arenas.saturating_add(in_arenas);
        }
    }

    /// Adds another worker's sums.
    pub(crate) fn merge(&mut self, other: Tally) {
        if other.sums.len() > self.sums.len() {
            self.sums.resize(other.sums.len(), Sum::default());
        }
        for (mine, theirs) in self.sums.iter_mut().zip(other.sums) {
            mine.count += theirs.count;
            mine.own = mine.own.saturating_add(theirs.own);
            mine.footprint = mine.footprint.saturating_add(theirs.footprint);
            mine.in_arenas = mine.in_arenas.saturating_add(theirs.in_arenas);
            mine.info = mine.info.take().or(theirs.info);
        }
    }

    /// Types that have instances.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<TypeInfo>, &Sum)> {
        self.sums.iter().filter(|s| s.count > 0).filter_map(|s| s.info.as_ref().map(|i| (i, s)))
    }
}
