//! `explain`: who holds the memory, what is suspect, what to do; in both forms.

use std::io::{self, Write};

use analyses::explain::{Explanation, Suspect};
use analyses::finding::{Finding, Sure};
use analyses::place::Place;
use memory::Bytes;
use serde::Serialize;
use snapshot::Snapshot;

use crate::{head, json, retained, text, Style};

/// Findings of the first screen.
const FINDINGS: usize = 4;

/// One screen: coverage, owners, what to do, the sentence, the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, explanation: &Explanation, all: bool, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    retained::owners(out, &explanation.retained, style)?;
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
    writeln!(out, "next: {}", style.again.line(next(explanation), &[]))
}

/// The command that shows more of the first finding.
fn next(explanation: &Explanation) -> &'static str {
    explanation.findings.first().map_or("retained", |finding| finding.id)
}

/// What a manager understands.
pub fn sentence(explanation: &Explanation) -> String {
    let whole = explanation.retained.whole;
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

fn sure(known: Sure) -> &'static str {
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
