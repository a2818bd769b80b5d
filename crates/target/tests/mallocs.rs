//! glibc's malloc, read from a frozen copy, against what it says itself in the same process at the same moment.

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Range;
    use std::os::unix::fs::FileExt;

    use alloc::glibc::{Arena, Chunk, Kind, Malloc, Mapped, Shape};
    use exuvia_target::{open, take, Taken};
    use memory::{Addr, Image, Mapping};
    use testbed::{for_each_interpreter, Target};

    use crate::support::{may_trace, options, script};

    const ROUNDS: usize = 3;
    const PAGE: u64 = 4096;
    /// What mallocs.py takes from sbrk for itself.
    const FOREIGN: u64 = 12345;

    #[test]
    fn every_figure_is_malloc_s_own_with_one_thread() {
        against_itself(0, "nothing");
    }

    #[test]
    fn every_figure_is_malloc_s_own_with_many_threads() {
        against_itself(6, "nothing");
    }

    #[test]
    fn a_heap_that_others_grow_too_is_read_on_both_sides() {
        against_itself(0, "others");
    }

    #[test]
    fn a_heap_that_cannot_grow_goes_on_in_mappings() {
        against_itself(2, "fence");
    }

    fn against_itself(threads: usize, disturbed: &str) {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let mut target =
                Target::start_path(&py.path, &script("mallocs.py"), &[&threads.to_string(), &ROUNDS.to_string(), disturbed]).unwrap();
            for round in 0..ROUNDS {
                assert_eq!(target.ask("go").unwrap(), "said");
                let process = open(target.pid() as i32).unwrap();
                let taken = take(&process, &options()).unwrap();
                let image = taken.image();
                let malloc = Malloc::find(&image, taken.mappings()).unwrap();
                println!("{}: round {round}: {:?}, {} arenas", py.name, malloc.shape, malloc.arenas.len());
                assert!(malloc.ring_closed);
                assert_eq!(malloc.arenas.len() > 1, threads > 0);

                sums(&malloc, &target, round);
                tiled(&malloc, &image, if disturbed == "others" { round as u64 + 1 } else { 0 });
                let runs = malloc.arenas[0].heaps.len();
                assert_eq!(runs > 1, disturbed == "fence" && round > 0, "{runs} runs in the main arena");
                pointers(&malloc, &taken, &target, round);

                let pages = malloc.arenas.iter().flat_map(|a| &a.heaps).flat_map(|h| pages_of(&(h.start..h.end)));
                let mut expected = resident(target.pid(), pages.clone());
                let before = expected.len();
                let mut given_back = BTreeSet::new();
                malloc.trimmable(&image, |range| given_back.extend(pages_of(&range)));
                expected.retain(|page| !given_back.contains(page));
                assert!(expected.len() < before, "nothing is trimmable");
                assert_eq!(target.ask("trim").unwrap(), "trimmed");
                let after = resident(target.pid(), pages);
                let differ: Vec<String> = after.symmetric_difference(&expected).take(5).map(|page| format!("{page:#x}")).collect();
                assert!(differ.is_empty(), "of {before} pages {} should be left, {} are: {differ:?}", expected.len(), after.len());
                assert_eq!(target.ask("on").unwrap(), "on");
            }
        });
    }

    /// Against `mallinfo2` and, arena by arena, `malloc_info`.
    fn sums(malloc: &Malloc, target: &Target, round: usize) {
        let (totals, t) = (malloc.totals(), malloc.totals().arenas);
        let (hblks, hblkhd) = (totals.hblks.unwrap(), totals.hblkhd.unwrap());
        // arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost
        let ours = [t.arena, t.ordblks, t.smblks, hblks, hblkhd, 0, t.fsmblks, t.uordblks, t.fordblks, t.keepcost];
        let said = file(target, "sums", round);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let said: Vec<u64> = said.chunks(said.len() / ours.len()).map(number).collect();
        assert_eq!(ours[..], said[..]);

        let info = String::from_utf8(file(target, "info", round)).unwrap();
        let heaps: Vec<&str> = info.split("<heap nr=").skip(1).map(|heap| heap.split("</heap>").next().unwrap()).collect();
        assert_eq!(malloc.arenas.len(), heaps.len());
        for (arena, heap) in malloc.arenas.iter().zip(heaps) {
            let s = arena.sums();
            if malloc.shape == Shape::Fastbins {
                assert_eq!(numbers(heap, "total type=\"fast\""), [s.smblks, s.fsmblks]);
            }
            assert_eq!(numbers(heap, "total type=\"rest\""), [s.ordblks, s.rest_printed]);
            assert_eq!(numbers(heap, "system type=\"current\""), [arena.system_mem]);
            assert_eq!(numbers(heap, "system type=\"max\""), [arena.max_system_mem]);
            let (bytes, committed) = extent(arena);
            assert_eq!(numbers(heap, "aspace type=\"total\""), [bytes]);
            assert_eq!(numbers(heap, "aspace type=\"mprotect\""), [committed]);
            if !arena.is_main() {
                assert_eq!(numbers(heap, "aspace type=\"subheaps\""), [arena.heaps.len() as u64]);
            }
        }
        let heaps = |arena: &Arena| arena.heaps.len();
        assert!(malloc.arenas.len() == 1 || malloc.arenas.iter().skip(1).map(heaps).max() > Some(1), "no arena has two heaps");
    }

    fn extent(arena: &Arena) -> (u64, u64) {
        let sum = |of: fn(&alloc::glibc::Heap) -> u64| arena.heaps.iter().map(of).sum();
        (sum(|h| h.bytes()), sum(|h| h.committed_end.0 - h.start.0))
    }

    /// Every byte of every heap is in a chunk, and the chunks are what the lists say.
    /// Of the main arena up to `foreign` places are somebody else's.
    fn tiled(malloc: &Malloc, image: &Image<'_>, foreign: u64) {
        for arena in &malloc.arenas {
            let mut chunks: Vec<Chunk> = Vec::new();
            let gaps = arena.chunks(image, |chunk| chunks.push(chunk));
            assert!(gaps.len() as u64 <= if arena.is_main() { foreign } else { 0 }, "{gaps:?}");
            assert!(gaps.iter().all(|gap| gap.bytes > FOREIGN - 16 && gap.bytes < FOREIGN + PAGE), "{gaps:?}");
            assert_eq!(arena.broken_lists, 0);
            let mut rest = chunks.as_slice();
            for heap in &arena.heaps {
                let mut at = heap.first;
                while at < heap.end {
                    at = at + gaps.iter().find(|gap| gap.at == Some(at)).map_or(0, |gap| gap.bytes);
                    let (chunk, more) = rest.split_first().unwrap();
                    assert_eq!((chunk.at, chunk.arena), (at, arena.index));
                    (at, rest) = (at + chunk.bytes, more);
                }
                assert_eq!(at, heap.end);
            }
            assert_eq!(rest, []);
            let of = |kind| chunks.iter().filter(move |c| c.kind == kind);
            let sums = arena.sums();
            assert_eq!((of(Kind::Free).count() + of(Kind::Top).count()) as u64, sums.ordblks);
            assert_eq!(of(Kind::Fast).count() as u64, sums.smblks);
            let free: u64 = [Kind::Free, Kind::Fast, Kind::Top].into_iter().flat_map(of).map(|c| c.bytes).sum();
            assert_eq!(free, sums.fordblks);
            // Two at the end of every heap but the last, and before every gap.
            assert_eq!(of(Kind::Fencepost).count(), 2 * (arena.heaps.len() - 1 + gaps.len()));
        }
        let (mut cached, mut bytes) = (0, 0);
        malloc.chunks(image, |chunk| {
            if chunk.kind == Kind::Cached {
                (cached, bytes) = (cached + 1, bytes + chunk.bytes);
            }
        });
        assert!(cached > 0);
        assert_eq!(malloc.caches.iter().map(alloc::glibc::Cache::count).sum::<usize>(), cached);
        assert_eq!(malloc.caches.iter().map(alloc::glibc::Cache::bytes).sum::<u64>(), bytes);
    }

    /// What the program has is in use with the size that `malloc_usable_size` gives; what it gave back is not.
    fn pointers(malloc: &Malloc, taken: &Taken, target: &Target, round: usize) {
        let image = taken.image();
        let mapped: Vec<Mapped> = unclaimed(taken.mappings(), malloc).iter().flat_map(|range| malloc.mapped(&image, range)).collect();
        let parameters = malloc.parameters.unwrap();
        assert_eq!(mapped.len() as u64, parameters.mmapped_chunks);
        // Since 2.43 malloc counts 16 bytes too many for every mremap.
        let drift = parameters.mmapped_bytes - mapped.iter().map(|m| m.bytes).sum::<u64>();
        assert!(drift == 0 || (malloc.shape == Shape::NoFastbins && drift % 16 == 0 && drift < 4096), "{drift}");
        let mut chunks = Vec::new();
        malloc.chunks(&image, |chunk| chunks.push(chunk));
        chunks.sort_by_key(|c| c.at);
        let mut with_a_mapping = 0;
        for pair in words(target, "live", round).chunks(2) {
            let (user, usable) = (Addr(pair[0]), pair[1]);
            if let Ok(i) = chunks.binary_search_by_key(&user, Chunk::user) {
                assert_eq!((chunks[i].kind, chunks[i].bytes - 8), (Kind::InUse, usable), "{user}");
            } else {
                let own = mapped.iter().find(|m| m.user() == user).unwrap_or_else(|| panic!("{user} of {usable} bytes is nowhere"));
                // To 2.42 the word behind a chunk's end is no part of it where it has a mapping of its own.
                let beyond = if malloc.shape == Shape::Fastbins { 0 } else { 8 };
                assert_eq!(own.end().0 - own.user().0 - beyond, usable);
                with_a_mapping += 1;
            }
        }
        assert!(with_a_mapping > 0);
        for pair in words(target, "freed", round).chunks(2) {
            let user = Addr(pair[0]);
            assert!(!mapped.iter().any(|m| m.user() == user), "{user}");
            let i = chunks.partition_point(|c| c.at <= user);
            let Some(chunk) = i.checked_sub(1).map(|i| chunks[i]).filter(|c| user < c.at + c.bytes) else { continue };
            assert_ne!(chunk.kind, Kind::InUse, "{user} was freed; {chunk:?}");
        }
    }

    /// Anonymous private memory without the arenas' heaps.
    fn unclaimed(mappings: &[Mapping], malloc: &Malloc) -> Vec<Range<Addr>> {
        let anonymous = |m: &&Mapping| m.inode == 0 && m.write && !m.shared && (m.path.is_empty() || m.path.starts_with("[anon"));
        let mut heaps: Vec<Range<Addr>> = malloc.arenas.iter().flat_map(|a| &a.heaps).map(|h| h.start..h.committed_end).collect();
        heaps.sort_by_key(|h| h.start);
        let mut rest = Vec::new();
        for mapping in mappings.iter().filter(anonymous) {
            let mut at = mapping.start;
            for heap in heaps.iter().filter(|h| h.start < mapping.end && mapping.start < h.end) {
                rest.push(at..heap.start.max(at));
                at = heap.end;
            }
            rest.push(at..mapping.end.max(at));
        }
        rest
    }

    fn file(target: &Target, name: &str, round: usize) -> Vec<u8> {
        std::fs::read(target.scratch().join(format!("{name}.{round}"))).unwrap()
    }

    fn words(target: &Target, name: &str, round: usize) -> Vec<u64> {
        file(target, name, round).chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().unwrap())).collect()
    }

    /// The numbers of the first element that begins so.
    fn numbers(text: &str, begin: &str) -> Vec<u64> {
        let element = text.split('<').find(|element| element.starts_with(begin)).unwrap_or_default();
        element.split('"').filter_map(|word| word.parse().ok()).collect()
    }

    fn pages_of(range: &Range<Addr>) -> impl Iterator<Item = u64> + Clone {
        (range.start.0..range.end.0).step_by(PAGE as usize)
    }

    /// Those of the pages that are in memory.
    fn resident(pid: u32, pages: impl Iterator<Item = u64>) -> BTreeSet<u64> {
        let pagemap = std::fs::File::open(format!("/proc/{pid}/pagemap")).unwrap();
        let mut word = [0; 8];
        let mut is = |page: u64| pagemap.read_exact_at(&mut word, page / PAGE * 8).is_ok() && u64::from_le_bytes(word) >> 62 != 0;
        pages.filter(|&page| is(page)).collect()
    }
}
