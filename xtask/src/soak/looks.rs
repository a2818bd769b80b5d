//! Thousands of looks at one busy target, over all modes.
//!
//! Holds: [`look`] and what it counts. Never: accepts an answer that lacks what the target is known to hold.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Serialize;
use serde_json::Value;

use super::target::{guardians, until, Busy, MARK};
use crate::trouble::{Doing, Done, Trouble};

const MODES: [&str; 4] = ["auto", "fork", "freeze", "live"];
/// Instances of `Kept` that the target holds.
const KEPT: u64 = 1000;
/// The target is checked after so many looks.
const CHECK: usize = 20;

/// All looks together.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Looks {
    /// By the mode asked for.
    modes: BTreeMap<&'static str, Mode>,
    /// The target before the first look and after the last.
    target: [State; 2],
    /// Rounds of the target's threads meanwhile.
    rounds: u64,
}

/// The looks of one mode.
#[derive(Debug, Default, Serialize)]
struct Mode {
    looks: usize,
    /// By what really happened.
    ways: BTreeMap<String, usize>,
    median_pause_ms: f64,
    longest_pause_ms: f64,
    longest_second_stop_ms: f64,
    /// Objects caught half-written, in all looks together.
    torn: u64,
    /// Looks that found a collection under way at every attempt.
    collecting: usize,
    /// Answers that lacked some of the 1,000 instances; allowed while the target runs.
    short: usize,
    #[serde(skip)]
    pauses: Vec<f64>,
}

#[derive(Debug, Default, Serialize)]
struct State {
    resident_bytes: u64,
    threads: u64,
    descriptors: u64,
}

/// Looks `times` over.
pub(crate) fn look(exuvia: &Path, python: &Path, script: &Path, times: usize) -> Done<Looks> {
    let mut busy = Busy::start(python, script, 1)?;
    let mut looks = Looks::default();
    let rounds: u64 = busy.ask()?.rounds.iter().sum();
    for n in 0..times {
        // The first looks warm the target's own caches up.
        if n == CHECK {
            looks.target[0] = state(&mut busy)?;
        }
        let mode = MODES[n % MODES.len()];
        let (asked, pid) = (["--mode", mode, "--max-pause", "10s"], busy.pid().to_string());
        let output = Command::new(exuvia)
            .args(["types", "--json"])
            .args(asked)
            .arg(&pid)
            .env(MARK, std::process::id().to_string())
            .output()
            .doing(exuvia.display())?;
        let failed = || {
            let said = String::from_utf8_lossy(&output.stderr);
            Trouble::new(format!("look {n} ({mode}) ended with {}: {said}", output.status))
        };
        let answer: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed())?;
        looks.modes.entry(mode).or_default().count(&answer, mode).map_err(|e| Trouble::new(format!("look {n} ({mode}): {e}")))?;
        if n % CHECK == CHECK - 1 {
            until("the guardian has ended", || guardians().is_empty())?;
            busy.check().map_err(|e| Trouble::new(format!("after look {n} ({mode}): {e}")))?;
        }
    }
    looks.target[1] = state(&mut busy)?;
    looks.rounds = busy.ask()?.rounds.iter().sum::<u64>() - rounds;
    busy.end()?;
    for mode in looks.modes.values_mut() {
        mode.pauses.sort_by(f64::total_cmp);
        mode.median_pause_ms = mode.pauses.get(mode.pauses.len() / 2).copied().unwrap_or(0.0);
        mode.longest_pause_ms = mode.pauses.last().copied().unwrap_or(0.0);
    }
    for (mode, told) in &looks.modes {
        let Mode { looks, ways, median_pause_ms, longest_pause_ms, longest_second_stop_ms, torn, collecting, short, .. } = told;
        println!(
            "{mode}: {looks} looks {ways:?}, stands still {median_pause_ms:.1} ms in the median, {longest_pause_ms:.1} ms at most, \
             then {longest_second_stop_ms:.1} ms at most; {torn} torn objects, {collecting} in a collection, {short} short"
        );
    }
    let [before, after] = &looks.target;
    if after.descriptors > before.descriptors || after.threads > before.threads + 1 {
        return Err(Trouble::new(format!("the target holds more than before: {before:?}, then {after:?}")));
    }
    Ok(looks)
}

fn state(busy: &mut Busy) -> Done<State> {
    Ok(State { resident_bytes: busy.resident()?, threads: busy.threads(), descriptors: busy.ask()?.descriptors })
}

impl Mode {
    fn count(&mut self, answer: &Value, asked: &str) -> Done<()> {
        let text = |path: &str| answer.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let way = text("/target/mode");
        self.looks += 1;
        *self.ways.entry(way.to_owned()).or_default() += 1;
        self.pauses.extend(answer.pointer("/target/pause_ms").and_then(Value::as_f64));
        let second = answer.pointer("/target/second_stop_ms").and_then(Value::as_f64).unwrap_or(0.0);
        self.longest_second_stop_ms = self.longest_second_stop_ms.max(second);
        let gaps = answer.pointer("/coverage/gaps").and_then(Value::as_array).into_iter().flatten();
        for gap in gaps {
            let count = gap.get("count").and_then(Value::as_u64).unwrap_or(0);
            match gap.get("what").and_then(Value::as_str) {
                Some("torn-object") => self.torn += count,
                Some("collecting") => self.collecting += 1,
                _ => {}
            }
        }
        let types = answer.get("types").and_then(Value::as_array).into_iter().flatten();
        let kept: u64 = types
            .filter(|one| one.get("type").and_then(Value::as_str) == Some("__main__.Kept"))
            .filter_map(|one| one.get("count")?.as_u64())
            .sum();
        if kept != KEPT {
            self.short += 1;
            if asked != "live" {
                return Err(Trouble::new(format!("{kept} instances of Kept instead of {KEPT}")));
            }
        }
        Ok(())
    }
}
