//! Holds a fake world: a process of CPython 3.14.4, whose collector is the incremental one. No build of it is to be had, so the copy of a
//! later 3.14 is laid out anew, by what the sources of v3.14.0 document (docs/layouts/incremental-collector.md).
//! Never uses the layout under test: all numbers here were written down from that page. What it takes from the target's own table is where
//! things are before they are moved.

use std::collections::BTreeMap;

use capture::{Keep, Moment, Reached, Source, World};
use cpython::layout::proof::Proved;
use cpython::{Heap, LayoutError};
use memory::{Addr, Bytes, Image, Memory, Segment};
use snapshot::{Collector, Gap};
use testbed::for_each_that;

use crate::look::options;
use crate::{start, tables};

/// Three words at the end of the collector's state, which 3.14.4 has not.
const LESS: u64 = 24;
/// Where a 3.14 says of itself which release it is, how large an interpreter is, where its fields are, and how large the collector's state is.
const HEX: u64 = 8;
const TOLD_OF_INTERPRETER: std::ops::RangeInclusive<u64> = 48..=168;
const TOLD_GC: u64 = 88;
const TOLD_GC_SIZE: u64 = 648;
const RELEASE: u32 = 0x030e_04f0;

/// Bytes of a process that can be changed.
struct Fake(BTreeMap<u64, Vec<u8>>);

impl Fake {
    fn of(image: &Image<'_>) -> Fake {
        Fake(image.segments().iter().map(|s| (s.start.0, s.bytes.to_vec())).collect())
    }

    fn image(&self) -> Image<'_> {
        Image::new(self.0.iter().map(|(start, bytes)| Segment { start: Addr(*start), bytes }).collect())
    }

    fn bytes(&mut self, at: u64, len: u64) -> &mut [u8] {
        let (start, bytes) = self.0.range_mut(..=at).next_back().unwrap();
        &mut bytes[(at - start) as usize..(at - start + len) as usize]
    }

    fn word(&mut self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes(at, 8).try_into().unwrap())
    }

    fn put(&mut self, at: u64, word: u64) {
        self.bytes(at, 8).copy_from_slice(&word.to_le_bytes());
    }

    fn put_int(&mut self, at: u64, int: u32) {
        self.bytes(at, 4).copy_from_slice(&int.to_le_bytes());
    }

    /// Every object of a list says which space it is in.
    fn space(&mut self, head: u64, space: u64) {
        let mut at = self.word(head) & !3;
        while at != head {
            let next = self.word(at) & !3;
            self.put(at, next | space);
            at = next;
        }
    }
}

/// The world of 3.14.4. `interpreter` and `static_objects` are where the target's own table says.
fn world_of_3_14_4(image: &Image<'_>, runtime: u64, interpreter: u64, static_objects: u64, hexversion: u64) -> Fake {
    let mut fake = Fake::of(image);
    let gc = fake.word(runtime + TOLD_GC);
    // What it tells of itself.
    fake.put(runtime + HEX, u64::from(RELEASE));
    fake.put_int(hexversion + 24, RELEASE);
    for at in TOLD_OF_INTERPRETER.step_by(8) {
        let told = fake.word(runtime + at);
        if told > gc {
            fake.put(runtime + at, told - LESS);
        }
    }
    assert_eq!(fake.word(runtime + TOLD_GC_SIZE), 264, "this 3.14 has no generations");
    fake.put(runtime + TOLD_GC_SIZE, 240);
    // The collector: the young list has the space that is not visited, old[0] and old[1] their own numbers.
    let state = interpreter + gc;
    fake.space(state + 24, 1);
    fake.space(state + 48, 0);
    fake.space(state + 72, 1);
    fake.put(state + 224, 12_345);
    fake.put_int(state + 232, 0);
    fake.put_int(state + 236, 1);
    // What stands behind it, as far as nothing points into it.
    let behind = fake.bytes(state + 264, static_objects - gc - 264).to_vec();
    let len = behind.len() as u64;
    fake.bytes(state + 240, len).copy_from_slice(&behind);
    fake.bytes(state + 240 + len, LESS).fill(0);
    fake
}

/// Each object with its size and its generation.
type Rows = Vec<(Addr, Bytes, Collector)>;

fn rows(source: Source<'_>, proved: &Proved) -> (Rows, Vec<Gap>) {
    let world = World::open(source, proved);
    let snapshot = Reached::all(&world, Keep::Rows).snapshot();
    let mut all: Rows = snapshot.objects.iter().flat_map(|o| o.iter()).map(|o| (o.address, o.own_bytes, o.state.collector())).collect();
    all.sort_by_key(|row| row.0);
    (all, snapshot.coverage.gaps)
}

#[test]
fn the_incremental_collector_of_3_14_0_to_3_14_4_is_read_by_its_documentation() {
    let only = |py: &testbed::Interpreter| match py.minor {
        14 => Ok(()),
        _ => Err("the fake world is made of a 3.14".to_owned()),
    };
    for_each_that(only, |py| {
        let target = start(py, "zoo_heap.py");
        let process = target::open(target.pid() as i32).unwrap();
        let python = process.python().unwrap();
        let frozen = target::take(&process, &options()).unwrap();
        let image = frozen.image();
        let tables = tables();
        let prove = |image: &Image<'_>| {
            capture::prove(Source {
                image,
                python: &python,
                mappings: frozen.mappings(),
                tables: &tables,
                moment: Moment::Still,
                residency: None,
            })
        };
        let now = prove(&image).unwrap();
        assert!(!now.layout.incremental, "{}", now.layout.how_known());
        let static_objects = now.layout.table.offset("_is", "static_objects").unwrap();
        let heap = Heap::new(&image, &now.layout, now.type_type, now.interpreter);
        let sysdict = image.addr(now.interpreter + now.layout.at.interpreter.sysdict).unwrap();
        let hexversion = heap.dict_get(sysdict, "hexversion").unwrap().unwrap();
        let mut fake = world_of_3_14_4(&image, now.runtime.0, now.interpreter.0, static_objects, hexversion.0);

        let then = {
            let (before, image) = (&image, fake.image());
            let then = prove(&image).unwrap();
            assert!(then.layout.incremental);
            assert_eq!(then.layout.release.to_string(), "3.14.4");
            let how = then.layout.how_known();
            assert!(how.contains("proved by structure, table from") && how.contains("incremental collector of 3.14.0 to 3.14.4"), "{how}");
            let source = |image| Source {
                image,
                python: &python,
                mappings: frozen.mappings(),
                tables: &tables,
                moment: Moment::Still,
                residency: None,
            };
            // The same objects, of the same sizes; young ones are generation 0, all others generation 2.
            let (mut expected, gaps) = rows(source(before), &now);
            let middle = expected.iter_mut().filter(|row| row.2 == Collector::Generation1);
            assert!(middle.map(|row| row.2 = Collector::Generation2).count() > 0);
            let (found, gaps_then) = rows(source(&image), &then);
            assert!(found.iter().filter(|row| row.2 == Collector::Generation0).count() > 10);
            let first = expected.iter().zip(&found).find(|(a, b)| a != b);
            assert_eq!((found.len(), first, gaps_then), (expected.len(), None, gaps));
            then
        };

        // Not this collector: each of these is refused.
        let state = now.interpreter.0 + then.layout.table.offset("_is", "gc").unwrap();
        let mut refused = |what: &str, spoil: &dyn Fn(&mut Fake), mend: &dyn Fn(&mut Fake)| {
            spoil(&mut fake);
            let answer = prove(&fake.image()).map(|p| p.layout.how_known());
            assert!(matches!(answer, Err(LayoutError::Unproved { .. })), "{what}: {answer:?}");
            mend(&mut fake);
            assert!(prove(&fake.image()).is_ok(), "{what} is not mended");
        };
        refused("a third space", &|f| f.put_int(state + 232, 2), &|f| f.put_int(state + 232, 0));
        refused("a third phase", &|f| f.put_int(state + 236, 2), &|f| f.put_int(state + 236, 1));
        refused("objects of the other space", &|f| f.space(state + 72, 0), &|f| f.space(state + 72, 1));
        let told = now.runtime.0 + TOLD_GC_SIZE;
        refused("a state as large as with generations", &|f| f.put(told, 264), &|f| f.put(told, 240));
    });
}
