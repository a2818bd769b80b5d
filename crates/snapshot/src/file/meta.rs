//! Target and coverage as keys and values: the table `meta`.

use memory::{Addr, Bytes};

use crate::{CollectorState, Coverage, GapKind, KeyNote, Ledger, Mode, Moment, Target};

/// The rows, in a fixed order; what is not known has none.
pub(crate) fn rows(target: &Target, coverage: &Coverage) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut say = |key: &str, value: Option<String>| all.extend(value.map(|v| (key.to_string(), v)));
    let t = target;
    say("target.pid", t.pid.map(|v| v.to_string()));
    say("target.pid_inside", t.pid_inside.map(|v| v.to_string()));
    say("target.container", t.container.clone());
    say("target.started", t.started.map(|v| v.to_string()));
    say("target.age_s", t.age_s.map(|v| v.to_string()));
    say("target.python", Some(t.python.clone()));
    say("target.build", Some(t.build.clone()));
    say("target.executable", Some(t.executable.clone()));
    say("target.mode", Some(t.mode.word().into()));
    say("target.moment", Some(t.moment.word().into()));
    say("target.pause_ms", t.pause_ms.map(|v| v.to_string()));
    say("target.second_stop_ms", t.second_stop_ms.map(|v| v.to_string()));
    say("target.page_faults", t.page_faults.map(|v| v.to_string()));
    say("target.not_forked", t.not_forked.clone());
    say("target.beside", t.beside.clone());
    say("target.attempts", Some(t.attempts.to_string()));
    say("target.threads", Some(t.threads.to_string()));
    say("target.interpreters", Some(t.interpreters.to_string()));
    say("target.resident_bytes", t.resident_bytes.map(|v| v.to_string()));
    say("target.copied_bytes", t.copied_bytes.map(|v| v.to_string()));
    for (i, word) in t.command.iter().flatten().enumerate() {
        say(&format!("target.command.{i}"), Some(word.clone()));
    }
    say("target.exit_code", t.exit_code.map(|v| v.to_string()));
    let c = coverage;
    for (key, value) in [
        ("coverage.objects", c.objects),
        ("coverage.own_bytes", c.own_bytes.0),
        ("coverage.footprint_bytes", c.footprint_bytes.0),
        ("coverage.exact_bytes", c.exact_bytes.0),
        ("coverage.derived_bytes", c.derived_bytes.0),
        ("coverage.scanned_bytes", c.scanned_bytes.0),
        ("coverage.blocks_in_use", c.blocks_in_use),
        ("coverage.blocks_explained", c.blocks_explained),
        ("coverage.blocks_bytes", c.blocks_bytes.0),
    ] {
        say(key, Some(value.to_string()));
    }
    for g in &c.gaps {
        say(&format!("gap.{}", g.what.word()), Some(g.count.to_string()));
    }
    for (i, at) in c.corrupted_at.iter().enumerate() {
        say(&format!("coverage.corrupted_at.{i}"), Some(at.0.to_string()));
    }
    all
}

/// Which key the fingerprints were made with.
pub(crate) fn key_rows(key: &KeyNote) -> Vec<(String, String)> {
    let mut all = vec![("fingerprint.key_id".to_string(), format!("{:016x}", key.id))];
    let whose = if key.alone.is_some() { "snapshot" } else { "user" };
    all.push(("fingerprint.key".to_string(), whose.to_string()));
    all.extend(key.alone.iter().map(|why| ("fingerprint.note".to_string(), why.clone())));
    all
}

/// The ledger, as one JSON object: few read it, and its parts will grow.
pub(crate) fn ledger_row(ledger: &Ledger) -> Option<(String, String)> {
    Some(("ledger".to_string(), serde_json::to_string(ledger).ok()?))
}

/// The ledger that the rows hold; folders of earlier programs have none.
pub(crate) fn ledger(rows: &[(String, String)]) -> Result<Option<Ledger>, String> {
    let row = rows.iter().find(|(key, _)| key == "ledger");
    row.map(|(_, text)| serde_json::from_str(text).map_err(|e| format!("ledger: {e}"))).transpose()
}

/// The collectors, as one JSON list, likewise.
pub(crate) fn collectors_row(collectors: &[CollectorState]) -> Option<(String, String)> {
    Some(("collectors".to_string(), serde_json::to_string(collectors).ok()?))
}

/// The collectors that the rows hold; folders of earlier programs have none.
pub(crate) fn collectors(rows: &[(String, String)]) -> Result<Vec<CollectorState>, String> {
    let row = rows.iter().find(|(key, _)| key == "collectors");
    let read = row.map(|(_, text)| serde_json::from_str(text).map_err(|e| format!("collectors: {e}")));
    Ok(read.transpose()?.unwrap_or_default())
}

/// What the rows say. Keys that are not known are a later version's and are passed over.
pub(crate) fn parse(rows: &[(String, String)]) -> Result<(Target, Coverage), String> {
    let get = |key: &str| rows.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    fn number<T: std::str::FromStr>(key: &str, value: Option<&str>) -> Result<Option<T>, String> {
        value.map(|v| v.parse().map_err(|_| format!("{key} is no number"))).transpose()
    }
    let count = |key: &str| number::<u64>(key, get(key))?.ok_or_else(|| format!("{key} is not there"));
    let text = |key: &str| get(key).unwrap_or_default().to_string();
    let command: Vec<String> = (0..rows.len()).map_while(|i| get(&format!("target.command.{i}")).map(str::to_string)).collect();
    let target = Target {
        pid: number("target.pid", get("target.pid"))?,
        pid_inside: number("target.pid_inside", get("target.pid_inside"))?,
        container: get("target.container").map(str::to_string),
        started: number("target.started", get("target.started"))?,
        age_s: number("target.age_s", get("target.age_s"))?,
        python: text("target.python"),
        build: text("target.build"),
        executable: text("target.executable"),
        mode: match get("target.mode") {
            Some("fork") => Mode::Fork,
            Some("live") => Mode::Live,
            Some("core") => Mode::Core,
            _ => Mode::Freeze,
        },
        moment: match get("target.moment") {
            Some("after") => Moment::After,
            Some("before-finalize") => Moment::BeforeFinalize,
            Some("at-exit") => Moment::AtExit,
            _ => Moment::Running,
        },
        pause_ms: number("target.pause_ms", get("target.pause_ms"))?,
        second_stop_ms: number("target.second_stop_ms", get("target.second_stop_ms"))?,
        page_faults: number("target.page_faults", get("target.page_faults"))?,
        not_forked: get("target.not_forked").map(str::to_string),
        beside: get("target.beside").map(str::to_string),
        attempts: number("target.attempts", get("target.attempts"))?.unwrap_or(0),
        threads: number("target.threads", get("target.threads"))?.unwrap_or(0),
        interpreters: number("target.interpreters", get("target.interpreters"))?.unwrap_or(0),
        resident_bytes: number("target.resident_bytes", get("target.resident_bytes"))?,
        copied_bytes: number("target.copied_bytes", get("target.copied_bytes"))?,
        command: (!command.is_empty()).then_some(command),
        exit_code: number("target.exit_code", get("target.exit_code"))?,
    };
    let mut coverage = Coverage {
        objects: count("coverage.objects")?,
        own_bytes: Bytes(count("coverage.own_bytes")?),
        footprint_bytes: Bytes(count("coverage.footprint_bytes")?),
        exact_bytes: Bytes(count("coverage.exact_bytes")?),
        derived_bytes: Bytes(count("coverage.derived_bytes")?),
        scanned_bytes: Bytes(count("coverage.scanned_bytes")?),
        blocks_in_use: count("coverage.blocks_in_use")?,
        blocks_explained: count("coverage.blocks_explained")?,
        blocks_bytes: Bytes(count("coverage.blocks_bytes")?),
        gaps: Vec::new(),
        corrupted_at: Vec::new(),
    };
    for i in 0..Coverage::CORRUPTED_SHOWN {
        let key = format!("coverage.corrupted_at.{i}");
        coverage.corrupted_at.extend(number(&key, get(&key))?.map(Addr));
    }
    for &kind in GapKind::ALL {
        let key = format!("gap.{}", kind.word());
        coverage.add_gap(kind, number(&key, get(&key))?.unwrap_or(0));
    }
    Ok((target, coverage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_back() {
        let target = Target {
            pid: Some(7),
            pid_inside: Some(1),
            container: Some("docker 0123456789ab".into()),
            started: Some(4711),
            age_s: Some(12.5),
            python: "3.12.1".into(),
            mode: Mode::Fork,
            moment: Moment::BeforeFinalize,
            pause_ms: Some(1.25),
            command: Some(vec!["python3".into(), "".into(), "a b".into()]),
            exit_code: Some(-9),
            threads: 3,
            beside: Some("CPython 3.13.0 never started".into()),
            ..Target::default()
        };
        let mut coverage = Coverage { objects: 5, own_bytes: Bytes(u64::MAX), ..Coverage::default() };
        coverage.add_gap(GapKind::OpaqueState, 9);
        assert_eq!(parse(&rows(&target, &coverage)), Ok((target, coverage)));
        let made = Ledger { rss_bytes: 7, gaps: vec!["a \"b\"".into()], ..Ledger::default() };
        assert_eq!(ledger(&[ledger_row(&made).unwrap()]), Ok(Some(made)));
        assert_eq!(ledger(&[]), Ok(None));
        assert!(ledger(&[("ledger".into(), "{".into())]).is_err());
        let some = vec![CollectorState { enabled: true, long_lived: Some((7, 8)), ..CollectorState::default() }];
        assert_eq!(collectors(&[collectors_row(&some).unwrap()]), Ok(some));
        assert_eq!(collectors(&[]), Ok(Vec::new()));
        assert!(collectors(&[("collectors".into(), "[{}]".into())]).is_err());
        assert!(parse(&[]).is_err());
        assert!(parse(&[("coverage.objects".into(), "many".into())]).is_err());
    }
}
