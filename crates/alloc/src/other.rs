//! Allocators that are known by name alone: they stand in for glibc's and are not walked.

use memory::Mapping;

/// By a part of their library's name.
const ALLOCATORS: &[(&str, &str)] =
    &[("jemalloc", "jemalloc"), ("tcmalloc", "tcmalloc"), ("mimalloc", "mimalloc"), ("hoard", "Hoard"), ("snmalloc", "snmalloc")];

/// The allocator that stands in for glibc's, by its library: preloaded, or linked.
pub fn name(mappings: &[Mapping]) -> Option<&'static str> {
    let loaded = |part: &str| mappings.iter().any(|m| m.exec && m.path.rsplit('/').next().is_some_and(|file| file.contains(part)));
    ALLOCATORS.iter().find(|(part, _)| loaded(part)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Addr;

    #[test]
    fn a_library_is_known_by_its_file_and_not_by_its_folder() {
        let mapping = |path: &str, exec| Mapping {
            start: Addr(0x1000),
            end: Addr(0x2000),
            read: true,
            write: false,
            exec,
            shared: false,
            offset: 0,
            inode: 7,
            path: path.into(),
        };
        assert_eq!(name(&[mapping("/usr/lib/libc.so.6", true), mapping("/usr/lib/libjemalloc.so.2", true)]), Some("jemalloc"));
        assert_eq!(name(&[mapping("/srv/jemalloc/lib/libc.so.6", true)]), None);
        assert_eq!(name(&[mapping("/srv/notes-on-tcmalloc.txt", false)]), None);
    }
}
