//! `ledger`: where the resident memory is, in entries that add up, and which setting would give some of it back.
//!
//! An entry that is named only by its mapping's kind counts as not attributed. Gains are bytes in memory.

use std::collections::BTreeMap;

use memory::{Addr, Bytes};
use snapshot::{Ledger, Part, Snapshot};

use crate::finding::{Finding, Saves, Sure};
use crate::naming::Names;
use crate::ownership::Ownership;

/// One line of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub name: String,
    /// In memory.
    pub resident_bytes: Bytes,
    /// Of that, in pages that other processes map too.
    pub shared_bytes: Bytes,
    /// Of the bytes in memory, in huge pages.
    pub huge_bytes: Bytes,
    /// How many objects, chunks or mappings; 0 where that says nothing.
    pub count: u64,
    /// How it is known.
    pub known: &'static str,
    /// What it is made of, the biggest first.
    pub of: Vec<Entry>,
}

/// Who holds back what advice would free. What two of a kind would free is the same memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// glibc's malloc.
    Malloc,
    /// pymalloc.
    Pymalloc,
    /// Forked processes, each for itself.
    Forks,
    /// Allocators together, in part what the others name.
    Anyone,
}

/// What would give memory back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Who holds it back.
    pub held_by: HeldBy,
    /// The setting, ready to paste.
    pub setting: String,
    /// What it does here.
    pub why: String,
    /// What it would give back.
    pub gain_bytes: Bytes,
    /// How that is known.
    pub known: &'static str,
}

/// The ledger with its entries ranked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Resident set size.
    pub rss_bytes: Bytes,
    /// What counts as in memory are the pages of a core file that are not zeros.
    pub of_a_core: bool,
    /// What statm says, where that differs.
    pub statm_bytes: Option<Bytes>,
    /// In swap.
    pub swap_bytes: Bytes,
    /// In huge pages.
    pub huge_bytes: Bytes,
    /// Of those, free: what allocators do not use of huge pages, or hold back.
    pub huge_slack_bytes: Bytes,
    /// In pages that other processes map too.
    pub shared_bytes: Bytes,
    /// Of those, in pages that belong to no file: a fork left them shared, and nobody wrote there since.
    pub forked_bytes: Bytes,
    /// The entries, the biggest first.
    pub entries: Vec<Entry>,
    /// What no entry has.
    pub not_attributed_bytes: Bytes,
    /// What would give memory back, the most first.
    pub advice: Vec<Advice>,
}

/// Walked block by block.
const WALKED: &str = "walked";
/// By the kernel's word for a mapping.
const MAPPED: &str = "mapped";
/// By an address in static data.
const POINTED: &str = "by a pointer";
/// What is left of an allocator's mappings when the known is taken away.
const BY_EXCLUSION: &str = "by exclusion";

/// Entry, its part, how it is known.
fn place(part: Part) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match part {
        Part::PymallocObjects => ("Python objects", "in pymalloc", WALKED),
        Part::MallocObjects => ("Python objects", "in malloc: large objects, tables, buffers", WALKED),
        Part::AllocatorObjects => ("Python objects", "in another allocator", WALKED),
        Part::Buffers => ("Python objects", "buffers in mappings of their own", WALKED),
        Part::FrameStacks => ("Python objects", "stacks of running Python functions", WALKED),
        Part::PymallocOther => ("pymalloc, not in use by objects", "blocks in use without an object: free lists, C code", WALKED),
        Part::PymallocFreeBlocks => ("pymalloc, not in use by objects", "free blocks in pools in use", WALKED),
        Part::PymallocFreePools => ("pymalloc, not in use by objects", "free pools", WALKED),
        Part::PymallocOverhead => ("pymalloc, not in use by objects", "headers and slack", WALKED),
        Part::MallocOther => ("malloc, in use by others (native code, the interpreter)", "", WALKED),
        Part::MallocFree => ("malloc, free and held back", "in bins", WALKED),
        Part::MallocCached => ("malloc, free and held back", "for quick reuse: fastbins, thread caches", WALKED),
        Part::MallocTop => ("malloc, free and held back", "at the top of arenas", WALKED),
        Part::MallocOverhead => ("malloc, overhead of arenas", "", WALKED),
        Part::AllocatorOther => ("another allocator, not in use by objects", "", BY_EXCLUSION),
        Part::AllocatorInUse => ("another allocator, not in use by objects", "in use by others", WALKED),
        Part::AllocatorFree => ("another allocator, not in use by objects", "free, and never handed out", WALKED),
        Part::Stacks => ("stacks of threads", "", MAPPED),
        Part::KeptStacks => ("stacks of threads", "kept for threads to come", MAPPED),
        Part::Loader => ("loader and thread-local data", "", MAPPED),
        Part::Files => ("programs and libraries", "", MAPPED),
        Part::LibraryMappings => ("memory that libraries mapped for themselves", "", POINTED),
        Part::FileMappings => ("mapped files", "", MAPPED),
        Part::SharedMemory => ("shared memory", "", MAPPED),
        Part::Kernel => ("kernel pages", "", MAPPED),
        Part::Unknown => return None,
    })
}

/// Whether memory of a part is handed out to nobody.
fn is_free(part: Part) -> bool {
    use Part::{AllocatorFree, KeptStacks, MallocCached, MallocFree, MallocTop, PymallocFreeBlocks, PymallocFreePools};
    matches!(part, PymallocFreeBlocks | PymallocFreePools | MallocFree | MallocCached | MallocTop | AllocatorFree | KeptStacks)
}

/// Whether pages of a part are shared without a fork.
fn of_a_file(part: Part) -> bool {
    matches!(part, Part::Files | Part::FileMappings | Part::SharedMemory | Part::Kernel)
}

/// Of a snapshot; `None` where it has none. Where it has references too, what keeps arenas alive is named by its owners.
pub fn of(snapshot: &Snapshot, limit: Option<usize>) -> Option<Statement> {
    let owners = Ownership::of(snapshot).map(|ownership| pin_owners(&ownership, snapshot)).unwrap_or_default();
    snapshot.ledger.as_ref().map(|l| ledger(l, &owners, limit))
}

/// Pins that are looked at, and owners that are named.
const PINS: usize = 3;
const OWNERS: usize = 2;

/// Who owns what keeps sparse arenas alive: the containers that most of the samples are in.
pub(crate) fn pin_owners(ownership: &Ownership<'_>, snapshot: &Snapshot) -> Vec<String> {
    let pins = snapshot.ledger.iter().flat_map(|l| &l.pins).take(PINS);
    let row = |address: &u64| ownership.objects.addresses().binary_search(&Addr(*address)).ok().map(|row| row as u32);
    let nodes: Vec<u32> = pins.flat_map(|pin| pin.samples.iter().filter_map(row)).collect();
    if nodes.is_empty() {
        return Vec::new();
    }
    let names = Names::of(ownership, &nodes);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for node in nodes {
        // `__main__.kept[12]` is in `__main__.kept`, and `__main__.log[3][0]` in `__main__.log`.
        let name = names.text(node);
        let whole = name.split('[').next().unwrap_or(&name);
        *counts.entry(whole.to_string()).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    counts.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    counts.into_iter().take(OWNERS).map(|(name, _)| name).collect()
}

/// Ranks the shares; `limit` names of each part are kept. `owners`: of what keeps sparse arenas alive.
pub(crate) fn ledger(ledger: &Ledger, owners: &[String], limit: Option<usize>) -> Statement {
    let mut entries: BTreeMap<&str, BTreeMap<&str, Entry>> = BTreeMap::new();
    let (mut attributed, mut shared, mut forked) = (0, 0, 0);
    for share in &ledger.shares {
        shared += share.shared_bytes;
        forked += if of_a_file(share.part) { 0 } else { share.shared_bytes };
        let Some((name, part, known)) = place(share.part) else { continue };
        attributed += share.resident_bytes;
        let parts = entries.entry(name).or_default();
        let entry = parts.entry(part).or_insert_with(|| Entry { name: part.to_string(), known, ..Entry::default() });
        let one = Entry {
            name: share.name.clone(),
            resident_bytes: Bytes(share.resident_bytes),
            shared_bytes: Bytes(share.shared_bytes),
            huge_bytes: Bytes(share.huge_bytes),
            count: share.count,
            known,
            of: Vec::new(),
        };
        add(entry, &one);
        if !share.name.is_empty() {
            entry.of.push(one);
        }
    }
    let entries = entries.into_iter().map(|(name, parts)| whole(name, parts, limit)).filter(|e| e.resident_bytes.0 > 0);
    let mut entries: Vec<Entry> = entries.collect();
    rank(&mut entries, None);
    Statement {
        rss_bytes: Bytes(ledger.rss_bytes),
        of_a_core: ledger.of_a_core,
        statm_bytes: ledger.statm_bytes.filter(|bytes| *bytes != ledger.rss_bytes).map(Bytes),
        swap_bytes: Bytes(ledger.swap_bytes),
        huge_bytes: Bytes(ledger.huge_bytes),
        huge_slack_bytes: Bytes(ledger.shares.iter().filter(|share| is_free(share.part)).map(|share| share.huge_bytes).sum()),
        shared_bytes: Bytes(shared),
        forked_bytes: Bytes(forked),
        entries,
        not_attributed_bytes: Bytes(ledger.rss_bytes.saturating_sub(attributed)),
        advice: advice(ledger, owners),
    }
}

fn add(whole: &mut Entry, one: &Entry) {
    whole.resident_bytes.0 += one.resident_bytes.0;
    whole.shared_bytes.0 += one.shared_bytes.0;
    whole.huge_bytes.0 += one.huge_bytes.0;
    whole.count += one.count;
}

/// An entry of its parts; a part without a name is the entry itself.
fn whole(name: &str, parts: BTreeMap<&str, Entry>, limit: Option<usize>) -> Entry {
    let mut entry = Entry { name: name.to_string(), ..Entry::default() };
    for (part, mut one) in parts {
        // The weakest word holds for the whole.
        if entry.known != BY_EXCLUSION {
            entry.known = one.known;
        }
        add(&mut entry, &one);
        if part.is_empty() {
            entry.of.append(&mut one.of);
        } else {
            rank(&mut one.of, limit);
            entry.of.push(one);
        }
    }
    let names_only = entry.of.iter().all(|e| e.of.is_empty());
    rank(&mut entry.of, limit.filter(|_| names_only));
    entry
}

/// The biggest first; what is beyond the limit becomes one.
fn rank(entries: &mut Vec<Entry>, limit: Option<usize>) {
    entries.retain(|e| e.resident_bytes.0 > 0);
    entries.sort_by(|a, b| (b.resident_bytes, &a.name).cmp(&(a.resident_bytes, &b.name)));
    let Some(limit) = limit.filter(|limit| entries.len() > limit + 1) else { return };
    let mut rest = Entry { known: entries.first().map_or(MAPPED, |e| e.known), ..Entry::default() };
    let beyond = entries.split_off(limit);
    beyond.iter().for_each(|e| add(&mut rest, e));
    rest.name = format!("… {} more", beyond.len());
    entries.push(rest);
}

/// Nothing smaller is worth a setting: a hundredth of the whole, and a megabyte.
const WORTH: u64 = 100;
const WORTH_LEAST: u64 = 1 << 20;
/// Arenas that the setting which is named allows.
const ARENA_MAX: usize = 2;

/// As findings for `explain`: of those that would free the same memory the one that frees most.
pub fn findings(statement: &Statement) -> Vec<Finding> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for advice in &statement.advice {
        if seen.contains(&advice.held_by) || advice.held_by == HeldBy::Anyone {
            continue;
        }
        seen.push(advice.held_by);
        let holder = match advice.held_by {
            HeldBy::Malloc => "malloc holds free memory back",
            HeldBy::Pymalloc => "few objects keep arenas of pymalloc",
            HeldBy::Forks => "forked processes hold what they could share",
            HeldBy::Anyone => continue,
        };
        found.push(Finding {
            id: "ledger",
            title: format!("{holder}: {}", advice.setting),
            saving_bytes: advice.gain_bytes,
            known: match advice.known {
                WALKED => Sure::Exact,
                "at most" => Sure::AtMost,
                _ => Sure::Estimated,
            },
            place: None,
            evidence: advice.why.clone(),
            saves: Saves::Nowhere,
        });
    }
    found
}

fn advice(ledger: &Ledger, owners: &[String]) -> Vec<Advice> {
    let trim: u64 = ledger.malloc_arenas.iter().map(|a| a.trimmable_bytes).sum();
    let mut all = vec![Advice {
        held_by: HeldBy::Malloc,
        setting: "ctypes.CDLL(None).malloc_trim(0)".into(),
        why: "gives whole free pages of all arenas back, once; a program that frees much can call it when it has".into(),
        gain_bytes: Bytes(trim),
        known: WALKED,
    }];
    all.extend(fewer_arenas(ledger));
    all.extend(pinned(ledger, owners));
    all.extend(top(ledger));
    all.extend(large(ledger));
    let least = (ledger.rss_bytes / WORTH).max(WORTH_LEAST);
    all.retain(|advice| advice.gain_bytes.0 >= least);
    all.extend(again(ledger));
    all.sort_by(|a, b| {
        (a.held_by == HeldBy::Anyone, b.gain_bytes, &a.setting).cmp(&(b.held_by == HeldBy::Anyone, a.gain_bytes, &b.setting))
    });
    all
}

/// What arenas hold free beside the two that hold most: with two arenas, threads would use it in turn.
fn fewer_arenas(ledger: &Ledger) -> Option<Advice> {
    let mut free: Vec<u64> = ledger.malloc_arenas.iter().map(|a| a.free_resident_bytes).collect();
    free.sort_unstable_by(|a, b| b.cmp(a));
    let gain: u64 = free.get(ARENA_MAX..)?.iter().sum();
    let arenas = ledger.malloc_arenas.len();
    Some(Advice {
        held_by: HeldBy::Malloc,
        setting: format!("MALLOC_ARENA_MAX={ARENA_MAX}"),
        why: format!(
            "{arenas} arenas of malloc hold free memory, each for its own threads; {ARENA_MAX} would share it, as far as they work in turn"
        ),
        gain_bytes: Bytes(gain),
        known: "at most",
    })
}

/// Arenas of pymalloc that few objects keep alive.
fn pinned(ledger: &Ledger, owners: &[String]) -> Option<Advice> {
    let in_use: u64 = ledger.pins.iter().map(|pin| pin.bytes).sum();
    let pins: Vec<String> = ledger.pins.iter().take(3).map(|pin| format!("{} {}", pin.count, pin.type_name)).collect();
    let owned = if owners.is_empty() { String::new() } else { format!(", of {}", owners.join(" and ")) };
    (ledger.sparse_arenas > 0).then(|| Advice {
        held_by: HeldBy::Pymalloc,
        setting: "make what lives long before what is many, or in a process of its own".into(),
        why: format!("{} arenas of pymalloc are kept by few objects: {}{owned}", ledger.sparse_arenas, pins.join(", ")),
        gain_bytes: Bytes(ledger.sparse_bytes.saturating_sub(in_use)),
        known: "estimated",
    })
}

/// What is in memory at the tops of arenas, beyond what malloc keeps by itself.
fn tops(ledger: &Ledger) -> u64 {
    ledger.malloc_arenas.iter().map(|a| a.top_resident_bytes.saturating_sub(TRIM_THRESHOLD)).sum()
}

/// Tops of arenas that are kept because a threshold grew.
fn top(ledger: &Ledger) -> Option<Advice> {
    let gain = tops(ledger);
    (gain > 0).then(|| Advice {
        held_by: HeldBy::Malloc,
        setting: format!("MALLOC_TRIM_THRESHOLD_={TRIM_THRESHOLD}"),
        why: "malloc's threshold grew with the largest block that was freed; fixed, it gives its top back by itself".into(),
        gain_bytes: Bytes(gain),
        known: "estimated",
    })
}

/// Large blocks that lie in arenas since malloc's threshold grew.
fn large(ledger: &Ledger) -> Option<Advice> {
    let grown = ledger.mmap_threshold.filter(|threshold| *threshold > MMAP_THRESHOLD)?;
    let arenas = &ledger.malloc_arenas;
    let (free, in_use): (u64, u64) = (arenas.iter().map(|a| a.large_free_bytes).sum(), arenas.iter().map(|a| a.large_chunks).sum());
    // Small blocks that were freed side by side look the same; without a large one in use they are taken to be that.
    (in_use > 0).then(|| Advice {
        held_by: HeldBy::Malloc,
        setting: format!("MALLOC_MMAP_THRESHOLD_={MMAP_THRESHOLD}"),
        why: format!(
            "blocks below {} lie among others since one of that size was freed; in mappings of their own they go at once",
            Bytes(grown)
        ),
        // Thresholds that are set stay as they are: the one for tops too.
        gain_bytes: Bytes(free + tops(ledger)),
        known: "estimated",
    })
}

/// Free memory that no call gives back, since something in use is on every page of it: from this part of the whole on, a tenth.
const AGAIN_WORTH: u64 = 10;

/// What only a new process gives back.
fn again(ledger: &Ledger) -> Option<Advice> {
    let trim: u64 = ledger.malloc_arenas.iter().map(|a| a.trimmable_bytes).sum();
    let free: u64 = ledger.shares.iter().filter(|share| is_free(share.part)).map(|share| share.resident_bytes).sum();
    let gain = free.saturating_sub(trim);
    (gain >= WORTH_LEAST && gain * AGAIN_WORTH >= ledger.rss_bytes).then(|| Advice {
        held_by: HeldBy::Anyone,
        setting: "recycle the process (gunicorn --max-requests, maxtasksperchild)".into(),
        why: "free memory between what is in use: no call gives it back, a new process or another allocator does (PYTHONMALLOC=mimalloc, jemalloc)".into(),
        gain_bytes: Bytes(gain),
        known: "at most",
    })
}

/// malloc's default for `M_MMAP_THRESHOLD` (mallopt(3)).
const MMAP_THRESHOLD: u64 = 128 << 10;
/// malloc's default for `M_TRIM_THRESHOLD` (mallopt(3)).
const TRIM_THRESHOLD: u64 = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use snapshot::{MallocArena, Share};

    fn share(part: Part, name: &str, resident_bytes: u64) -> Share {
        Share { part, name: name.into(), count: 1, bytes: resident_bytes, resident_bytes, shared_bytes: 0, huge_bytes: 0 }
    }

    #[test]
    fn entries_and_what_is_not_attributed_add_up() {
        let shares = vec![
            share(Part::PymallocObjects, "dict", 500),
            share(Part::PymallocObjects, "str", 300),
            share(Part::MallocObjects, "dict", 50),
            share(Part::Files, "/lib/a.so", 60),
            share(Part::Files, "/lib/b.so", 70),
            share(Part::Unknown, "anonymous", 20),
        ];
        let made = ledger(&Ledger { rss_bytes: 1000, shares, ..Ledger::default() }, &[], None);
        let names: Vec<(&str, u64)> = made.entries.iter().map(|e| (e.name.as_str(), e.resident_bytes.0)).collect();
        assert_eq!(names, [("Python objects", 850), ("programs and libraries", 130)]);
        assert_eq!(made.not_attributed_bytes, Bytes(20));
        let objects: Vec<(&str, u64, usize)> =
            made.entries[0].of.iter().map(|e| (e.name.as_str(), e.resident_bytes.0, e.of.len())).collect();
        assert_eq!(objects, [("in pymalloc", 800, 2), ("in malloc: large objects, tables, buffers", 50, 1)]);
        assert_eq!(made.entries[1].of[0].name, "/lib/b.so");
    }

    #[test]
    fn names_beyond_the_limit_are_one() {
        let shares = (0..9).map(|i| share(Part::Files, &format!("/lib/{i}"), 10 + i)).collect();
        let made = ledger(&Ledger { rss_bytes: 200, shares, ..Ledger::default() }, &[], Some(3));
        let of: Vec<(&str, u64)> = made.entries[0].of.iter().map(|e| (e.name.as_str(), e.resident_bytes.0)).collect();
        assert_eq!(of, [("/lib/8", 18), ("/lib/7", 17), ("/lib/6", 16), ("… 6 more", 75)]);
    }

    #[test]
    fn advice_is_given_where_it_is_worth_it() {
        let arena =
            |free: u64, trim: u64| MallocArena { free_resident_bytes: free << 20, trimmable_bytes: trim << 20, ..MallocArena::default() };
        let of =
            |arenas: Vec<MallocArena>| ledger(&Ledger { rss_bytes: 1 << 30, malloc_arenas: arenas, ..Ledger::default() }, &[], None).advice;
        assert_eq!(of(vec![arena(1, 1), arena(1, 1)]), []);
        let advice = of(vec![arena(5, 0), arena(40, 30), arena(50, 40), arena(60, 5)]);
        let found: Vec<(&str, u64)> = advice.iter().map(|a| (a.setting.as_str(), a.gain_bytes.0 >> 20)).collect();
        assert_eq!(found, [("ctypes.CDLL(None).malloc_trim(0)", 75), ("MALLOC_ARENA_MAX=2", 45)]);
        let both = Statement { advice, ..ledger(&Ledger::default(), &[], None) };
        let once: Vec<u64> = findings(&both).iter().map(|f| f.saving_bytes.0 >> 20).collect();
        assert_eq!(once, [75], "both free the same");
        // Blocks below a threshold that grew, where some are in use.
        let large = MallocArena { large_free_bytes: 90 << 20, large_chunks: 3, ..MallocArena::default() };
        let grown = Ledger { rss_bytes: 1 << 30, malloc_arenas: vec![large], mmap_threshold: Some(25 << 20), ..Ledger::default() };
        assert_eq!(ledger(&grown, &[], None).advice.first().map(|a| a.setting.as_str()), Some("MALLOC_MMAP_THRESHOLD_=131072"));
        assert_eq!(ledger(&Ledger { mmap_threshold: Some(128 << 10), ..grown }, &[], None).advice, []);
        // What is free between what is in use.
        let shares = vec![share(Part::MallocFree, "", 200 << 20)];
        let strewn = ledger(&Ledger { rss_bytes: 1 << 30, shares, ..Ledger::default() }, &[], None).advice;
        assert_eq!(strewn.first().map(|a| (a.gain_bytes.0 >> 20, a.known)), Some((200, "at most")));
    }
}
