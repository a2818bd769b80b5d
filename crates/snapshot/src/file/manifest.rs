//! The list of checksums: which format, which files, how long each is and its CRC-32. It is written last, so a folder
//! without it is not whole.

use super::FORMAT;

/// The file's name.
pub(crate) const FILE: &str = "checksums";
/// Longer lists are no list of ours.
pub(crate) const BYTES_MOST: u64 = 1 << 16;
const MARK: &str = "exuvia snapshot ";

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

/// What a list can be that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Foreign,
    Newer(u32),
    Damaged(&'static str),
}

/// The text of the list: a line with the format, one a file, and one for the list itself.
pub(crate) fn text(entries: &[Entry]) -> String {
    let mut text = format!("{MARK}{FORMAT}\n");
    for e in entries {
        text += &format!("{:08x} {} {}\n", e.crc, e.bytes, e.name);
    }
    let crc = crc32fast::hash(text.as_bytes());
    text + &format!("{crc:08x}\n")
}

/// Reads it.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Entry>, Refused> {
    let text = std::str::from_utf8(text).map_err(|_| Refused::Foreign)?;
    let rest = text.strip_prefix(MARK).ok_or(Refused::Foreign)?;
    let (version, _) = rest.split_once('\n').ok_or(Refused::Damaged("it ends in its first line"))?;
    let version: u32 = version.parse().map_err(|_| Refused::Damaged("its format is no number"))?;
    if version > FORMAT {
        return Err(Refused::Newer(version));
    }
    let body = text.strip_suffix('\n').ok_or(Refused::Damaged("its last line is cut"))?;
    let (_, last) = body.rsplit_once('\n').ok_or(Refused::Damaged("it has one line"))?;
    let body = &text[..text.len() - last.len() - 1];
    if u32::from_str_radix(last, 16) != Ok(crc32fast::hash(body.as_bytes())) {
        return Err(Refused::Damaged("its own checksum differs"));
    }
    body.lines().skip(1).map(|line| entry(line).ok_or(Refused::Damaged("a line is not checksum, length and name"))).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.splitn(3, ' ');
    let crc = u32::from_str_radix(words.next()?, 16).ok()?;
    let bytes = words.next()?.parse().ok()?;
    let name = words.next()?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !name.starts_with('.');
    plain.then(|| Entry { name: name.to_string(), bytes, crc })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_back_its_entries_and_no_change_of_it_passes() {
        let entries =
            vec![Entry { name: "types.parquet".into(), bytes: 12, crc: 7 }, Entry { name: "meta.parquet".into(), bytes: 0, crc: u32::MAX }];
        let whole = text(&entries);
        assert_eq!(parse(whole.as_bytes()), Ok(entries));
        for i in 0..whole.len() {
            let mut bytes = whole.clone().into_bytes();
            bytes[i] ^= 1;
            assert!(parse(&bytes).is_err(), "byte {i}");
            assert!(parse(&whole.as_bytes()[..i]).is_err(), "cut at {i}");
        }
        assert_eq!(parse(b"exuvia snapshot 99\nwho knows"), Err(Refused::Newer(99)));
        assert_eq!(parse(b"PAR1"), Err(Refused::Foreign));
    }
}
