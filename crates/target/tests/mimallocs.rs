//! The mimalloc inside CPython, read from a frozen copy, against what the interpreter says of it.

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::collections::BTreeMap;

    use alloc::mimalloc::{Block, Mimalloc};
    use exuvia_target::{open, take};
    use memory::Addr;
    use testbed::{for_each_that, Target};

    use crate::support::{may_trace, options, script};

    #[test]
    fn every_block_is_as_the_interpreter_has_it() {
        if !may_trace() {
            return;
        }
        let has_it = |py: &testbed::Interpreter| if py.minor >= 13 { Ok(()) } else { Err("no mimalloc before 3.13".to_string()) };
        for_each_that(has_it, |py| {
            let mut target = Target::start_path::<&str>(&py.path, &script("mimallocs.py"), &[]).unwrap();
            let answer = target.ask("go").unwrap();
            let said: Vec<u64> = answer.split(' ').filter_map(|n| n.parse().ok()).collect();
            let taken = take(&open(target.pid() as i32).unwrap(), &options()).unwrap();
            let image = taken.image();
            let mimalloc = Mimalloc::find(&image, taken.mappings()).unwrap();
            let mut blocks: BTreeMap<Addr, Block> = BTreeMap::new();
            assert_eq!(mimalloc.blocks(&image, |block| assert_eq!(blocks.insert(block.at, block), None)), []);

            // Every byte of every segment is in one of the totals, and the blocks are what the pages count.
            let totals = mimalloc.totals(&image);
            assert_eq!(totals.gaps, 0);
            assert_eq!(totals.segments, totals.headers + totals.used + totals.free + totals.uncarved + totals.spans);
            assert_eq!(totals.used_blocks + totals.free_blocks, blocks.len() as u64);
            let pages = || mimalloc.segments.iter().flat_map(|s| &s.pages);
            let used: u64 = pages().map(|p| u64::from(p.used)).sum();
            assert!(totals.used_blocks <= used);
            assert!(totals.used_blocks < used, "nothing waits for its thread");

            // The interpreter counts the blocks of its own thread's heap.
            let mut heaps: BTreeMap<Addr, u64> = BTreeMap::new();
            pages().for_each(|p| *heaps.entry(p.heap).or_default() += u64::from(p.used));
            println!("{}: {:?}, {} segments, heaps {heaps:?}, said {answer}, {totals:?}", py.name, mimalloc.shape, mimalloc.segments.len());
            let (least, most) = (said[0].min(said[1]), said[0].max(said[1]));
            assert!(heaps.values().any(|&used| used + 8 >= least && used <= most + 8), "{heaps:?}: none has {least} to {most}");

            let words = |name: &str| -> Vec<u64> {
                let bytes = std::fs::read(target.scratch().join(name)).unwrap();
                bytes.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().unwrap())).collect()
            };
            let (live, dropped) = (words("live"), words("dropped"));
            assert_eq!((live.len() as u64 / 2, dropped.len() as u64), (said[2], said[3]));
            for pair in live.chunks(2) {
                let block = blocks.get(&Addr(pair[0])).unwrap_or_else(|| panic!("no block at {:#x}", pair[0]));
                assert!(block.in_use && block.bytes >= pair[1], "{block:?} of {} bytes", pair[1]);
            }
            // A few of what was dropped last is already used for the answer's own objects.
            let again = dropped.iter().filter(|&&at| blocks.get(&Addr(at)).is_some_and(|block| block.in_use)).count();
            assert!(again <= 8, "{again} of {} are in use", dropped.len());
            assert!(mimalloc.segments.iter().filter(|s| s.huge).count() >= 2);
        });
    }
}
