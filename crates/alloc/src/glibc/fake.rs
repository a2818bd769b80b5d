//! A process made by hand, for tests: a libc with a main arena and `mp_`, a heap, a thread arena with two heaps.
//!
//! Holds: [`World`]. Written from malloc's own description of its structures, without the code under test.

use memory::{Addr, Image, Mapping, Segment};

use super::chunk::Kind;
use super::shape::Shape;

pub(super) const LIBC: u64 = 0x7f00_1000_0000;
pub(super) const HEAP: u64 = 0x5555_0000_0000;
/// Aligned to 64 MiB.
pub(super) const ARENA: u64 = 0x7e00_0000_0000;
pub(super) const SECOND: u64 = 0x7e00_0c00_0000;

/// Regions of memory that can be written by word.
#[derive(Clone)]
pub(super) struct World {
    pub(super) shape: Shape,
    pub(super) regions: Vec<(u64, Vec<u8>)>,
    pub(super) main: u64,
    pub(super) thread: u64,
    /// What was laid: arena number, address, size, kind.
    pub(super) laid: Vec<(u32, u64, u64, Kind)>,
    tcache: u64,
    safe: bool,
}

impl World {
    /// A whole world: `safe` is whether links are protected.
    pub(super) fn new(shape: Shape, safe: bool) -> World {
        let regions = vec![(LIBC, vec![0; 0x4000]), (HEAP, vec![0; 0x2_1000]), (ARENA, vec![0; 0x2_1000]), (SECOND, vec![0; 0x2_1000])];
        let (main, thread) = (LIBC + 0xc80, ARENA + 48);
        let mut w = World { shape, regions, main, thread, laid: Vec::new(), tcache: 0, safe };
        let (bins, next) = if shape == Shape::Fastbins { (112, 2160) } else { (24, 2072) };
        for arena in [main, thread] {
            for bin in 0..127 {
                let at = arena + bins + bin * 16;
                w.put(at, at - 16);
                w.put(at + 8, at - 16);
            }
            w.put(arena + next + 16, 1);
        }
        w.put(main + next, thread);
        w.put(thread + next, main);
        // mp_, in the layout of 2.36 or 2.43.
        let mp = LIBC + 0x340;
        let mmaps = if shape == Shape::Fastbins { 60 } else { 68 };
        for (offset, word) in [(0, 0x20000), (8, 0x20000), (16, 0x20000), (24, 8)] {
            w.put(mp + offset, word);
        }
        w.put(mp + mmaps - 4, 2 << 32);
        w.put(mp + mmaps + 4, 3 << 32 | 65536);
        for (i, word) in [0x5000, 0x9000, HEAP, 64, 1033, if shape == Shape::Fastbins { 7 } else { 16 }].into_iter().enumerate() {
            w.put(mp + mmaps + 20 + 8 * i as u64, word);
        }
        for (heap, prev) in [(ARENA, 0), (SECOND, ARENA)] {
            for (i, word) in [thread, prev, 0x2_1000, 0x2_1000, 4096].into_iter().enumerate() {
                w.put(heap + 8 * i as u64, word);
            }
        }
        w.put(main + next + 24, 0x2_1000);
        w.put(main + next + 32, 0x2_1000);
        w.put(thread + next + 24, 0x4_2000);
        w.put(thread + next + 32, 0x4_2000);
        w.fill();
        w
    }

    fn fill(&mut self) {
        use Kind::{Cached, Fast, Fencepost, Free, InUse, Top};
        let fast = if self.shape == Shape::Fastbins { Fast } else { Cached };
        let tcache = if self.shape == Shape::Fastbins { 0x290 } else { 0x300 };
        self.tcache = HEAP + 16;
        if self.shape == Shape::NoFastbins {
            (0..76).for_each(|class| self.count(class, 16));
        }
        let main = [
            (tcache, InUse),
            (0x30, InUse),
            (0x3000, Free),
            (0x30, fast),
            (0x20, Cached),
            (0x2000, InUse),
            (0x40, fast),
            (0x40, fast),
            (0x410, Cached),
            (0x50, Free),
            (0x60, InUse),
        ];
        let mut at = HEAP;
        let main_arena = self.main;
        at = self.lay(0, main_arena, at, &main);
        self.lay(0, main_arena, at, &[(HEAP + 0x2_1000 - at, Top)]);
        let thread = self.thread;
        let state = if self.shape == Shape::Fastbins { 2200 } else { 2112 };
        let first = (thread + state + 15) & !15;
        let at = self.lay(1, thread, first, &[(0x90, InUse), (0x1_0000, InUse), (0x30, Cached), (0x70, InUse)]);
        let last = ARENA + 0x2_1000 - 32 - at;
        self.lay(1, thread, at, &[(last, Free), (16, Fencepost), (16, Fencepost)]);
        // The very last header says 0, not 16.
        self.put(ARENA + 0x2_1000 - 8, 1);
        let at = self.lay(1, thread, SECOND + 48, &[(0x40, InUse), (0x7000, Free), (0x80, InUse)]);
        self.lay(1, thread, at, &[(SECOND + 0x2_1000 - at, Top)]);
    }

    /// Writes chunks one after the other and puts the free ones where they belong; gives the address behind them.
    fn lay(&mut self, index: u32, arena: u64, mut at: u64, chunks: &[(u64, Kind)]) -> u64 {
        let bins = if self.shape == Shape::Fastbins { 112 } else { 24 };
        let mut before_in_use = !self.laid.last().is_some_and(|l| l.1 + l.2 == at && l.3 == Kind::Free);
        for &(size, kind) in chunks {
            self.put(at + 8, size | u64::from(before_in_use));
            before_in_use = kind != Kind::Free;
            match kind {
                Kind::Free => {
                    let head = arena + bins - 16;
                    let next = self.get(head + 16);
                    for (to, word) in [(at + 16, next), (at + 24, head), (head + 16, at), (next + 24, at), (at + size, size)] {
                        self.put(to, word);
                    }
                }
                Kind::Fast => {
                    let head = arena + 16 + (size - 32) / 16 * 8;
                    let link = self.link(at + 16, self.get(head));
                    self.put(at + 16, link);
                    self.put(head, at);
                }
                Kind::Cached => self.cache(at, size),
                Kind::Top => self.put(arena + bins - 16, at),
                Kind::InUse | Kind::Fencepost => {}
            }
            self.laid.push((index, at, size, kind));
            at += size;
        }
        at
    }

    fn cache(&mut self, at: u64, size: u64) {
        let class = (size - 32) / 16;
        let classes = if self.shape == Shape::Fastbins { 64 } else { 76 };
        let head = self.tcache + classes * 2 + class * 8;
        let link = self.link(at + 16, self.get(head));
        self.put(at + 16, link);
        self.put(head, at + 16);
        let count = self.get(self.tcache + class * 2) as u16;
        self.count(class, if self.shape == Shape::Fastbins { count + 1 } else { count - 1 });
    }

    fn count(&mut self, class: u64, count: u16) {
        let at = (self.tcache + class * 2 - HEAP) as usize;
        self.regions[1].1[at..at + 2].copy_from_slice(&count.to_le_bytes());
    }

    fn link(&self, at: u64, to: u64) -> u64 {
        if self.safe {
            to ^ (at >> 12)
        } else {
            to
        }
    }

    /// Address of a chunk that was laid.
    pub(super) fn chunk(&self, size: u64, kind: Kind) -> u64 {
        self.laid.iter().find(|l| l.2 == size && l.3 == kind).unwrap().1
    }

    pub(super) fn put(&mut self, at: u64, word: u64) {
        let (start, bytes) = self.regions.iter_mut().find(|(s, b)| *s <= at && at < s + b.len() as u64).unwrap();
        let from = (at - *start) as usize;
        // What stands behind the end of a region is nobody's: a free chunk's size may be stored there.
        if let Some(to) = bytes.get_mut(from..from + 8) {
            to.copy_from_slice(&word.to_le_bytes());
        }
    }

    pub(super) fn get(&self, at: u64) -> u64 {
        let (start, bytes) = self.regions.iter().find(|(s, b)| *s <= at && at < s + b.len() as u64).unwrap();
        let from = (at - *start) as usize;
        u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap())
    }

    pub(super) fn image(&self) -> Image<'_> {
        Image::new(self.regions.iter().map(|(start, bytes)| Segment { start: Addr(*start), bytes }).collect())
    }

    pub(super) fn mappings(&self) -> Vec<Mapping> {
        let mapping = |(start, bytes): &(u64, Vec<u8>)| Mapping {
            start: Addr(*start),
            end: Addr(start + bytes.len() as u64),
            read: true,
            write: true,
            exec: false,
            shared: false,
            offset: 0,
            inode: u64::from(*start == LIBC) * 7,
            path: match *start {
                LIBC => "/usr/lib/x86_64-linux-gnu/libc.so.6".to_string(),
                HEAP => "[heap]".to_string(),
                _ => String::new(),
            },
        };
        let mut all: Vec<Mapping> = self.regions.iter().map(mapping).collect();
        all.sort_by_key(|m| m.start);
        all
    }
}
