//! Whose a place of bytes is: its store's, by a name that stands in it.
//! It does not know what a store is called, nor where the place is.

use super::{Blobs, failed};
use crate::resource::{Error, Result};
use object_store::path::Path as Name;
use object_store::{ObjectStoreExt, PutMode};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

/// Names the object that says whose a place is.
const OWNER: &str = "owner";

/// Gives the name of the store that the bytes are of.
pub type Owner = Box<dyn Fn() -> Result<String> + Send + Sync>;

impl Blobs {
    /// Refuses a place in which another store keeps its bytes: each would remove those of the other.
    pub(super) fn own(&self) -> Result<()> {
        if self.owned.get().is_some() { Ok(()) } else { self.own_still() }
    }

    /// As `own`, though it was known before: another store may have been given the place.
    pub(super) fn own_still(&self) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let (opened, own, name) = (self.opened()?, owner()?, Name::from(OWNER));
        let told = opened.runtime.block_on(async {
            let store = &opened.store;
            match store.get(&name).await {
                Err(object_store::Error::NotFound { .. }) => {
                    let put = store.put_opts(&name, own.clone().into(), PutMode::Create.into()).await;
                    match put {
                        Err(object_store::Error::AlreadyExists { .. }) => {
                            store.get(&name).await?.bytes().await.map(Some)
                        }
                        put => put.map(|_| None),
                    }
                }
                got => got?.bytes().await.map(Some),
            }
        });
        match told.map_err(|error| self.failed("files cannot be used", &error))? {
            Some(other) if other != own.as_bytes() => {
                let place = self.place();
                let text = format!("place of files \"{place}\" belongs to another store; give each its own");
                return Err(Error::Refused(text));
            }
            Some(_) | None => {}
        }
        self.keep_private()?;
        self.owned.get_or_init(|| ());
        Ok(())
    }

    fn keep_private(&self) -> Result<()> {
        if self.bucket.is_some() {
            return Ok(());
        }
        let private = std::fs::set_permissions(self.folder.join(OWNER), Permissions::from_mode(0o600));
        private.map_err(|error| failed("folder of the files cannot be used", error))
    }

    /// Gives the place to the store of that name. Whose it was may still read there.
    pub fn give(&self, name: &str) -> Result<()> {
        let opened = self.opened()?;
        let given = opened.runtime.block_on(opened.store.put(&Name::from(OWNER), name.to_owned().into()));
        given.map_err(|error| self.failed("files cannot be used", &error))?;
        self.keep_private()
    }
}
