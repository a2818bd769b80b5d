//! `containers`: what data structures waste, in bytes, by kind, type and the place that holds them.
//!
//! Holds: [`containers`] and its findings. One file a question below; each puts objects into groups by where they are held ([`sites`]).
//! Never: counts what a program cannot change: tables of the interpreter and of Python's own library, constants of code.
//! Savings are what allocators would give back: sizes that were read, less what the changed structure takes, rounded as they round.
//! Bounded: a few passes over objects and references; a group is worth a row from the bytes on that `explain` gives a line for.

mod equal;
mod groups;
mod kept;
mod numbers;
mod records;
mod room;
mod sites;
mod wide;

use memory::Bytes;
use rustc_hash::FxHashSet;
use snapshot::{KnownFacts, Snapshot};

use crate::explain::{grouped, least};
use crate::finding::{Finding, Saves, Sure};
use crate::ownership::Ownership;
use crate::place::{Place, Places};
use groups::{Group, Groups};
use sites::Sites;

/// What is wasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// More room than items.
    Room,
    /// Nothing in them.
    Empty,
    /// Dicts that all have the same keys.
    Records,
    /// Sequences of one type of numbers.
    Numbers,
    /// Values that are equal and stored many times.
    Equal,
    /// Strs that few characters make wide.
    Wide,
    /// Small views that keep a large base alive.
    Views,
    /// Generators and coroutines that wait, with what they hold.
    Calls,
    /// Exceptions whose tracebacks hold frames and their locals.
    Tracebacks,
    /// Caches without bound.
    Caches,
    /// Closures and partials that hold big things.
    Closures,
    /// Tasks of asyncio that are done and still held.
    Tasks,
}

impl Kind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Kind; 12] = [
        Kind::Room,
        Kind::Empty,
        Kind::Records,
        Kind::Numbers,
        Kind::Equal,
        Kind::Wide,
        Kind::Views,
        Kind::Calls,
        Kind::Tracebacks,
        Kind::Caches,
        Kind::Closures,
        Kind::Tasks,
    ];

    /// The word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Room => "room",
            Kind::Empty => "empty",
            Kind::Records => "records",
            Kind::Numbers => "numbers",
            Kind::Equal => "equal",
            Kind::Wide => "wide",
            Kind::Views => "views",
            Kind::Calls => "calls",
            Kind::Tracebacks => "tracebacks",
            Kind::Caches => "caches",
            Kind::Closures => "closures",
            Kind::Tasks => "tasks",
        }
    }

    /// How its savings are known.
    fn known(self) -> Sure {
        match self {
            Kind::Room | Kind::Empty | Kind::Numbers | Kind::Equal | Kind::Wide => Sure::Exact,
            Kind::Records => Sure::Estimated,
            _ => Sure::AtMost,
        }
    }
}

/// The answer to `containers`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Containers {
    /// What is wasted in each way that was met, small groups included.
    pub kinds: Vec<Sum>,
    /// What is worth a line; what saves most comes first.
    pub rows: Vec<Waste>,
    /// Fewer bytes than these are not worth one.
    pub least_bytes: Bytes,
    /// Columns that an older folder does not have: what they would tell is not counted.
    pub missing: Vec<&'static str>,
}

/// What is wasted in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// In which.
    pub kind: Kind,
    /// How many objects.
    pub count: u64,
    /// What they take now.
    pub present_bytes: Bytes,
    /// What would be saved.
    pub saving_bytes: Bytes,
}

/// Objects of one type, held in one place, that waste in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Waste {
    /// In which.
    pub kind: Kind,
    /// Their type.
    pub type_name: String,
    /// How many.
    pub count: u64,
    /// What they take now.
    pub present_bytes: Bytes,
    /// What would be saved.
    pub saving_bytes: Bytes,
    /// How that is known.
    pub known: Sure,
    /// The way to them: `shop.cache.PAGES[…].tags`.
    pub path: String,
    /// Where in the source that is.
    pub place: Option<Place>,
    /// What is the matter, in a few words: `of 1,000 float`, `with the same 5 keys`.
    pub what: String,
    /// What to do.
    pub advice: String,
    /// What it rests on.
    pub evidence: String,
    /// At which objects bytes are saved.
    pub at: Vec<(u32, u64)>,
}

/// What the containers of a snapshot waste; `None` for one without facts about its objects.
pub fn containers(ownership: &Ownership<'_>, snapshot: &Snapshot) -> Option<Containers> {
    let facts = snapshot.facts.as_ref()?;
    let sites = Sites::of(ownership);
    let look = Look { ownership, facts, sites: &sites };
    let mut groups = Groups::default();
    room::count(&look, &mut groups);
    records::count(&look, &mut groups);
    numbers::count(&look, &mut groups);
    equal::count(&look, &mut groups);
    wide::count(&look, &mut groups);
    kept::count(&look, &mut groups);
    let whole: u64 = snapshot.types.iter().map(|t| t.footprint_bytes.0).sum();
    let least = least(whole);
    let kinds = Kind::ALL.iter().filter_map(|kind| groups.sum(*kind)).collect();
    let places = Places::of(ownership.objects, ownership.graph, ownership.details);
    let worth = groups.worth(least);
    let mut rows: Vec<Waste> = worth.into_iter().map(|group| look.told(&places, group)).collect();
    rows.sort_by(|a, b| {
        b.saving_bytes.cmp(&a.saving_bytes).then_with(|| (a.kind, &a.path, &a.type_name).cmp(&(b.kind, &b.path, &b.type_name)))
    });
    Some(Containers { kinds, rows, least_bytes: Bytes(least), missing: facts.missing.clone() })
}

/// What to do about them; `told`: a cache that another finding names already is left to that.
pub fn findings(containers: Containers, told: &[Finding]) -> Vec<Finding> {
    let told: FxHashSet<u32> = told
        .iter()
        .flat_map(|finding| match &finding.saves {
            Saves::At(nodes) => nodes.as_slice(),
            _ => &[],
        })
        .map(|(node, _)| *node)
        .collect();
    let rows = containers.rows.into_iter().filter(|row| row.kind != Kind::Caches || !row.at.iter().any(|(node, _)| told.contains(node)));
    rows.map(|row| Finding {
        id: "containers",
        title: format!("{} {} {} in {}: {}", grouped(row.count as usize), row.type_name, row.what, row.path, row.advice),
        saving_bytes: row.saving_bytes,
        known: row.known,
        place: row.place,
        evidence: row.evidence,
        saves: Saves::At(row.at),
    })
    .collect()
}

/// No memory has so many bytes, however small the items are.
const LENGTH_BOUND: u64 = 1 << 46;

/// What every question looks at.
struct Look<'l, 's> {
    ownership: &'l Ownership<'s>,
    facts: &'l KnownFacts,
    sites: &'l Sites<'l, 's>,
}

impl Look<'_, '_> {
    fn type_row(&self, node: u32) -> u32 {
        self.ownership.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX)
    }

    fn footprint(&self, node: u32) -> u64 {
        self.ownership.objects.footprint_bytes().get(node as usize).map_or(0, |bytes| bytes.0)
    }

    fn own(&self, node: u32) -> u64 {
        self.ownership.objects.own_bytes().get(node as usize).map_or(0, |bytes| bytes.0)
    }

    /// How many items it has, where it says so; a damaged object may say more than any memory holds.
    fn told_length(&self, node: u32) -> Option<u64> {
        self.facts.lengths.get(node).filter(|length| *length <= LENGTH_BOUND)
    }

    fn length(&self, node: u32) -> u64 {
        self.told_length(node).unwrap_or(0)
    }

    /// One row of the answer.
    fn told(&self, places: &Places<'_>, group: Group) -> Waste {
        let type_name = self.ownership.type_row_name(group.type_index).to_owned();
        let (what, advice, evidence) = self.words(&group, &type_name);
        Waste {
            kind: group.kind,
            count: group.count,
            present_bytes: Bytes(group.present),
            saving_bytes: Bytes(group.saving),
            known: group.kind.known(),
            path: self.sites.text(group.site),
            place: self.sites.place(group.site, places),
            type_name,
            what,
            advice,
            evidence,
            at: group.at,
        }
    }

    /// What is the matter, what to do, and what that rests on.
    fn words(&self, group: &Group, type_name: &str) -> (String, String, String) {
        let n = |number: u64| grouped(number as usize);
        let now = format!("{} bytes now", n(group.present));
        let then = format!("{now}, {} then", n(group.present.saturating_sub(group.saving)));
        let held = format!("they keep {} bytes alive that nothing else does", n(group.saving));
        match group.kind {
            Kind::Room => {
                let copy = match type_name {
                    "list" => "x[:] where they are done, or a tuple".to_owned(),
                    "bytearray" => "bytes(x) where they are done".to_owned(),
                    name => format!("{}(x) where they are done", name.rsplit('.').next().unwrap_or(name)),
                };
                ("with more room than items".into(), copy, format!("{then}; {} items in room for {}", n(group.items), n(group.extra_sum)))
            }
            Kind::Empty => ("with nothing in it".into(), "None, or one shared (), until the first item".into(), then),
            Kind::Records => {
                let each = group.present.checked_div(group.count).unwrap_or(0);
                (
                    format!("with the same {} keys", group.items.checked_div(group.count).unwrap_or(0)),
                    "a class with __slots__".into(),
                    format!("{then}; {each} bytes each now; what a class takes is estimated"),
                )
            }
            Kind::Numbers => {
                let of = self.ownership.type_row_name(group.extra as u32);
                let advice = match of {
                    "float" => "array.array('d') or numpy",
                    "bool" => "bytearray or numpy",
                    _ => "array.array('q') or numpy; 'i' below 2**31",
                };
                (format!("of {} {of}", n(group.items)), advice.into(), format!("{then}, with the numbers that nothing else holds"))
            }
            Kind::Equal => {
                let advice = if type_name == "str" { "sys.intern()" } else { "keep one of each in a dict" };
                (
                    format!("equal to {} that are there", n(group.items)),
                    advice.into(),
                    format!("{now}: {} copies of {} different values", n(group.count), n(group.items)),
                )
            }
            Kind::Wide => (
                "that a few characters make wide".into(),
                "replace them, or keep it encoded".into(),
                format!("{then} as UTF-8; {} characters, {} of them wide", n(group.items), n(group.extra_sum)),
            ),
            Kind::Views => (
                "that shows a part".into(),
                "copy what is needed: bytes(view), a.copy()".into(),
                format!("{held}; they show {} bytes of them", n(group.items)),
            ),
            Kind::Calls => ("that waits".into(), "end or close it, or let it hold less".into(), held),
            Kind::Tracebacks => {
                ("with a traceback".into(), "keep str(e), or e.with_traceback(None)".into(), format!("frames and locals: {held}"))
            }
            Kind::Caches => ("without a bound".into(), "give it a maxsize".into(), format!("{} entries; {held}", n(group.items))),
            Kind::Closures => ("that holds more than itself".into(), "pass it as an argument, or hold it weakly".into(), held),
            Kind::Tasks => ("that is done".into(), "forget it when it is done".into(), held),
        }
    }
}
