//! The incremental collector of 3.14.0 to 3.14.4, as one more candidate of every table of that series.
//!
//! Holds: what a table of the generational collector, which came back in 3.14.5, becomes with the collector's state as those releases
//! document it, and what that collector's lists look like. Never: believed on a version number; it is proved on the target as any table
//! is, and `_Py_DebugOffsets` tells the two apart (`gc.size`, and every told field of the interpreter behind the collector's state).
//! Sources: struct _gc_runtime_state in Include/internal/pycore_interp_structs.h of v3.14.0 (gh-108362) and v3.14.5 (gh-148726);
//! `validate_spaces` in Python/gc.c of v3.14.0; docs/layouts/incremental-collector.md, which draws it.

use memory::{Addr, Image, Memory};

use super::proof::{fail, Failure};
use super::{Layout, Table};

const STATE: &str = "_gc_runtime_state";
/// Bytes of the state with generations, and without the three words that 3.14.5 put at its end: `long_lived_total`,
/// `long_lived_pending` and `generation0`.
const WITH_GENERATIONS: u64 = 264;
const INCREMENTAL: u64 = 240;
/// `visited_space`, an int of 0 or 1, and `phase`, an int of 0 (mark) or 1 (collect): where 3.14.5 has `dummy2` and `dummy3`.
const VISITED_SPACE: u64 = 232;
const PHASE: u64 = 236;

/// A table of a release of 3.14 with generations, as it would be with the incremental collector.
pub(super) fn candidate(table: &Table) -> Option<Table> {
    if !of_3_14(table) || table.size(STATE) != Some(WITH_GENERATIONS) {
        return None;
    }
    let behind = table.offset("_is", "gc")? + WITH_GENERATIONS;
    let moved =
        table.clone().shrunk("_is", behind, WITH_GENERATIONS - INCREMENTAL).shrunk(STATE, WITH_GENERATIONS, WITH_GENERATIONS - INCREMENTAL);
    let name = format!("{} with the incremental collector of 3.14.0 to 3.14.4", table.name);
    Some(moved.named(name))
}

/// Whether a table's collector is the incremental one.
pub(super) fn is(table: &Table) -> bool {
    of_3_14(table) && table.size(STATE) == Some(INCREMENTAL)
}

fn of_3_14(table: &Table) -> bool {
    (table.release.major, table.release.minor) == (3, 14)
}

/// What must be true of the state besides its lists: the two ints, and the space that each old object says it is in.
pub(super) fn check(image: &Image<'_>, layout: &Layout, state: Addr) -> Result<(), Failure> {
    for (name, at) in [("visited_space", VISITED_SPACE), ("phase", PHASE)] {
        match image.i32(state + at)? {
            0 | 1 => {}
            other => return fail(format!("gc.{name} is {other}")),
        }
    }
    for space in 0..2 {
        let head = state + layout.generations + 24 * (space + 1);
        let (mut right, mut wrong) = (0, 0);
        let mut at = image.u64(head)? & !3;
        while at != head.0 && right + wrong < SAMPLE {
            let next = image.u64(Addr(at))?;
            *if next & 1 == space { &mut right } else { &mut wrong } += 1;
            at = next & !3;
        }
        // Objects change their space one by one while the collector is at work.
        if wrong > right {
            return fail(format!("{wrong} of {} objects of old space {space} say that they are in the other", right + wrong));
        }
    }
    Ok(())
}

/// Objects of each old space that are asked.
const SAMPLE: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_generational_table_of_3_14_has_a_twin() {
        let table = |text: &str| Table::parse("3.14.9", text).expect("parses");
        let text =
            "release 3.14.9\n_gc_runtime_state 264 generations=24:72 callbacks=208\n_is 9000 gc=7408:264 threads.head=7344 sysdict=7672\n";
        let twin = candidate(&table(text)).expect("a twin");
        assert_eq!([twin.size(STATE), twin.size("_is")], [Some(240), Some(8976)]);
        // Before the state nothing moves, behind it all by three words (sysdict at 7648: what 3.14.0 tells of itself).
        assert_eq!(["gc", "threads.head", "sysdict"].map(|f| twin.offset("_is", f)), [Some(7408), Some(7344), Some(7648)]);
        assert_eq!(["generations", "callbacks"].map(|f| twin.offset(STATE, f)), [Some(24), Some(208)]);
        assert!(is(&twin) && !is(&table(text)) && candidate(&twin).is_none());
        for other in [text.replace("3.14.9", "3.15.0"), text.replace("state 264", "state 176")] {
            assert!(candidate(&table(&other)).is_none(), "{other}");
        }
    }
}
