//! Where programs are: the handler, found before anything is claimed, and this program itself.
//! It does not start them.

use crate::api::{Code, Error};
use rustix::fs::{Access, access};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A handler: the program by its absolute path, and its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<OsString>,
}

impl Program {
    /// Finds a handler as a shell would: a name with a slash from the current directory, any other on `PATH`.
    pub fn find(name: &OsStr, args: Vec<OsString>) -> Result<Program, Error> {
        let path = if name.as_encoded_bytes().contains(&b'/') { beside(Path::new(name))? } else { on_path(name)? };
        Ok(Program { path, args })
    }

    /// The program's name without its folders.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

fn beside(name: &Path) -> Result<PathBuf, Error> {
    let path = std::path::absolute(name).map_err(|e| wrong(name.as_os_str(), &format!("cannot be resolved: {e}")))?;
    match path.metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(wrong(path.as_os_str(), "does not exist")),
        Err(e) => Err(wrong(path.as_os_str(), &format!("cannot be read: {e}"))),
        Ok(found) if !found.is_file() => Err(wrong(path.as_os_str(), "is not a file")),
        Ok(_) if !executable(&path) => Err(wrong(path.as_os_str(), "is not executable; chmod +x makes it so")),
        Ok(_) => Ok(path),
    }
}

fn on_path(name: &OsStr) -> Result<PathBuf, Error> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .filter_map(|folder| std::path::absolute(folder.join(name)).ok())
        .find(|path| path.is_file() && executable(path))
        .ok_or_else(|| {
            let hint = if Path::new(name).exists() { "; the file here is \"./\" and its name" } else { "" };
            wrong(name, &format!("is no program on PATH{hint}"))
        })
}

fn executable(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

fn wrong(name: &OsStr, problem: &str) -> Error {
    Error::new(Code::InvalidArgument, format!("handler \"{}\" {problem}", name.to_string_lossy()))
}

/// The absolute path of this program.
pub fn own_path() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|e| Error::new(Code::Internal, format!("own program cannot be found: {e}")))
}
