-- description: Every entry ever put, also those that were overwritten or deleted since. An archive or a restore puts
--   an old entry again, so an entry_id may occur more than once.
-- grain: one row per (version, ordinal), a put
-- source: stg_manifests
with changes as (
    select
        *,
        -- the change that ended this one: the next of the same name
        lead(version) over (partition by folio, item order by position) as superseded_version
    from stg_manifests
    where op in ('put', 'delete')
)

select
    folio,
    item,
    version,
    ordinal,
    committed_at,
    superseded_version,
    superseded_version is null as is_live,
    entry_id,
    reason,
    kind,
    format,
    media_type,
    storage,
    codec,
    digest,
    blob_digest,
    generation,
    size_bytes,
    stored_bytes,
    row_count,
    uri,
    description,
    tags,
    details,
    archived,
    lineage_count,
    metadata_count,
    author,
    message,
    run_id,
    commit_id,
    content
from changes
where op = 'put'
