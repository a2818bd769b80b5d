//! What glibc's malloc spends for a request, without walking its arenas.
//!
//! Source: `request2size` and `MINSIZE` in glibc's `malloc/malloc.c`.

/// Bytes of the chunk that a request gets: 8 bytes of size word, rounded up to 16, at least 32.
pub fn chunk_bytes(request: u64) -> u64 {
    memory::rounded_up(request.saturating_add(8), 16).max(32)
}

/// The size in a chunk's header word, without its flag bits, where it can be one: at least the request, not absurd.
pub fn chunk_size(header: u64, request: u64) -> Option<u64> {
    let size = header & !7;
    (size % 16 == 0 && size >= 32 && size >= request && size <= request.saturating_add(request / 2).saturating_add(1 << 17)).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_as_malloc_usable_size_shows_them() {
        // malloc_usable_size + 8 on glibc 2.36: 24 for 0..=24, 40 for 25..=40, 520 for 513..=520.
        for (request, chunk) in [(0, 32), (24, 32), (25, 48), (40, 48), (513, 528), (520, 528), (521, 544)] {
            assert_eq!(chunk_bytes(request), chunk, "{request}");
        }
        assert_eq!(chunk_size(0x211, 520), Some(0x210));
        assert_eq!(chunk_size(0, 520), None);
    }
}
