//! Segments made by hand, whole and broken.
#![allow(clippy::unwrap_used, clippy::panic)]

use memory::Segment as Bytes;

use super::*;

const START: u64 = 0x4b4_be00_0000;
const HUGE: u64 = START + SEGMENT;
const HEAP: u64 = 0x7f00_0000_0000;

/// The first slices of a segment with two pages and a free span, the header of a segment with one huge block, and a heap.
#[derive(Clone)]
struct World {
    shape: Shape,
    regions: Vec<(u64, Vec<u8>)>,
}

impl World {
    fn new(shape: Shape) -> World {
        let old = shape == Shape::V2_1;
        let mut w = World { shape, regions: vec![(START, vec![0; 0x4_0000]), (HUGE, vec![0; 0x2000]), (HEAP, vec![0; 0x1000])] };
        // A page of 48 bytes a block: 10 made, 3 free, 1 freed by another thread, 1 in the heap's list.
        let first = START + 0x1_0000 + if old { 3 * 48 } else { 0x140 };
        let at = |n: u64| first + 48 * n;
        w.page(START, 1, 1, 48, (10, 1000, 7), [at(2), at(5), at(7)], first);
        w.put(at(2), at(4));
        w.put(HEAP + if old { 2840 } else { 8 }, at(9));
        // A page of eight slices with blocks of 20 KiB, all in use, and a free span up to the end.
        w.page(START, 2, 8, 20480, (25, 25, 25), [0, 0, 0], START + 0x2_0000);
        w.page(START, 10, 502, 0, (0, 0, 0), [0, 0, 0], 0);
        w.page(START, 0, 1, if old { 1 } else { 65536 }, (0, 0, 0), [0, 0, 0], 0);
        w.header(START, SEGMENT, 2);
        let huge = 0x681 * SLICE;
        w.page(HUGE, 0, 1, 1, (0, 0, 0), [0, 0, 0], 0);
        w.page(HUGE, 1, 0x680, huge - SLICE, (1, 1, 1), [0, 0, 0], HUGE + SLICE);
        w.header(HUGE, huge, 1);
        w
    }

    fn header(&mut self, at: u64, bytes: u64, used: u64) {
        let slices = bytes / SLICE;
        let (count, sizes, kind) = if self.shape == Shape::V2_1 { (208, 224, 240) } else { (216, 248, 264) };
        let huge = u64::from(bytes > SEGMENT);
        for (offset, word) in
            [(32, bytes), (count, used), (sizes, slices), (sizes + 8, 1), (kind, huge), (kind + 8, slices.min(512)), (kind + 16, 0x7f01)]
        {
            self.put(at + offset, word);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn page(&mut self, segment: u64, index: u64, slices: u64, size: u64, (made, fit, used): (u64, u64, u64), lists: [u64; 3], first: u64) {
        let [free, local, theirs] = lists;
        if self.shape == Shape::V2_1 {
            let at = segment + 264 + 80 * index;
            let words = [slices, made << 16 | fit << 32, free, used | size << 32, local, theirs | 2, if size > 1 { HEAP } else { 0 }];
            words.into_iter().enumerate().for_each(|(i, word)| self.put(at + 8 * i as u64, word));
        } else {
            let at = segment + 288 + 96 * index;
            let words = [slices, made << 16 | fit << 32, free, local, used, size, first, theirs | 2, if size > 1 { HEAP } else { 0 }];
            words.into_iter().enumerate().for_each(|(i, word)| self.put(at + 8 * i as u64, word));
        }
    }

    fn put(&mut self, at: u64, word: u64) {
        let (start, bytes) = self.regions.iter_mut().find(|(s, b)| *s <= at && at + 8 <= s + b.len() as u64).unwrap();
        let from = (at - *start) as usize;
        bytes[from..from + 8].copy_from_slice(&word.to_le_bytes());
    }

    fn get(&self, at: u64) -> u64 {
        let (start, bytes) = self.regions.iter().find(|(s, b)| *s <= at && at + 8 <= s + b.len() as u64).unwrap();
        let from = (at - *start) as usize;
        u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap())
    }

    fn find(&self) -> (Result<Mimalloc, MimallocError>, Vec<Block>, Vec<Gap>) {
        let image = Image::new(self.regions.iter().map(|(start, bytes)| Bytes { start: Addr(*start), bytes }).collect());
        let mapping = Mapping {
            start: Addr(START),
            // A core file said so, and the walk went through all of it: only what is there may cost time.
            end: Addr(START + (1 << 62)),
            read: true,
            write: true,
            exec: false,
            shared: false,
            offset: 0,
            inode: 0,
            path: String::new(),
        };
        let found = Mimalloc::find(&image, &[mapping]);
        let (mut blocks, mut gaps) = (Vec::new(), Vec::new());
        if let Ok(mimalloc) = &found {
            gaps = mimalloc.blocks(&image, |block| blocks.push(block));
            let totals = mimalloc.totals(&image);
            assert_eq!(totals.segments, totals.headers + totals.used + totals.free + totals.uncarved + totals.spans + totals.gaps);
        }
        (found, blocks, gaps)
    }
}

#[test]
fn blocks_in_use_are_those_on_no_list() {
    for shape in Shape::ALL {
        let world = World::new(shape);
        let (found, blocks, gaps) = world.find();
        let found = found.unwrap();
        assert_eq!((found.shape, found.segments.len(), gaps.len(), found.freed.len()), (shape, 2, 0, 0));
        assert_eq!(found.segments[1].bytes, 0x681_0000);
        assert!(found.segments[1].huge && !found.segments[0].huge);
        let small: Vec<bool> = blocks.iter().filter(|b| b.bytes == 48).map(|b| b.in_use).collect();
        assert_eq!(small, [true, true, false, true, false, false, true, false, true, false]);
        assert_eq!(blocks.iter().filter(|b| b.bytes == 20480 && b.in_use).count(), 25);
        let huge: Vec<&Block> = blocks.iter().filter(|b| b.bytes > 1 << 20).collect();
        assert_eq!(huge, [&Block { at: Addr(HUGE + SLICE), bytes: 0x680_0000, in_use: true }]);
    }
}

#[test]
fn a_page_whose_lists_do_not_fit_is_a_gap() {
    for shape in Shape::ALL {
        let whole = World::new(shape);
        let first = whole.find().1[0].at.0;
        // The first free block leads: to itself, out of the page, between two blocks, nowhere.
        for to in [first + 96, START, first + 200, 0] {
            let mut world = whole.clone();
            world.put(first + 96, to);
            let (_, blocks, gaps) = world.find();
            assert_eq!(gaps, [Gap { at: Addr(START + SLICE), bytes: SLICE }], "{to:#x}");
            assert_eq!(blocks.len(), 26);
        }
    }
}

#[test]
fn a_segment_given_up_is_no_segment() {
    for shape in Shape::ALL {
        let mut world = World::new(shape);
        world.page(START, 1, 511, 0, (0, 0, 0), [0, 0, 0], 0);
        world.header(START, SEGMENT, 0);
        let found = world.find().0.unwrap();
        assert_eq!(found.segments.len(), 1);
        assert_eq!(found.freed, [Addr(START)..Addr(HUGE)]);
    }
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
    for shape in Shape::ALL {
        let whole = World::new(shape);
        let all = whole.regions.iter().flat_map(|(start, bytes)| (0..bytes.len() as u64).step_by(8).map(move |o| start + o));
        let interesting: Vec<u64> = all.filter(|&at| whole.get(at) != 0).collect();
        for _ in 0..2000 {
            let mut world = whole.clone();
            for _ in 0..1 + random() % 3 {
                let at = interesting[random() as usize % interesting.len()];
                let other = world.get(interesting[random() as usize % interesting.len()]);
                let word = [0, u64::MAX, random(), other, world.get(at) ^ 1 << (random() % 64)][random() as usize % 5];
                world.put(at, word);
            }
            found += usize::from(world.find().0.is_ok());
        }
    }
    assert!(found > 2000, "{found} of 4000 were found");
}

#[test]
fn without_a_segment_there_is_none() {
    let mut world = World::new(Shape::V2_1);
    world.put(START + 224, 511);
    world.put(HUGE + 248, 511);
    assert_eq!(world.find().0.err(), Some(MimallocError::NotFound));
}
