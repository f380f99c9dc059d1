//! The rows of what jobs produce (files, values, tables) and how they are read and written.
//! It does not know SQL, nor what may be attached.

use super::{Result, Text};

/// A file, a value or a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    pub seq: i64,
    pub workspace_id: String,
    /// `file`, `kv`, `table`.
    pub kind: String,
    pub id: String,
    pub name: Option<String>,
    pub label: Option<String>,
    pub content_type: String,
    pub size_bytes: i64,
    pub folder: Option<String>,
    pub filename: Option<String>,
    /// Of a file whose bytes are there.
    pub hash: Option<String>,
    pub expires_ms: Option<i64>,
    pub job_seq: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

impl Resource {
    /// What callers know it by.
    pub fn uri(&self) -> String {
        let kind = if self.kind == FILE { FILE.to_string() } else { format!("result/{}", self.kind) };
        format!("{SCHEME}{}/{kind}/{}", self.workspace_id, self.id)
    }
}

pub const FILE: &str = "file";
const SCHEME: &str = "res://v1/ws/";

/// Workspace, kind and id of a resource's URI; nothing where it is not one.
pub fn uri_parts(uri: &str) -> Option<(&str, &str, &str)> {
    let (rest, id) = uri.strip_prefix(SCHEME)?.rsplit_once('/')?;
    let (workspace, kind) = rest.rsplit_once('/')?;
    let (workspace, kind) = match (kind, workspace.strip_suffix("/result")) {
        (FILE, _) => (workspace, kind),
        ("kv" | "table", Some(workspace)) => (workspace, kind),
        _ => return None,
    };
    (!workspace.is_empty() && !id.is_empty()).then_some((workspace, kind, id))
}

/// What is known of a table. The lists are EDN vectors of names.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub key_fields: Text,
    pub index_fields: Text,
    pub fields: Text,
    pub row_count: i64,
}

/// A row of a table, as EDN.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRow {
    pub row_seq: i64,
    pub row: Text,
}

/// The value of a row in an indexed field, encoded so that bytes order as values do.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    pub resource_seq: i64,
    pub field: &'a str,
    pub value: &'a [u8],
    pub row_seq: i64,
}

/// Rows of a table by an indexed field: those beyond `after`, up to `bound` and with it.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    pub resource_seq: i64,
    pub field: &'a str,
    pub after: (&'a [u8], i64),
    pub bound: &'a [u8],
    pub down: bool,
    pub limit: i64,
}

/// Which resources a page shows: newest first, below `before`, of those that have not expired.
#[derive(Clone, Debug)]
pub struct ResourcePage<'a> {
    pub workspace_id: &'a str,
    pub kind: Option<&'a str>,
    pub job_seq: Option<i64>,
    pub now_ms: i64,
    pub before: i64,
    pub limit: i64,
}

/// Bytes of a file that are to come.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    pub session_id: String,
    pub resource_seq: i64,
    pub content_type: String,
    pub token_hash: String,
    pub expires_ms: i64,
    pub done: bool,
}

/// Something that was removed and of which something is left.
#[derive(Clone, Debug, PartialEq)]
pub struct Removed {
    pub removed_seq: i64,
    /// 0 where only bytes are to go.
    pub resource_seq: i64,
    pub hash: Option<String>,
}

/// Reads.
pub trait ResourceRows {
    fn resource(&mut self, seq: i64) -> Result<Option<Resource>>;
    fn resource_by_id(&mut self, workspace: &str, kind: &str, id: &str) -> Result<Option<Resource>>;
    fn resource_by_name(&mut self, workspace: &str, kind: &str, name: &str) -> Result<Option<Resource>>;
    fn file_by_name(&mut self, workspace: &str, folder: &str, filename: &str) -> Result<Option<Resource>>;
    fn list_resources(&mut self, page: &ResourcePage) -> Result<Vec<Resource>>;
    /// Those whose time was over at `now_ms`.
    fn expired_resources(&mut self, now_ms: i64, limit: i64) -> Result<Vec<i64>>;
    /// Workspaces with resources that no job made.
    fn unused_workspaces(&mut self) -> Result<Vec<String>>;
    /// Those made at or before `created_at` that no job made or names.
    fn unused_resources(&mut self, workspace: &str, created_at: i64, limit: i64) -> Result<Vec<i64>>;
    fn resources_of_job(&mut self, job_seq: i64) -> Result<Vec<i64>>;
    /// Id and type of the first of the jobs that a resource belongs to.
    fn job_of_resource(&mut self, seq: i64) -> Result<Option<(String, String)>>;
    fn is_resource_used(&mut self, seq: i64) -> Result<bool>;
    fn is_hash_used(&mut self, hash: &str) -> Result<bool>;
    fn value(&mut self, seq: i64) -> Result<Option<Text>>;
    fn table(&mut self, seq: i64) -> Result<Option<Table>>;
    fn table_row(&mut self, row_seq: i64) -> Result<Option<TableRow>>;
    fn table_row_by_key(&mut self, seq: i64, key: &[u8]) -> Result<Option<TableRow>>;
    /// Rows in the order of their coming, beyond `after`.
    fn table_rows(&mut self, seq: i64, after: i64, limit: i64) -> Result<Vec<TableRow>>;
    /// Rows with their values in an indexed field, in its order.
    fn table_range(&mut self, range: &Range) -> Result<Vec<(TableRow, Vec<u8>)>>;
    /// What was removed and is not swept yet, of what was noted after a number.
    fn removed(&mut self, after: i64, limit: i64) -> Result<Vec<Removed>>;
    fn upload(&mut self, session_id: &str) -> Result<Option<Upload>>;
    fn uploads(&mut self, resource_seq: i64) -> Result<Vec<Upload>>;
    fn expired_uploads(&mut self, now_ms: i64, limit: i64) -> Result<Vec<Upload>>;
    fn meta(&mut self, name: &str) -> Result<Option<String>>;
}

/// Writes.
pub trait ResourceTx {
    /// Stores a resource and gives its `seq`.
    fn insert_resource(&mut self, resource: &Resource) -> Result<i64>;
    fn update_resource(&mut self, resource: &Resource) -> Result<()>;
    /// Forgets a resource, and notes that what belongs to it is to be swept.
    fn remove_resource(&mut self, resource: &Resource) -> Result<()>;
    fn put_value(&mut self, seq: i64, value: &str) -> Result<()>;
    fn put_table(&mut self, seq: i64, table: &Table) -> Result<()>;
    fn insert_table_row(&mut self, seq: i64, key: Option<&[u8]>, row: &str) -> Result<i64>;
    fn update_table_row(&mut self, row_seq: i64, row: &str) -> Result<()>;
    fn insert_cell(&mut self, cell: &Cell) -> Result<()>;
    fn delete_cell(&mut self, cell: &Cell) -> Result<()>;
    fn insert_ref(&mut self, job_seq: i64, resource_seq: i64) -> Result<()>;
    fn delete_ref(&mut self, job_seq: i64, resource_seq: i64) -> Result<()>;
    /// Removes up to `limit` rows and as many cells of a removed resource; how many of what there were more of. Where
    /// that is less than `limit`, nothing but its bytes is left.
    fn sweep_resource(&mut self, seq: i64, limit: i64) -> Result<i64>;
    /// Notes that bytes are to go where no resource has them.
    fn remove_bytes(&mut self, hash: &str) -> Result<()>;
    /// Forgets that something was removed.
    fn delete_removed(&mut self, removed_seq: i64) -> Result<()>;
    fn insert_upload(&mut self, upload: &Upload) -> Result<()>;
    fn finish_upload(&mut self, session_id: &str) -> Result<()>;
    fn delete_upload(&mut self, session_id: &str) -> Result<()>;
    fn put_meta(&mut self, name: &str, value: &str) -> Result<()>;
}
