-- description: What the lake holds now: the latest entry of every item that is not deleted. Archived items are among
--   them, with archived = true, and so are items of folios that the library keeps, such as code and environments.
-- grain: one row per (folio, item)
-- source: stg_manifests
with latest as (
    select max(position) as position
    from stg_manifests
    where op in ('put', 'delete')
    group by folio, item
)

select
    rows.folio,
    rows.item,
    rows.version,
    rows.committed_at,
    rows.entry_id,
    rows.reason,
    rows.kind,
    rows.format,
    rows.media_type,
    rows.storage,
    rows.codec,
    rows.digest,
    rows.blob_digest,
    rows.generation,
    rows.size_bytes,
    rows.stored_bytes,
    rows.row_count,
    rows.uri,
    rows.description,
    rows.tags,
    rows.details,
    rows.archived,
    rows.lineage_count,
    rows.metadata_count,
    rows.author,
    rows.message,
    rows.run_id,
    rows.commit_id,
    rows.content
from stg_manifests as rows
inner join latest on rows.position = latest.position
where rows.op = 'put'
