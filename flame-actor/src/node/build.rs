//! What this executable is, for the comparison at a join.

use std::{fs::File, io, io::Read, sync::OnceLock};

use flame_transport::Build;
use ring::digest::{Context, SHA256};

use crate::registry::{Registry, RegistryError};

/// The build of the running executable. A runner of another build is refused: their type numbers would not agree.
pub(crate) fn this_build() -> Result<Build, &'static RegistryError> {
    let types = Registry::get()?.digest();
    Ok(Build { version: env!("CARGO_PKG_VERSION").to_owned(), id: executable_id().to_owned(), types })
}

/// A fingerprint of the executable file, made once: of its contents, read through the open file of this process, which
/// stays what it was when the path is overwritten by a new build.
fn executable_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| hash_executable().unwrap_or_else(|error| format!("unknown ({error})")))
}

fn hash_executable() -> io::Result<String> {
    let mut file = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?))?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    Ok(hash.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}
