//! What to paste, where it would help: two lines for this program.
//!
//! Holds: [`advice`], by rules that are stated here. Never: advice from the allocation rate, which one look cannot know: rates are those of
//! the process so far, its collections by its age.

use super::{estimated_ms, Gc};
use crate::explain::grouped;

/// Garbage of this part of all objects is worth a line: a thirtieth, and no less than a mebibyte.
const WAITING_SHARE: u64 = 30;
const WAITING_LEAST: u64 = 1 << 20;
/// Collections that take this part of the time are worth a line: half a percent.
const TIME_SHARE: f64 = 0.005;
/// Of a process that is younger the start-up alone is known, in seconds.
const AGE_LEAST: f64 = 10.0;
/// Young collections that find more than this part of what they walk are worth their time: a tenth.
const WORTHWHILE: f64 = 0.1;
/// One that takes so long stops all threads for what a user notices, in milliseconds.
const LONG_MS: f64 = 50.0;
/// Of so many objects that gc.freeze() would leave out at least.
const FREEZE_LEAST: u64 = 50_000;
/// `gc.DEBUG_SAVEALL`.
const SAVEALL: u32 = 32;
/// The thresholds that are advised where young collections take too long: the first is a multiple of every release's default, so that most
/// objects are gone before they are walked.
const THRESHOLDS: (i64, i64, i64) = (50_000, 20, 100);

/// Why something is to be pasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The debug flag that keeps all garbage.
    SaveAll,
    /// Garbage waits, and nothing collects it.
    Off,
    /// Garbage waits until enough became old.
    Waiting,
    /// Full collections walk many objects that live long.
    Freeze,
    /// Young collections are many.
    Thresholds,
    /// Both.
    FreezeAndThresholds,
}

impl Kind {
    /// The word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Kind::SaveAll => "save-all",
            Kind::Off => "off",
            Kind::Waiting => "waiting",
            Kind::Freeze => "freeze",
            Kind::Thresholds => "thresholds",
            Kind::FreezeAndThresholds => "freeze-and-thresholds",
        }
    }
}

/// Two lines, where to put them, and what they would change.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Which.
    pub kind: Kind,
    /// The lines.
    pub lines: [String; 2],
    /// Where they belong.
    pub at: &'static str,
    /// By how much it would help, and how that is known.
    pub why: String,
}

impl Advice {
    /// One line for `explain`.
    pub(super) fn title(&self, gc: &Gc) -> String {
        let full = gc.full().cloned().unwrap_or_default();
        match self.kind {
            Kind::SaveAll => format!("gc.DEBUG_SAVEALL keeps all garbage in gc.garbage: {}", self.line()),
            Kind::Off => {
                format!("{} objects wait as garbage, and nothing collects them: {}", grouped(full.found_objects as usize), self.line())
            }
            Kind::Waiting => format!("{} objects wait as garbage: {}", grouped(full.found_objects as usize), self.line()),
            Kind::Freeze | Kind::FreezeAndThresholds => {
                let old = gc.lists.get(2).map_or(0, |list| list.objects);
                format!("each full collection walks {} old objects: {}", grouped(old as usize), self.line())
            }
            Kind::Thresholds => format!("young collections take much of the time: {}", self.line()),
        }
    }

    fn line(&self) -> &str {
        self.lines.get(1).map_or("", |line| line.as_str())
    }
}

/// The one thing to do, the most pressing first.
pub(super) fn advice(gc: &Gc) -> Option<Advice> {
    let (main, full) = (gc.main()?, gc.full()?);
    let made = |kind, line: &str, at, why| Some(Advice { kind, lines: ["import gc".to_owned(), line.to_owned()], at, why });
    if main.debug & SAVEALL != 0 {
        let why = format!("gc.garbage has {} objects, which nothing frees while the flag is set", grouped(main.garbage as usize));
        return made(Kind::SaveAll, "gc.set_debug(0); gc.garbage.clear()", "where the program sets gc.DEBUG_SAVEALL, instead of it", why);
    }
    if full.freed_bytes.0 >= WAITING_LEAST.max(gc.whole.0 / WAITING_SHARE) {
        let gives =
            format!("a collection now frees {} objects, {} (counted on this heap)", grouped(full.freed_objects as usize), full.freed_bytes);
        if !gc.is_automatic() {
            let at = "where the program turns the collector off, or gc.collect() where it is idle";
            return made(Kind::Off, turned_on(main), at, gives);
        }
        return made(Kind::Waiting, "gc.collect()", "where the program is idle: after a batch, between requests", gives);
    }
    if !gc.is_automatic() {
        return None;
    }
    let freeze = freeze(gc);
    let young = thresholds(gc);
    let (first, second, third) = THRESHOLDS;
    let set = format!("gc.set_threshold({}, {second}, {third})", grouped(first as usize).replace(',', "_"));
    const START: &str = "at the end of start-up, before the first request, and before the fork where it forks";
    match (freeze, young) {
        (Some(why), Some(more)) => {
            made(Kind::FreezeAndThresholds, &format!("gc.collect(); gc.freeze(); {set}"), START, format!("{why}; {more}"))
        }
        (Some(why), None) => made(Kind::Freeze, "gc.collect(); gc.freeze()", START, why),
        (None, Some(why)) => made(Kind::Thresholds, &set, "at the start of the program", why),
        (None, None) => None,
    }
}

/// How collections start by themselves again.
fn turned_on(main: &snapshot::CollectorState) -> &'static str {
    match main.enabled {
        true => "gc.set_threshold(700, 10, 10)",
        false => "gc.enable()",
    }
}

/// What gc.freeze() would leave out, where that matters: full collections that ran take much of the time, or each takes long.
fn freeze(gc: &Gc) -> Option<String> {
    let (main, full) = (gc.main()?, gc.full()?);
    let old = gc.lists.get(2)?.objects.saturating_sub(full.found_objects);
    let done = main.generations.last()?.collections;
    if old < FREEZE_LEAST || done == 0 {
        return None;
    }
    let each = estimated_ms(full.walked_objects);
    let share = gc.age_s.filter(|age| *age >= AGE_LEAST).map(|age| done as f64 * each / 1000.0 / age);
    let matters = each >= LONG_MS || share.is_some_and(|share| share >= TIME_SHARE);
    matters.then(|| {
        format!(
            "full collections ran {} times; each walks {} objects, about {each:.0} ms at today's size; without the {} old ones about {:.0} ms",
            grouped(done as usize),
            grouped(full.walked_objects as usize),
            grouped(old as usize),
            estimated_ms(full.walked_objects.saturating_sub(old)),
        )
    })
}

/// How much rarer young collections would be, where they take much of the time.
fn thresholds(gc: &Gc) -> Option<String> {
    let main = gc.main()?;
    let young = main.generations.first()?;
    if main.incremental || young.threshold <= 0 || young.threshold >= THRESHOLDS.0 {
        return None;
    }
    let age = gc.age_s.filter(|age| *age >= AGE_LEAST)?;
    if young.collected as f64 > young.collections as f64 * young.threshold as f64 * WORTHWHILE {
        return None;
    }
    let each = estimated_ms(young.threshold as u64);
    let share = young.collections as f64 * each / 1000.0 / age;
    (share >= TIME_SHARE).then(|| {
        format!(
            "young collections ran {:.0} times a second, about {:.1} % of the time, and found {:.1} objects each; with {} instead of {} they \
             would be {:.0} times rarer",
            young.collections as f64 / age,
            share * 100.0,
            young.collected as f64 / young.collections.max(1) as f64,
            grouped(THRESHOLDS.0 as usize),
            grouped(young.threshold as usize),
            THRESHOLDS.0 as f64 / young.threshold as f64
        )
    })
}
