//! `explain`: who holds the memory, what is suspect, what to do; in both forms.

use std::io::{self, Write};

use analyses::accumulation::Accumulation;
use analyses::explain::{Explanation, Suspect};
use analyses::finding::{Finding, Sure};
use analyses::place::Place;
use memory::Bytes;
use serde::Serialize;
use snapshot::Snapshot;

use crate::again::Again;
use crate::{head, json, retained, text, Style};

/// Findings of the first screen, and suspects.
const FINDINGS: usize = 3;
const SUSPECTS: usize = 1;

/// One screen: coverage, owners, what to do, the sentence, the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, explanation: &Explanation, all: bool, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    if let Some(ledger) = &explanation.ledger {
        head::write_cut(out, &crate::ledger::line(ledger), style)?;
    }
    writeln!(out)?;
    retained::owners(out, &explanation.retained, style)?;
    suspects(out, explanation, all, style)?;
    writeln!(out, "\nwhat to do")?;
    if explanation.findings.is_empty() {
        writeln!(out, "  nothing found that is worth a change")?;
    }
    let shown = if all { explanation.findings.len() } else { FINDINGS };
    for finding in explanation.findings.iter().take(shown) {
        let place = finding.place.as_ref().map(|place| format!("{}: ", written(place))).unwrap_or_default();
        let line = format!("{:>9}  {place}{}", finding.saving_bytes.to_string(), text::escaped(&finding.title));
        head::write_cut(out, &line, style)?;
        if all {
            head::write_cut(out, &format!("           {}: {}", sure(finding.known), text::escaped(&finding.evidence)), style)?;
        }
    }
    if explanation.findings.len() > shown {
        let more = text::counted((explanation.findings.len() - shown) as u64, "more finding");
        writeln!(out, "  … {more} (--all shows them with their evidence)")?;
    }
    writeln!(out)?;
    for line in text::folded(&sentence(explanation), style.width.unwrap_or(usize::MAX)) {
        writeln!(out, "{line}")?;
    }
    let (word, command) = proof(explanation, style);
    writeln!(out, "{word}: {command}")
}

/// The biggest suspects: who, and where its memory comes together.
fn suspects(out: &mut dyn Write, explanation: &Explanation, all: bool, style: &Style) -> io::Result<()> {
    let whole = explanation.retained.whole;
    let shown = if all { usize::MAX } else { SUSPECTS };
    let line = |suspect: &Suspect| match (&suspect.accumulation, suspect.objects) {
        (Some(a), _) => {
            let spread = format!("{} children, {} {}", text::grouped(a.children), text::grouped(a.of_type), a.child_type);
            let place = if a.from == a.path { String::new() } else { format!("{}: ", a.from) };
            format!("{place}comes together in {}: {spread}", a.path)
        }
        (None, 2..) => format!("{} {} that nothing holds alone: {}", text::grouped(suspect.objects), suspect.type_name, suspect.path),
        (None, _) => format!("{}: one {}", suspect.path, suspect.type_name),
    };
    for suspect in explanation.suspects.iter().take(shown) {
        let share = text::percent(suspect.retained_bytes.0, whole.0);
        head::write_cut(out, &format!("suspect:  {share}  {}", text::escaped(&line(suspect))), style)?;
    }
    Ok(())
}

/// The command that shows that the first finding is true, and what it shows.
fn proof(explanation: &Explanation, style: &Style) -> (&'static str, String) {
    let Some(first) = explanation.findings.first() else { return ("next", style.again.line("retained", &[])) };
    let is_live = matches!(style.again, Again::Pid(_));
    match first.id {
        "retained" if is_live => ("see it grow", style.again.line("diff", &["--every", "10s", "--times", "3"])),
        id @ ("ledger" | "cycles" | "refcounts" | "finalizers" | "weakrefs" | "gc" | "slots") => ("see it", style.again.line(id, &[])),
        _ => ("see it", style.again.line("retained", &[])),
    }
}

/// What a manager understands.
pub fn sentence(explanation: &Explanation) -> String {
    let whole = match (explanation.findings.first(), &explanation.ledger) {
        // What allocators hold back is not part of what objects take.
        (Some(first), Some(ledger)) if first.id == "ledger" => ledger.rss_bytes,
        _ => explanation.retained.whole,
    };
    match (explanation.findings.first(), explanation.retained.owners.first()) {
        (Some(first), _) => {
            let share = text::percent(first.saving_bytes.0, whole.0);
            let title = text::escaped(&first.title);
            format!("{} of {whole} ({share}) can be saved, {}: {title}{}.", first.saving_bytes, sure(first.known), at(&first.place))
        }
        (None, Some(owner)) => format!(
            "Nothing that is worth a change was found. The biggest owner: {}, {} of {whole}.",
            retained::described(owner),
            owner.retained_bytes
        ),
        (None, None) => "There is nothing to explain.".to_owned(),
    }
}

fn at(place: &Option<Place>) -> String {
    place.as_ref().map(|place| format!(" ({})", written(place))).unwrap_or_default()
}

/// `shop/cache.py:18`, `near shop/cache.py:18`, `in shop/cache.py`.
pub(crate) fn written(place: &Place) -> String {
    let file = text::escaped(short(&place.file));
    match (place.line, place.near) {
        (None, _) => format!("in {file}"),
        (Some(line), false) => format!("{file}:{line}"),
        (Some(line), true) => format!("near {file}:{line}"),
    }
}

/// The file without the folders above its package's own.
fn short(file: &str) -> &str {
    let cut = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    file.get(cut..).unwrap_or(file)
}

pub(crate) fn sure(known: Sure) -> &'static str {
    match known {
        Sure::Exact => "counted",
        Sure::Estimated => "estimated",
        Sure::AtMost => "at most",
    }
}

/// One JSON object: schema `exuvia/explain/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, explanation: &Explanation) -> io::Result<()> {
    let answer = Answer {
        head: json::Head::new("exuvia/explain/1", snapshot),
        ledger: explanation.ledger.as_ref().map(crate::ledger::StatementJson::new),
        retained: retained::RetainedJson::new(&explanation.retained),
        suspects: explanation.suspects.iter().map(SuspectJson::new).collect(),
        findings: explanation.findings.iter().map(FindingJson::new).collect(),
        sentence: sentence(explanation),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    ledger: Option<crate::ledger::StatementJson<'s>>,
    #[serde(flatten)]
    retained: retained::RetainedJson<'s>,
    suspects: Vec<SuspectJson<'s>>,
    findings: Vec<FindingJson<'s>>,
    sentence: String,
}

/// A place in source.
#[derive(Serialize)]
pub(crate) struct PlaceJson<'s> {
    file: &'s str,
    line: Option<u32>,
    near: bool,
}

impl<'s> PlaceJson<'s> {
    pub(crate) fn new(place: &'s Place) -> Self {
        PlaceJson { file: &place.file, line: place.line, near: place.near }
    }
}

#[derive(Serialize)]
struct SuspectJson<'s> {
    path: &'s str,
    #[serde(rename = "type")]
    type_name: &'s str,
    retained_bytes: u64,
    entries: Option<u64>,
    entry_type: Option<&'s str>,
    #[serde(rename = "where")]
    place: Option<PlaceJson<'s>>,
    objects: u64,
    accumulation: Option<AccumulationJson<'s>>,
}

#[derive(Serialize)]
struct AccumulationJson<'s> {
    from: &'s str,
    from_bytes: u64,
    path: &'s str,
    #[serde(rename = "type")]
    type_name: &'s str,
    retained_bytes: u64,
    children: u64,
    child_type: &'s str,
    children_of_type: u64,
    children_of_type_bytes: u64,
    biggest_child_bytes: u64,
}

impl<'s> AccumulationJson<'s> {
    fn new(a: &'s Accumulation) -> Self {
        AccumulationJson {
            from: &a.from,
            from_bytes: a.from_bytes.0,
            path: &a.path,
            type_name: &a.type_name,
            retained_bytes: a.retained_bytes.0,
            children: a.children,
            child_type: &a.child_type,
            children_of_type: a.of_type,
            children_of_type_bytes: a.of_type_bytes.0,
            biggest_child_bytes: a.biggest_bytes.0,
        }
    }
}

impl<'s> SuspectJson<'s> {
    fn new(suspect: &'s Suspect) -> Self {
        SuspectJson {
            path: &suspect.path,
            type_name: &suspect.type_name,
            retained_bytes: suspect.retained_bytes.0,
            entries: suspect.entries.as_ref().map(|(count, _)| *count),
            entry_type: suspect.entries.as_ref().map(|(_, name)| name.as_str()),
            place: suspect.place.as_ref().map(PlaceJson::new),
            objects: suspect.objects,
            accumulation: suspect.accumulation.as_ref().map(AccumulationJson::new),
        }
    }
}

/// A finding.
#[derive(Serialize)]
pub(crate) struct FindingJson<'s> {
    id: &'static str,
    title: &'s str,
    saving_bytes: u64,
    known: &'static str,
    #[serde(rename = "where")]
    place: Option<PlaceJson<'s>>,
    evidence: &'s str,
}

impl<'s> FindingJson<'s> {
    pub(crate) fn new(finding: &'s Finding) -> Self {
        FindingJson {
            id: finding.id,
            title: &finding.title,
            saving_bytes: finding.saving_bytes.0,
            known: finding.known.word(),
            place: finding.place.as_ref().map(PlaceJson::new),
            evidence: &finding.evidence,
        }
    }
}

/// Which of these bounds is crossed, in words; for CI.
pub fn crossed(explanation: &Explanation, all: Option<Bytes>, owner: Option<Bytes>) -> Option<String> {
    let whole = explanation.retained.whole;
    if let Some(bound) = all.filter(|bound| whole > *bound) {
        return Some(format!("the objects take {whole}, more than the {bound} of --fail-over"));
    }
    let biggest = explanation.retained.owners.first()?;
    let bound = owner.filter(|bound| biggest.retained_bytes > *bound)?;
    Some(format!("{} retains {}, more than the {bound} of --fail-owner-over", text::escaped(&biggest.path), biggest.retained_bytes))
}
