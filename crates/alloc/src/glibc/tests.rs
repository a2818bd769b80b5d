//! The walk on worlds made by hand, whole and broken in every way.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::fake::{World, ARENA, HEAP, SECOND};
use super::*;

const SHAPES: [(Shape, bool); 3] = [(Shape::Fastbins, true), (Shape::Fastbins, false), (Shape::NoFastbins, true)];

/// What a world has, as far as it can be found; and that it makes sense whatever was broken.
fn walk(world: &World) -> Option<(Malloc, Vec<Chunk>, Vec<Gap>)> {
    let (image, mappings) = (world.image(), world.mappings());
    let malloc = Malloc::find(&image, &mappings).ok()?;
    let mut chunks: Vec<Chunk> = Vec::new();
    let gaps = malloc.chunks(&image, |chunk| chunks.push(chunk));
    for arena in &malloc.arenas {
        for heap in &arena.heaps {
            // Every byte is in one chunk or in one gap.
            let within = |at: Addr| heap.first <= at && at < heap.end;
            let mut parts: Vec<(Addr, u64)> = chunks.iter().filter(|c| within(c.at)).map(|c| (c.at, c.bytes)).collect();
            parts.extend(gaps.iter().filter_map(|g| Some((g.at.filter(|at| within(*at))?, g.bytes))));
            parts.sort();
            let mut at = heap.first;
            for (start, bytes) in parts {
                assert_eq!(start, at);
                at = at + bytes;
            }
            assert_eq!(at, heap.end);
        }
        arena.sums();
    }
    malloc.totals();
    malloc.trimmable(&image, |range| assert!(range.start < range.end));
    for heap in [HEAP, ARENA, SECOND] {
        malloc.mapped(&image, &(Addr(heap)..Addr(heap + 0x2_1000)));
    }
    Some((malloc, chunks, gaps))
}

#[test]
fn a_whole_world_is_found_as_it_was_made() {
    for (shape, safe) in SHAPES {
        let world = World::new(shape, safe);
        let (malloc, chunks, gaps) = walk(&world).unwrap();
        assert_eq!((malloc.shape, malloc.main, malloc.ring_closed), (shape, Addr(world.main), true));
        assert_eq!(gaps, []);
        let mut laid = world.laid.clone();
        laid.sort();
        let found: Vec<(u32, u64, u64, Kind)> = chunks.iter().map(|c| (c.arena, c.at.0, c.bytes, c.kind)).collect();
        assert_eq!(found, laid);
        let cached = laid.iter().filter(|l| l.3 == Kind::Cached);
        assert_eq!(malloc.caches.iter().map(Cache::count).collect::<Vec<_>>(), [cached.clone().count()]);
        assert_eq!(malloc.caches.iter().map(Cache::bytes).sum::<u64>(), cached.map(|l| l.2).sum::<u64>());
        let p = malloc.parameters.unwrap();
        assert_eq!((p.mmapped_chunks, p.mmapped_bytes, p.sbrk_base, p.trim_threshold), (2, 0x5000, Some(Addr(HEAP)), 0x20000));
        for arena in &malloc.arenas {
            let of = |kind| laid.iter().filter(move |l| l.0 == arena.index && l.3 == kind);
            let bytes = |kind| of(kind).map(|l| l.2).sum::<u64>();
            let sums = arena.sums();
            assert_eq!((sums.ordblks, sums.smblks), (of(Kind::Free).count() as u64 + 1, of(Kind::Fast).count() as u64));
            assert_eq!((sums.fsmblks, sums.keepcost), (bytes(Kind::Fast), bytes(Kind::Top)));
            assert_eq!(sums.fordblks, bytes(Kind::Free) + bytes(Kind::Fast) + bytes(Kind::Top));
            assert_eq!(sums.uordblks + sums.fordblks, sums.arena);
        }
    }
}

#[test]
fn a_trim_gives_back_whole_pages_of_bins_and_the_top_but_one_page() {
    let world = World::new(Shape::Fastbins, true);
    let (image, mappings) = (world.image(), world.mappings());
    let mut pages = Vec::new();
    Malloc::find(&image, &mappings).unwrap().trimmable(&image, |range| pages.push((range.start.0, range.end.0)));
    // Of the main arena: the chunk of 0x3000 at 0x2c0 joined with the fast one of 0x30 behind it ends at 0x32f0; the top at 0x58a0.
    let main = [(HEAP + 0x1000, HEAP + 0x3000), (HEAP + 0x6000, HEAP + 0x2_1000)];
    // Of the thread's: what is left of the first heap behind 0x10a18, and 0x7000 from 0x70 on in the second. Its top is left alone.
    let thread = [(ARENA + 0x1_1000, ARENA + 0x2_0000), (SECOND + 0x1000, SECOND + 0x7000)];
    assert_eq!(pages, [main, thread].concat());
}

/// Each way to break it: what is written where.
fn breakages(world: &World) -> Vec<(&'static str, Vec<(u64, u64)>)> {
    let in_use = world.chunk(0x2000, Kind::InUse);
    let binned = world.chunk(0x3000, Kind::Free);
    let thread_in_use = world.chunk(0x1_0000, Kind::InUse);
    let bins = world.main + world.shape.bins();
    let next = world.shape.next();
    vec![
        ("a size of 0", vec![(in_use + 8, 0)]),
        ("a size of 16", vec![(in_use + 8, 17), (in_use + 24, 0)]),
        ("a size that is no multiple of 16", vec![(in_use + 8, 0x2009)]),
        ("a size beyond the heap", vec![(in_use + 8, 0x4_0001)]),
        ("a size beyond everything", vec![(in_use + 8, u64::MAX)]),
        ("a size in a thread's heap", vec![(thread_in_use + 8, 0)]),
        ("a chunk in a bin that leads to itself", vec![(binned + 16, binned), (binned + 24, binned)]),
        ("a bin that leads nowhere", vec![(bins, 8), (bins + 8, u64::MAX - 7)]),
        ("a top beyond the heap", vec![(world.get(world.main + world.shape.top()) + 8, 1 << 40)]),
        ("a top that is nowhere", vec![(world.main + world.shape.top(), 0x1000_0000)]),
        ("a top at the end of the address space", vec![(world.main + world.shape.top(), u64::MAX - 15)]),
        ("a heap before itself", vec![(SECOND + 8, SECOND)]),
        ("a heap larger than any", vec![(SECOND + 16, 1 << 40), (SECOND + 24, 1 << 40)]),
        ("a heap of nobody", vec![(SECOND, 0)]),
        ("a ring that leads to itself", vec![(world.thread + next, world.thread)]),
        ("a ring that leads nowhere", vec![(world.thread + next, u64::MAX)]),
        ("a cache that leads to itself", vec![(world.chunk(0x20, Kind::Cached) + 16, world.chunk(0x20, Kind::Cached) + 16)]),
        ("an arena that has everything", vec![(world.main + next + 24, u64::MAX)]),
    ]
}

#[test]
fn broken_metadata_ends_in_a_gap() {
    for (shape, safe) in SHAPES {
        let whole = World::new(shape, safe);
        let (sound, all, _) = walk(&whole).unwrap();
        for (what, words) in breakages(&whole) {
            let mut world = whole.clone();
            words.iter().for_each(|&(at, word)| world.put(at, word));
            let (malloc, chunks, gaps) = walk(&world).unwrap_or_else(|| panic!("{what}: nothing was found"));
            let broken: u32 = malloc.arenas.iter().map(|a| a.broken_lists).sum();
            let counted = !gaps.is_empty() || broken > 0 || !malloc.ring_closed || malloc.caches.len() < sound.caches.len();
            assert!(counted || chunks == all, "{what}: nothing tells of it");
            assert!(!chunks.is_empty(), "{what}");
            assert!(gaps.iter().all(|gap| gap.bytes <= 1 << 47), "{what}");
        }
    }
}

#[test]
fn behind_a_broken_chunk_the_walk_goes_on_where_a_list_says_that_one_begins() {
    let mut world = World::new(Shape::Fastbins, true);
    let broken = world.chunk(0x2000, Kind::InUse);
    world.put(broken + 8, 0);
    let (_, chunks, gaps) = walk(&world).unwrap();
    assert_eq!(gaps, [Gap { at: Some(Addr(broken)), bytes: 0x2000, arena: 0 }]);
    assert_eq!(chunks.len(), world.laid.len() - 1);
}

#[test]
fn a_list_that_comes_back_to_itself_is_counted() {
    let mut world = World::new(Shape::Fastbins, false);
    let fast = world.chunk(0x40, Kind::Fast);
    world.put(fast + 16, fast);
    let (malloc, ..) = walk(&world).unwrap();
    assert_eq!(malloc.arenas[0].broken_lists, 1);
    // A free chunk that leads back to an earlier one of its list.
    let mut world = World::new(Shape::Fastbins, true);
    let (later, earlier) = (world.chunk(0x3000, Kind::Free), world.chunk(0x50, Kind::Free));
    world.put(later + 16, earlier);
    let (malloc, ..) = walk(&world).unwrap();
    assert_eq!(malloc.arenas[0].broken_lists, 1);
}

#[test]
fn no_word_written_anywhere_makes_it_loop_or_panic() {
    // Knuth's linear congruential generator: the same words each time.
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 11
    };
    let mut found = 0;
    for (shape, safe) in SHAPES {
        let whole = World::new(shape, safe);
        let interesting: Vec<u64> =
            whole.regions.iter().flat_map(|(start, bytes)| (0..bytes.len() as u64).step_by(8).map(move |o| start + o)).collect();
        let interesting: Vec<u64> = interesting.into_iter().filter(|&at| whole.get(at) != 0).collect();
        for _ in 0..1500 {
            let mut world = whole.clone();
            for _ in 0..1 + random() % 4 {
                let at = interesting[random() as usize % interesting.len()];
                let other = world.get(interesting[random() as usize % interesting.len()]);
                let word =
                    [0, u64::MAX, random(), other, other.wrapping_add(16), world.get(at) ^ 1 << (random() % 64)][random() as usize % 6];
                world.put(at, word);
            }
            found += usize::from(walk(&world).is_some());
        }
    }
    assert!(found > 4000, "{found} of 4500 were found");
}

#[test]
fn mapped_chunks_are_found_one_after_the_other() {
    for (shape, beyond, huge) in [(Shape::Fastbins, 0, 0), (Shape::NoFastbins, 16, 1)] {
        let mut world = World::new(shape, true);
        let malloc = Malloc::find(&world.image(), &world.mappings()).unwrap();
        let start = 0x7d00_0000_0000;
        world.regions.push((start, vec![0; 0x9000]));
        // A page of something else, one of two pages, one whose program wanted an alignment of 4096, and one larger than what is there.
        world.put(start + 0x1008, (0x2000 - beyond) | 2);
        world.put(start + 0x3000, huge);
        world.put(start + 0x3008, (0x3000 - beyond) | 2);
        world.put(start + 0x4000 - 16, 0xff0 | huge);
        world.put(start + 0x4000 - 8, (0x3000 - 0xff0 - beyond) | 2);
        world.put(start + 0x7008, (0x3000 - beyond) | 2);
        let image = world.image();
        let found = malloc.mapped(&image, &(Addr(start)..Addr(start + 0x9000)));
        let mapped = |at: u64, bytes, chunk: u64| Mapped { start: Addr(start + at), bytes, chunk: Addr(start + chunk) };
        assert_eq!(found, [mapped(0x1000, 0x2000, 0x1000), mapped(0x3000, 0x3000, 0x3ff0)], "{shape:?}");
    }
}

#[test]
fn without_a_main_arena_there_is_none() {
    let mut world = World::new(Shape::Fastbins, true);
    for offset in (0..0x4000).step_by(8) {
        world.put(super::fake::LIBC + offset, 0);
    }
    assert_eq!(Malloc::find(&world.image(), &world.mappings()).err(), Some(GlibcError::NotFound));
    assert_eq!(Malloc::find(&Image::default(), &[]).err(), Some(GlibcError::NotFound));
}
