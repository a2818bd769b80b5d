//! Comparisons by the hundred, of a program with itself and with one that is bigger or slower by a known share.
//!
//! Holds: [`compare`] and what it counts. Never: knows how a verdict is made: it asks the command, as users do.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::trouble::{Doing, Done, Trouble};

/// Of so many comparisons in a hundred the answer must be right.
const RIGHT_OF_100: usize = 89;

/// What is planted, and which figure must show it; where none must, each verdict is wrong.
const KINDS: [(&str, &[&str], Option<&str>); 3] = [
    ("nothing", &["--memory", "0"], None),
    ("5 % of peak RSS", &["--memory", "0.05"], Some("peak_rss_bytes")),
    // Of what it measures itself; the interpreter's start is a fifth of the whole.
    ("20 % of time", &["--time", "0.25"], Some("seconds")),
];

/// The figures that have a verdict.
const FIGURES: [&str; 4] = ["peak_rss_bytes", "end_rss_bytes", "seconds", "collector_seconds"];

/// All comparisons of one kind.
#[derive(Debug, Serialize)]
pub(crate) struct Comparisons {
    planted: &'static str,
    comparisons: usize,
    /// That found what was planted, or nothing where nothing was.
    right: usize,
    /// Runs of each variant, in one comparison.
    runs: usize,
    /// Verdicts, by figure.
    verdicts: BTreeMap<&'static str, usize>,
    /// The changes that were told of the planted figure (of the time, where nothing was planted), in the order of the comparisons.
    changes: Vec<f64>,
    seconds: f64,
}

/// Compares `times` over, each kind in its turn, so that all share what else the machine does.
pub(crate) fn compare(exuvia: &Path, python: &Path, script: &Path, times: usize, kept: &mut Vec<Comparisons>) -> Done<()> {
    kept.extend(KINDS.map(|(planted, _, _)| Comparisons {
        planted,
        comparisons: 0,
        right: 0,
        runs: 0,
        verdicts: BTreeMap::new(),
        changes: Vec::new(),
        seconds: 0.0,
    }));
    if times == 0 {
        return Err(Trouble::new("no comparison was asked for".to_string()));
    }
    for n in 0..times {
        for (kind, (planted, words, figure)) in kept.iter_mut().zip(KINDS) {
            let started = Instant::now();
            let answer = one(exuvia, python, script, words).map_err(|e| Trouble::new(format!("comparison {n} ({planted}): {e}")))?;
            kind.seconds += started.elapsed().as_secs_f64();
            kind.count(&answer, figure).map_err(|e| Trouble::new(format!("comparison {n} ({planted}): {e}: {answer}")))?;
        }
        if (n + 1) % 10 == 0 || n + 1 == times {
            let told: Vec<String> = kept.iter().map(|k| format!("{} planted: {} of {} right", k.planted, k.right, k.comparisons)).collect();
            println!("{}", told.join("; "));
        }
    }
    match kept.iter().find(|k| k.right * 100 < k.comparisons * RIGHT_OF_100) {
        Some(k) => Err(Trouble::new(format!("{} planted: {} of {} comparisons were right", k.planted, k.right, k.comparisons))),
        None => Ok(()),
    }
}

/// One comparison: its second variant.
fn one(exuvia: &Path, python: &Path, script: &Path, words: &[&str]) -> Done<Value> {
    let mut against = vec![python.display().to_string(), script.display().to_string()];
    against.extend(words.iter().map(ToString::to_string));
    let output = Command::new(exuvia)
        .args(["compare", "--json", "--against", &against.join(" "), "--"])
        .args([python, script])
        .output()
        .doing(exuvia.display())?;
    let failed = || Trouble::new(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed())?;
    answer.pointer("/variants/1").cloned().ok_or_else(failed)
}

impl Comparisons {
    fn count(&mut self, variant: &Value, figure: Option<&'static str>) -> Done<()> {
        self.comparisons += 1;
        self.runs = variant.get("runs").and_then(Value::as_array).map_or(0, Vec::len);
        let mut differ = Vec::new();
        // All that is planted is more.
        let mut more = Vec::new();
        for name in FIGURES {
            let spread = variant.get(name).ok_or_else(|| Trouble::new(format!("no {name}")))?;
            if spread.get("differs").and_then(Value::as_bool).ok_or_else(|| Trouble::new(format!("{name} has no verdict")))? {
                differ.push(name);
                more.extend(spread.get("change").and_then(Value::as_f64).filter(|change| *change > 0.0).map(|_| name));
                *self.verdicts.entry(name).or_default() += 1;
            }
            if name == figure.unwrap_or("seconds") {
                self.changes.extend(spread.get("change").and_then(Value::as_f64));
            }
        }
        self.right += usize::from(figure.map_or(differ.is_empty(), |figure| more.contains(&figure)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn kind() -> Comparisons {
        Comparisons {
            planted: "5 % of peak RSS",
            comparisons: 0,
            right: 0,
            runs: 0,
            verdicts: BTreeMap::new(),
            changes: Vec::new(),
            seconds: 0.0,
        }
    }

    #[test]
    fn a_verdict_in_the_wrong_direction_is_not_right() {
        let same = json!({"differs": false, "change": 0.0});
        for (change, planted, right) in
            [(0.05, Some("peak_rss_bytes"), 1), (-0.05, Some("peak_rss_bytes"), 0), (0.05, None, 0), (-0.05, None, 0)]
        {
            let peak = json!({"differs": true, "change": change});
            let variant = json!({"runs": [], "peak_rss_bytes": peak, "end_rss_bytes": same, "seconds": same, "collector_seconds": same});
            let mut kind = kind();
            kind.count(&variant, planted).unwrap();
            assert_eq!((kind.comparisons, kind.right), (1, right), "{change} {planted:?}");
        }
    }

    #[test]
    fn no_comparison_at_all_is_an_error() {
        let nowhere = Path::new("/nowhere");
        assert!(compare(nowhere, nowhere, nowhere, 0, &mut Vec::new()).is_err());
    }
}
