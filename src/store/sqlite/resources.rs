//! A connection's reads and writes of resources: statements in, rows out.

use super::session::Session;
use super::statements::Statements;
use crate::store::{
    Cell, Error, Range, Removed, Resource, ResourcePage, ResourceRows, ResourceTx, Result, Table, TableRow, Upload, sql,
};
use rusqlite::{Row, params};

impl<S: Statements> ResourceRows for Session<S> {
    fn resource(&mut self, seq: i64) -> Result<Option<Resource>> {
        self.one(sql::GET_RESOURCE, [seq], resource)
    }

    fn resource_by_id(&mut self, workspace: &str, kind: &str, id: &str) -> Result<Option<Resource>> {
        self.one(sql::GET_RESOURCE_BY_ID, [workspace, kind, id], resource)
    }

    fn resource_by_name(&mut self, workspace: &str, kind: &str, name: &str) -> Result<Option<Resource>> {
        self.one(sql::GET_RESOURCE_BY_NAME, [workspace, kind, name], resource)
    }

    fn file_by_name(&mut self, workspace: &str, folder: &str, filename: &str) -> Result<Option<Resource>> {
        self.one(sql::GET_FILE_BY_NAME, [workspace, folder, filename], resource)
    }

    fn list_resources(&mut self, page: &ResourcePage) -> Result<Vec<Resource>> {
        let ResourcePage { workspace_id, kind, job_seq, now_ms, before, limit } = *page;
        match job_seq {
            Some(job) => {
                self.all(sql::LIST_RESOURCES_OF_JOB, params![workspace_id, before, kind, now_ms, limit, job], resource)
            }
            None => self.all(sql::LIST_RESOURCES, params![workspace_id, before, kind, now_ms, limit], resource),
        }
    }

    fn expired_resources(&mut self, now_ms: i64, limit: i64) -> Result<Vec<i64>> {
        self.all(sql::LIST_EXPIRED_RESOURCES, [now_ms, limit], |row| row.get(0))
    }

    fn unused_workspaces(&mut self) -> Result<Vec<String>> {
        self.all(sql::LIST_UNUSED_WORKSPACES, [], |row| row.get(0))
    }

    fn unused_resources(&mut self, workspace: &str, created_at: i64, limit: i64) -> Result<Vec<i64>> {
        self.all(sql::LIST_UNUSED_RESOURCES, params![created_at, limit, workspace], |row| row.get(0))
    }

    fn resources_of_job(&mut self, job_seq: i64) -> Result<Vec<i64>> {
        self.all(sql::LIST_REFS, [job_seq], |row| row.get(0))
    }

    fn job_of_resource(&mut self, seq: i64) -> Result<Option<(String, String)>> {
        self.one(sql::FIND_JOB_OF_RESOURCE, [seq], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn is_resource_used(&mut self, seq: i64) -> Result<bool> {
        Ok(self.one(sql::IS_RESOURCE_USED, [seq], |_| Ok(()))?.is_some())
    }

    fn is_hash_used(&mut self, hash: &str) -> Result<bool> {
        Ok(self.one(sql::IS_HASH_USED, [hash], |_| Ok(()))?.is_some())
    }

    fn value(&mut self, seq: i64) -> Result<Option<crate::store::Text>> {
        self.one(sql::GET_RESOURCE_VALUE, [seq], |row| row.get(0))
    }

    fn table(&mut self, seq: i64) -> Result<Option<Table>> {
        self.one(sql::GET_TABLE, [seq], |row| {
            Ok(Table {
                key_fields: row.get(0)?,
                index_fields: row.get(1)?,
                fields: row.get(2)?,
                row_count: row.get(3)?,
            })
        })
    }

    fn table_row(&mut self, row_seq: i64) -> Result<Option<TableRow>> {
        self.one(sql::GET_TABLE_ROW, [row_seq], table_row)
    }

    fn table_row_by_key(&mut self, seq: i64, key: &[u8]) -> Result<Option<TableRow>> {
        self.one(sql::GET_TABLE_ROW_BY_KEY, params![seq, key], table_row)
    }

    fn table_rows(&mut self, seq: i64, after: i64, limit: i64) -> Result<Vec<TableRow>> {
        self.all(sql::LIST_TABLE_ROWS, [seq, after, limit], table_row)
    }

    fn table_range(&mut self, range: &Range) -> Result<Vec<(TableRow, Vec<u8>)>> {
        let Range { resource_seq, field, after: (value, row_seq), bound, down, limit } = *range;
        let statement = if down { sql::LIST_TABLE_ROWS_DOWN } else { sql::LIST_TABLE_ROWS_UP };
        self.all(statement, params![resource_seq, field, value, row_seq, bound, limit], |row| {
            Ok((table_row(row)?, row.get(2)?))
        })
    }

    fn removed(&mut self, after: i64, limit: i64) -> Result<Vec<Removed>> {
        self.all(sql::LIST_REMOVED, [after, limit], |row| {
            Ok(Removed { removed_seq: row.get(0)?, resource_seq: row.get(1)?, hash: row.get(2)? })
        })
    }

    fn upload(&mut self, session_id: &str) -> Result<Option<Upload>> {
        self.one(sql::GET_UPLOAD, [session_id], upload)
    }

    fn uploads(&mut self, resource_seq: i64) -> Result<Vec<Upload>> {
        self.all(sql::LIST_UPLOADS, [resource_seq], upload)
    }

    fn expired_uploads(&mut self, now_ms: i64, limit: i64) -> Result<Vec<Upload>> {
        self.all(sql::LIST_EXPIRED_UPLOADS, [now_ms, limit], upload)
    }

    fn meta(&mut self, name: &str) -> Result<Option<String>> {
        self.one(sql::GET_META, [name], |row| row.get(0))
    }
}

impl<S: Statements> ResourceTx for Session<S> {
    fn insert_resource(&mut self, resource: &Resource) -> Result<i64> {
        let Resource { workspace_id, kind, id, name, label, content_type, size_bytes, folder, filename, hash, .. } =
            resource;
        let Resource { expires_ms, job_seq, created_at, .. } = resource;
        let seq = self.one(
            sql::INSERT_RESOURCE,
            params![
                workspace_id,
                kind,
                id,
                name,
                label,
                content_type,
                size_bytes,
                folder,
                filename,
                hash,
                expires_ms,
                job_seq,
                created_at
            ],
            |row| row.get(0),
        )?;
        seq.ok_or_else(|| Error::Corrupt("an insert gave no row".into()))
    }

    fn update_resource(&mut self, resource: &Resource) -> Result<()> {
        let Resource { seq, label, content_type, size_bytes, hash, expires_ms, job_seq, updated_at, .. } = resource;
        let row = params![seq, label, content_type, size_bytes, hash, expires_ms, job_seq, updated_at];
        self.run(sql::UPDATE_RESOURCE, row).map(|_| ())
    }

    fn remove_resource(&mut self, resource: &Resource) -> Result<()> {
        self.run(sql::DELETE_RESOURCE, [resource.seq])?;
        self.run(sql::DELETE_REFS_OF_RESOURCE, [resource.seq])?;
        self.run(sql::DELETE_UPLOADS, [resource.seq])?;
        self.run(sql::INSERT_REMOVED, params![resource.seq, resource.hash]).map(|_| ())
    }

    fn put_value(&mut self, seq: i64, value: &str) -> Result<()> {
        self.run(sql::PUT_RESOURCE_VALUE, params![seq, value]).map(|_| ())
    }

    fn put_table(&mut self, seq: i64, table: &Table) -> Result<()> {
        let Table { key_fields, index_fields, fields, row_count } = table;
        self.run(sql::PUT_TABLE, params![seq, key_fields, index_fields, fields, row_count]).map(|_| ())
    }

    fn insert_table_row(&mut self, seq: i64, key: Option<&[u8]>, row: &str) -> Result<i64> {
        let row_seq = self.one(sql::INSERT_TABLE_ROW, params![seq, key, row], |row| row.get(0))?;
        row_seq.ok_or_else(|| Error::Corrupt("an insert gave no row".into()))
    }

    fn update_table_row(&mut self, row_seq: i64, row: &str) -> Result<()> {
        self.run(sql::UPDATE_TABLE_ROW, params![row_seq, row]).map(|_| ())
    }

    fn insert_cell(&mut self, cell: &Cell) -> Result<()> {
        let Cell { resource_seq, field, value, row_seq } = *cell;
        self.run(sql::INSERT_CELL, params![resource_seq, field, value, row_seq]).map(|_| ())
    }

    fn delete_cell(&mut self, cell: &Cell) -> Result<()> {
        let Cell { resource_seq, field, value, row_seq } = *cell;
        self.run(sql::DELETE_CELL, params![resource_seq, field, value, row_seq]).map(|_| ())
    }

    fn insert_ref(&mut self, job_seq: i64, resource_seq: i64) -> Result<()> {
        self.run(sql::INSERT_REF, [job_seq, resource_seq]).map(|_| ())
    }

    fn delete_ref(&mut self, job_seq: i64, resource_seq: i64) -> Result<()> {
        self.run(sql::DELETE_REF, [job_seq, resource_seq]).map(|_| ())
    }

    fn sweep_resource(&mut self, seq: i64, limit: i64) -> Result<i64> {
        self.run(sql::DELETE_RESOURCE_VALUE, [seq])?;
        self.run(sql::DELETE_TABLE, [seq])?;
        let cells = self.run(sql::DELETE_CELLS, [seq, limit])?;
        let rows = self.run(sql::DELETE_TABLE_ROWS, [seq, limit])?;
        Ok(cells.max(rows) as i64)
    }

    fn remove_bytes(&mut self, hash: &str) -> Result<()> {
        self.run(sql::INSERT_REMOVED, params![0, hash]).map(|_| ())
    }

    fn delete_removed(&mut self, removed_seq: i64) -> Result<()> {
        self.run(sql::DELETE_REMOVED, [removed_seq]).map(|_| ())
    }

    fn insert_upload(&mut self, upload: &Upload) -> Result<()> {
        let Upload { session_id, resource_seq, content_type, token_hash, expires_ms, done: _ } = upload;
        let row = params![session_id, resource_seq, content_type, token_hash, expires_ms];
        self.run(sql::INSERT_UPLOAD, row).map(|_| ())
    }

    fn finish_upload(&mut self, session_id: &str) -> Result<()> {
        self.run(sql::FINISH_UPLOAD, [session_id]).map(|_| ())
    }

    fn delete_upload(&mut self, session_id: &str) -> Result<()> {
        self.run(sql::DELETE_UPLOAD, [session_id]).map(|_| ())
    }

    fn put_meta(&mut self, name: &str, value: &str) -> Result<()> {
        self.run(sql::PUT_META, [name, value]).map(|_| ())
    }
}

fn resource(row: &Row) -> rusqlite::Result<Resource> {
    Ok(Resource {
        seq: row.get(0)?,
        workspace_id: row.get(1)?,
        kind: row.get(2)?,
        id: row.get(3)?,
        name: row.get(4)?,
        label: row.get(5)?,
        content_type: row.get(6)?,
        size_bytes: row.get(7)?,
        folder: row.get(8)?,
        filename: row.get(9)?,
        hash: row.get(10)?,
        expires_ms: row.get(11)?,
        job_seq: row.get(12)?,
        created_at: row.get(13)?,
        updated_at: row.get(14)?,
    })
}

fn table_row(row: &Row) -> rusqlite::Result<TableRow> {
    Ok(TableRow { row_seq: row.get(0)?, row: row.get(1)? })
}

fn upload(row: &Row) -> rusqlite::Result<Upload> {
    Ok(Upload {
        session_id: row.get(0)?,
        resource_seq: row.get(1)?,
        content_type: row.get(2)?,
        token_hash: row.get(3)?,
        expires_ms: row.get(4)?,
        done: row.get(5)?,
    })
}
