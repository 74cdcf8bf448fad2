//! What this executable is, for the comparison at a join.

use std::{
    fs::File,
    io::{self, Read, Seek},
    sync::OnceLock,
};

use flame_transport::Build;
use object::{Object, ReadCache};
use ring::digest::{Context, SHA256};

use crate::registry::{Registry, RegistryError};

/// The build of the running executable. A runner of another build is refused: their type numbers would not agree.
pub(crate) fn this_build() -> Result<Build, &'static RegistryError> {
    let types = Registry::get()?.digest();
    Ok(Build { version: env!("CARGO_PKG_VERSION").to_owned(), id: executable_id().to_owned(), types })
}

/// What tells this executable from others, found out once. It is read through the open file of this process, which stays
/// what it was when the path is overwritten by a new build.
fn executable_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| identify().unwrap_or_else(|error| format!("unknown ({error})")))
}

/// The build id, a digest that the linker has made of its output, and the length, which tells what was changed since. An
/// executable that was linked without one is read whole instead, which takes each runner a while to do.
fn identify() -> io::Result<String> {
    let mut file = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?))?;
    let length = file.metadata()?.len();
    match build_id(&file) {
        Some(id) => Ok(format!("{}-{length:x}", hex(&id))),
        None => hash(&mut file),
    }
}

fn build_id(file: &File) -> Option<Vec<u8>> {
    let cache = ReadCache::new(file);
    let executable = object::File::parse(&cache).ok()?;
    executable.build_id().ok()?.map(<[u8]>::to_vec)
}

fn hash(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    Ok(hex(hash.finish().as_ref().get(..16).unwrap_or_default()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_told_by_its_build_id_and_without_one_by_all_its_bytes() {
        let mut this = File::open("/proc/self/exe").unwrap();
        let length = this.metadata().unwrap().len();
        let id = hex(&build_id(&this).expect("an executable that was linked here"));
        assert_eq!(executable_id(), format!("{id}-{length:x}"));
        assert_eq!(hash(&mut this).unwrap().len(), 32);

        let mut other = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut other, b"#!/bin/sh\n").unwrap();
        assert_eq!(build_id(&other), None);
        let before = hash(&mut other).unwrap();
        io::Write::write_all(&mut other, b"exit\n").unwrap();
        assert_ne!(hash(&mut other).unwrap(), before);
    }
}
