//! Memory and CPU time of this process, as Linux tells them under `/proc`.
//! Allocates nothing, so that a steady tick doesn't.

use std::io::Read;

/// Resident memory of this process, from `/proc`; `None` where there is none.
pub fn resident_memory_bytes() -> Option<u64> {
    let mut buffer = [0; 4096];
    let text = read_proc("/proc/self/status", &mut buffer)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// CPU time of this process, from `/proc`; `None` where there is none.
pub(super) fn cpu_seconds() -> Option<f64> {
    /// The unit in which Linux shows times to programs, on every architecture.
    const TICKS_PER_S: f64 = 100.0;
    let mut buffer = [0; 1024];
    let text = read_proc("/proc/self/stat", &mut buffer)?;
    // The program's name may hold anything, but its closing bracket is the last.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_S)
}

fn read_proc<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
    let mut file = std::fs::File::open(path).ok()?;
    let mut len = 0;
    while let Ok(count @ 1..) = file.read(&mut buffer[len..]) {
        len += count;
    }
    str::from_utf8(&buffer[..len]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_can_be_measured() {
        if cfg!(target_os = "linux") {
            assert!(resident_memory_bytes().unwrap() > 100_000);
            assert!(cpu_seconds().unwrap() >= 0.0);
        }
    }
}
