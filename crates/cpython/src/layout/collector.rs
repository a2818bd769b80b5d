//! The proof of the collector: its state and its lists.
//!
//! Holds: [`collector`], and [`Places`]: where the fields behind the generations are. Never: decodes an object (that is `proof`).
//! Sources: struct _gc_runtime_state in Include/internal/pycore_gc.h; Modules/gcmodule.c (3.12+: Python/gc.c), update_refs.

use memory::{Addr, Fault, Image, Memory};

use crate::collector::Rings;

use super::care::Care;
use super::proof::{fail, Failure, Identity, Moment};
use super::{incremental, Fields, Layout};

/// Where fields of the collector's state are that follow from those of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The flags of `gc.set_debug`: behind `enabled` in every release.
    pub debug: u64,
    /// The statistics: behind the permanent generation in every release; in 3.15 their address.
    pub stats: u64,
    /// Their form where they stand elsewhere.
    pub stats_rings: Option<Rings>,
    /// `collections` within an entry; `collected` and `uncollectable` follow.
    pub collections: u64,
    /// `long_lived_total`; `long_lived_pending` follows.
    pub long_lived: Option<u64>,
}

impl Layout {
    /// Where the rest of the collector's state is. To 3.13 `long_lived_total` follows `callbacks`; 3.14.5 put both counts back behind what
    /// the incremental collector had added (`heap_size` and three more words, gh-148726), 3.15 has `heap_size` alone between.
    pub fn collector_places(&self) -> Places {
        let gc = &self.at.gc;
        let rings = self.table.size("gc_generation_stats").filter(|bytes| *bytes > 24).map(|entry| Rings { entry, young: 11, old: 3 });
        let between = match (rings, self.rules.dicts_are_untracked) {
            (Some(_), _) => 16,
            (None, false) => 32,
            (None, true) => 8,
        };
        Places {
            debug: gc.enabled + 4,
            stats: gc.permanent_generation + 24,
            stats_rings: rings,
            collections: self.table.offset("gc_generation_stats", "collections").unwrap_or(0),
            long_lived: (!self.incremental).then_some(gc.callbacks + between),
        }
    }
}

/// Nodes of each list that are walked from either end.
const SAMPLE: usize = 10_000;

/// The collector's lists close in both directions; sets `layout.generations` to where they do. Gives a sample of objects.
/// Of a program that ran meanwhile they need only lead to a hundred objects in all, each with its link back.
pub(super) fn collector(
    image: &Image<'_>,
    identity: &Identity,
    layout: &mut Layout,
    interpreter: Addr,
    moment: Moment,
    care: Care,
) -> Result<Vec<Addr>, Failure> {
    let Some(state) = layout.gc_state(identity.runtime, interpreter) else { return fail("no collector's state in the table") };
    let collecting = match image.i32(state + layout.at.gc.collecting)? {
        0 => false,
        1 => true,
        other => return fail(format!("gc.collecting is {other}")),
    };
    let permanent = state + layout.at.gc.permanent_generation;
    let garbage = image.addr(state + layout.at.gc.garbage)?;
    let mut why = String::new();
    // Debian's 3.13 aligns PyGC_Head to 4, which moves the generations back by 4 (packaging patch gchead-alignment.diff).
    for generations in [layout.generations, layout.generations.wrapping_sub(4), layout.generations + 4] {
        let heads = [0, 24, 48].map(|o| state + generations + o);
        let mut sample = Vec::new();
        let ok = heads.iter().chain([&permanent]).try_for_each(|head| {
            let mut walked = ring(image, *head, collecting, &mut sample);
            if walked.is_err() && care == Care::Damaged {
                walked = anchored(image, *head, &mut sample);
            }
            // What was read while the program ran need not fit together: a list is believed as far as it leads.
            if moment == Moment::Running {
                Ok(())
            } else {
                walked
            }
        });
        match ok {
            Ok(()) if sample.len() > 100 => {
                layout.generations = generations;
                let list = image.addr(garbage + Fields::OB_TYPE)?;
                if image.c_str(image.addr(list + layout.at.ty.tp_name)?, 64)? != "list" {
                    return fail("gc.garbage is not a list");
                }
                // To 3.9 the module gc makes it, when it is imported.
                let callbacks = image.addr(state + layout.at.gc.callbacks)?;
                if !callbacks.is_null() && image.addr(callbacks + Fields::OB_TYPE)? != list {
                    return fail("gc.callbacks is not a list");
                }
                if layout.incremental && !collecting && moment == Moment::Still {
                    incremental::check(image, layout, state)?;
                }
                return Ok(sample);
            }
            Ok(()) => why = "the collector's lists are all but empty".to_owned(),
            Err(e) => why = e,
        }
    }
    fail(why)
}

/// Walks one list from both ends, up to [`SAMPLE`] nodes each. A program that stood still may have been in the middle of
/// linking one object in, at the end (`_PyObject_GC_TRACK`: the last object leads to it, nothing leads back yet), or of taking
/// one out (`_PyObject_GC_UNTRACK`: only the way back still goes through it): both are told from a list that is none.
fn ring(image: &Image<'_>, head: Addr, collecting: bool, sample: &mut Vec<Addr>) -> Result<(), String> {
    let next = |at: u64| image.u64(Addr(at)).map(|link| link & !3);
    let back = |at: u64| image.u64(Addr(at.wrapping_add(8))).map(|link| link & !3);
    let fault = |e: Fault| format!("a list of the collector leads to {e}");
    let last = back(head.0).map_err(fault)?;
    let (mut at, mut before) = (next(head.0).map_err(fault)?, head.0);
    for n in 0..SAMPLE {
        // During a collection the back links hold counts (gc.c, update_refs).
        match back(at) {
            Ok(link) if link == before || collecting => {}
            Ok(link) if next(link) == Ok(at) && back(link) == Ok(before) => {}
            Ok(link) if at == head.0 && next(link) == Ok(before) => {}
            _ if before == last => break,
            Ok(_) => return Err(format!("a list of the collector does not lead back after {n} objects")),
            Err(e) => return Err(fault(e)),
        }
        if at == head.0 {
            break;
        }
        sample.push(Addr(at) + Fields::GC_HEAD);
        before = at;
        at = next(at).map_err(fault)?;
    }
    let (mut at, mut after) = (last, head.0);
    for n in 0..if collecting { 0 } else { SAMPLE } {
        let link = next(at).map_err(fault)?;
        let leaves = next(after) == Ok(link) && back(after) == Ok(at);
        if link != after && n > 0 && !leaves {
            return Err(format!("a list of the collector does not lead forward {n} objects before its end"));
        }
        if at == head.0 {
            break;
        }
        after = at;
        at = back(at).map_err(fault)?;
    }
    Ok(())
}

/// Whether a list in which an object was damaged is one all the same: its head leads to objects that lead back to it, at one of its ends
/// at least. What stands from the end up to the damage is sampled too.
fn anchored(image: &Image<'_>, head: Addr, sample: &mut Vec<Addr>) -> Result<(), String> {
    let link = |at: Addr, offset: u64| image.u64(Addr(at.0.wrapping_add(offset))).map(|link| Addr(link & !3));
    let (first, last) = (link(head, 0), link(head, 8));
    let leads_back = first.and_then(|first| link(first, 8)) == Ok(head);
    let leads_forward = last.and_then(|last| link(last, 0)) == Ok(head);
    if !leads_back && !leads_forward {
        return Err("a list of the collector does not lead back to its head".to_owned());
    }
    let (Ok(mut at), mut after) = (last, head) else { return Ok(()) };
    for _ in 0..SAMPLE {
        let fits = link(at, 0) == Ok(after);
        let (true, true, Ok(before)) = (fits, at != head, link(at, 8)) else { break };
        sample.push(at + Fields::GC_HEAD);
        (after, at) = (at, before);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Segment;

    /// A head at 0x1000 and objects' heads behind it, each as (next, back).
    fn check(links: &[(u64, u64)]) -> Result<usize, String> {
        let bytes: Vec<u8> = links.iter().flat_map(|(next, back)| [next.to_le_bytes(), back.to_le_bytes()]).flatten().collect();
        let image = Image::new(vec![Segment { start: Addr(0x1000), bytes: &bytes }]);
        let mut sample = Vec::new();
        ring(&image, Addr(0x1000), false, &mut sample).map(|()| sample.len())
    }

    #[test]
    fn whole_lists_and_those_in_the_middle_of_a_change() {
        let (head, a, b, c) = (0x1000, 0x1010, 0x1020, 0x1030);
        assert_eq!(check(&[(head, head)]), Ok(0));
        assert_eq!(check(&[(a, b), (b, head), (head, a)]), Ok(2));
        // `c` is being linked in: first the link to it, then its own, last the head's.
        assert_eq!(check(&[(a, b), (b, head), (c, a), (0, 0)]), Ok(2));
        assert_eq!(check(&[(a, b), (b, head), (c, a), (head, b)]), Ok(3));
        // `b` is being taken out: `a` leads to `c`, `c` still leads back to `b`.
        assert_eq!(check(&[(a, c), (c, head), (c, a), (head, b)]), Ok(2));
        // An object in the middle, or the last one, was overwritten: refused, and believed where damage is looked for.
        let damaged = |links: &[(u64, u64)]| {
            assert!(check(links).is_err());
            let bytes: Vec<u8> = links.iter().flat_map(|(next, back)| [next.to_le_bytes(), back.to_le_bytes()]).flatten().collect();
            let image = Image::new(vec![Segment { start: Addr(0x1000), bytes: &bytes }]);
            let mut sample = Vec::new();
            anchored(&image, Addr(0x1000), &mut sample).map(|()| sample.len())
        };
        assert_eq!(damaged(&[(a, c), (b, head), (0x4141, 0x4141), (head, b)]), Ok(1));
        assert_eq!(damaged(&[(a, c), (b, head), (c, a), (c, c)]), Ok(0));
        assert!(damaged(&[(a, c), (0, 0), (c, a), (0, 0)]).is_err());
        // Not lists.
        assert!(check(&[(a, b), (b, a), (head, a)]).is_err());
        assert!(check(&[(a, b), (0x5000, head), (head, a)]).is_err());
        assert!(check(&[(a, b), (b, head), (head, head)]).is_err());
    }
}
